// Keeps the site for times without a network, as one whole version of it at a time.
//
// A version is a cache named by the hash of its manifest; the manifest goes in last, so a cache that holds one is whole, and every file in it has
// the hash that its manifest says. Opening the page asks for the newest manifest first: where it is another one, the files that changed are
// fetched before the page is given, so a page is never old where its host can be reached, and never made of two versions. Where it cannot be
// reached, or what it sends is not whole, the kept version is given. A host without a manifest no longer has the site: everything is forgotten.

const PREFIX = `anneal ${registration.scope} `;
const MANIFEST = "manifest.json";
const INDEX = "index.html";
/** Never kept: this file, which the browser keeps itself, a program that is handed over by a server of one's own, and the picture for links. */
const NOT_KEPT = new Set(["service-worker.js", "launch.json", "preview.png"]);
/** What of an answer's headers matters to the page that gets it from here. */
const HEADERS = ["content-type", "content-security-policy", "cross-origin-opener-policy", "cross-origin-embedder-policy", "cross-origin-resource-policy"];
/** Milliseconds that a host may take to give the manifest where there is a version to fall back on. */
const PATIENCE = 4000;

const address = (name) => new URL(name, registration.scope).href;

/** The file that an address means, as the manifest names it; null for what is not below the site. */
function fileOf(url) {
  const { origin, pathname } = new URL(url);
  const found = `${origin}${pathname}`;
  return found.startsWith(registration.scope) ? decodeURIComponent(found.slice(registration.scope.length)) || INDEX : null;
}

async function hashOf(bytes) {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The newest version that is whole, as {name, cache, manifest}; null where there is none. */
async function kept() {
  const names = (await caches.keys()).filter((name) => name.startsWith(PREFIX));
  for (const name of names.reverse()) {
    const cache = await caches.open(name);
    const manifest = await cache.match(address(MANIFEST));
    if (manifest) return { name, cache, manifest };
  }
  return null;
}

/** A file as its host has it now; throws where it is not the file that the manifest names. */
async function fetched(name, sha256) {
  const answer = await fetch(address(name), { cache: "no-cache" });
  if (!answer.ok) throw new Error(`${name}: ${answer.status}`);
  const bytes = await answer.arrayBuffer();
  if ((await hashOf(bytes)) !== sha256) throw new Error(`${name} is not what the manifest says`);
  const headers = HEADERS.filter((header) => answer.headers.has(header)).map((header) => [header, answer.headers.get(header)]);
  return new Response(bytes, { headers }); // a new answer: one that was redirected could not be given to a page
}

/** Keeps the version that a manifest's text names, taking over what did not change; resolves once it is whole. */
async function keep(text) {
  const name = PREFIX + (await hashOf(new TextEncoder().encode(text)));
  const before = await kept();
  if (before?.name === name) return;
  const { files } = JSON.parse(text);
  const known = before ? (await before.manifest.json()).files : {};
  const cache = await caches.open(name);
  const missing = Object.entries(files).filter(([file]) => !NOT_KEPT.has(file));
  await Promise.all(
    missing.map(async ([file, { sha256 }]) => {
      if (await cache.match(address(file))) return; // from an attempt that was broken off
      const same = known[file]?.sha256 === sha256 ? await before.cache.match(address(file)) : undefined;
      await cache.put(address(file), same ?? (await fetched(file, sha256)));
    }),
  );
  await cache.put(address(MANIFEST), new Response(text, { headers: { "content-type": "application/json" } }));
  const others = (await caches.keys()).filter((other) => other.startsWith(PREFIX) && other !== name);
  await Promise.all(others.map((other) => caches.delete(other)));
  if (before) for (const client of await clients.matchAll()) client.postMessage({ updated: true });
}

let keeping = Promise.resolve();

/** Keeps versions one after the other: two pages that are opened at once fetch a new one once. */
function keepInTurn(text) {
  const turn = keeping.then(() => keep(text));
  keeping = turn.catch(() => undefined);
  return turn;
}

async function forget() {
  for (const name of await caches.keys()) if (name.startsWith(PREFIX)) await caches.delete(name);
  await registration.unregister();
}

/** The page itself, of the newest version that can be had. */
async function page(request) {
  try {
    const there = await kept();
    const answer = await fetch(address(MANIFEST), { cache: "no-cache", signal: there ? AbortSignal.timeout(PATIENCE) : undefined });
    if (answer.status === 404 || answer.status === 410) {
      await forget();
      return fetch(request);
    }
    if (answer.ok) await keepInTurn(await answer.text());
  } catch {
    // No network, or a host in the middle of a change: what is kept will do.
  }
  return given(request, INDEX);
}

/** A file of the kept version, or else what the network says. */
async function given(request, name) {
  const found = await (await kept())?.cache.match(address(name));
  return found ?? fetch(request);
}

async function install() {
  const answer = await fetch(address(MANIFEST), { cache: "no-cache" });
  if (!answer.ok) throw new Error(`${MANIFEST}: ${answer.status}`);
  await keepInTurn(await answer.text());
  await skipWaiting();
}

addEventListener("install", (event) => event.waitUntil(install()));
addEventListener("activate", (event) => event.waitUntil(clients.claim()));
addEventListener("fetch", (event) => {
  const name = event.request.method === "GET" ? fileOf(event.request.url) : null;
  if (name === null || NOT_KEPT.has(name)) return;
  if (event.request.mode !== "navigate") event.respondWith(given(event.request, name));
  else if (name === INDEX) event.respondWith(page(event.request));
});
