// The address: what is shown, in a form that opens again. Examples by name and the rest readable; a program of one's own is deflated.

import { describe } from "./described.js";

/** Characters that a program may have in an address; browsers and mail programs cut longer ones. */
const LONGEST = 16_000;
/** Characters that a program may grow to when it is read from a link. */
const LARGEST = 1_000_000;

const STAGE = /^[a-z]{1,20}$/u;
const PATH = /^[\w.,:/-]{1,4000}$/u;
const NUMBERS = ["scene", "step", "kernel"];

/** What can be said in a link: text to base64url of its deflated UTF-8. */
async function pack(text) {
  const bytes = new Uint8Array(await new Response(new Blob([text]).stream().pipeThrough(new CompressionStream("deflate-raw"))).arrayBuffer());
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** The text that was packed. Throws where it was not. */
async function unpack(packed) {
  const binary = atob(packed.replaceAll("-", "+").replaceAll("_", "/"));
  const stream = new Blob([Uint8Array.from(binary, (letter) => letter.charCodeAt(0))]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let text = "";
  for await (const chunk of read(stream)) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > LARGEST) throw new Error("too long");
  }
  return text + decoder.decode();
}

async function* read(stream) {
  const reader = stream.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) yield part.value;
}

/**
 * The hash (without #) of a state.
 * @returns {Promise<{hash: string, long: boolean}>} `long`: the program does not fit into an address, and the hash has none
 */
async function encode(state, program) {
  const words = new URLSearchParams();
  let long = false;
  if (program !== null && !program.launched) {
    const example = exampleOf(state.info, program);
    if (example !== null) words.set("example", example.name);
    else {
      const code = await pack(program.source);
      long = code.length > LONGEST;
      if (!long) {
        words.set("code", code);
        if (program.name !== "program") words.set("name", program.name);
      }
    }
  }
  if (program?.part) words.set("part", program.part);
  if (state.stage !== "tensor") words.set("stage", state.stage);
  for (const key of NUMBERS) if (state[key] !== null) words.set(key, String(state[key]));
  if (state.path) words.set("node", state.path);
  if (state.pane !== "node") words.set("pane", state.pane);
  return { hash: words.toString(), long };
}

/** The registered example that a program is, unchanged, or null. */
export function exampleOf(info, { source, name }) {
  const same = (info?.examples ?? []).filter((example) => example.source === source);
  return same.find((example) => example.name === name) ?? same[0] ?? null;
}

/**
 * What a hash says.
 * @returns {Promise<{program: {source: string, part: string|null, name: string}|null, part: string|null, view: object, wrong: string[]}>} `program` null
 *   where it names none that can be read; `wrong`: what could not be read, in words
 */
async function decode(hash, info, panes) {
  const words = new URLSearchParams(hash.replace(/^#/u, ""));
  const wrong = [];
  const part = /^[a-z]{1,20}$/u.test(words.get("part") ?? "") ? words.get("part") : null;
  const program = await programOf(words, part, info, wrong);
  const view = {};
  for (const [key, value] of words) {
    if (NUMBERS.includes(key)) {
      if (/^\d{1,9}$/u.test(value)) view[key] = Number(value);
      else wrong.push(`${key} is no number`);
    } else if (key === "stage") {
      if (STAGE.test(value)) view.stage = value;
      else wrong.push("the stage cannot be read");
    } else if (key === "pane") {
      if (panes.includes(value)) view.pane = value;
      else wrong.push("there is no such pane");
    } else if (key === "node") {
      if (PATH.test(value)) view.path = value;
      else wrong.push("the node cannot be read");
    } else if (!["example", "code", "name", "part"].includes(key)) wrong.push("it has words that mean nothing here");
  }
  return { program, part, view, wrong };
}

async function programOf(words, part, info, wrong) {
  if (words.has("example")) {
    const example = info.examples.find(({ name }) => name === words.get("example"));
    if (example !== undefined) return { source: example.source, part: part ?? example.part ?? null, name: example.name };
    wrong.push(`there is no example “${words.get("example").slice(0, 40)}”`);
  } else if (words.has("code")) {
    try {
      return { source: await unpack(words.get("code")), part, name: (words.get("name") ?? "").slice(0, 80) || "program" };
    } catch {
      wrong.push("its program is damaged");
    }
  }
  return null;
}

/**
 * Keeps the address and the state together.
 * @param {object} context store, compiler, notice, session, and nodes once there are some
 * @param {string[]} panes the panes there are
 */
export function makeShare(context, panes) {
  const { store, notice, session } = context;
  let settling = 0; // the address is left alone while a link is being opened
  let pushed = null; // the program of the newest entry of the history
  let first = null; // gives the program where an address names none
  let timer = 0;

  /** The node's path is asked for when a node is chosen: a link cannot name it by its number. */
  store.on(["node", "stage", "opened"], async ({ node, stage }) => {
    if (node === null) {
      store.set({ path: null });
      return;
    }
    try {
      const { path } = await describe(context);
      if (store.state.node === node && store.state.stage === stage) store.set({ path });
    } catch {
      store.set({ path: null }); // it is not in this stage
    }
  });

  store.on(["stage", "scene", "step", "kernel", "pane", "path", "opened"], () => {
    clearTimeout(timer);
    timer = setTimeout(write, 150);
  });

  async function write() {
    if (settling > 0 || session.shown === null) return;
    const program = session.shown;
    const { hash } = await encode(store.state, program);
    if (settling > 0 || `#${hash}` === location.hash) return;
    const fresh = pushed !== null && pushed !== program;
    pushed = program;
    history[fresh ? "pushState" : "replaceState"](null, "", hash ? `#${hash}` : location.pathname + location.search);
  }

  /** Opens what the address says; `otherwise` gives the program where it names none. */
  async function open(otherwise) {
    first ??= otherwise;
    settling += 1;
    try {
      const { program, part, view, wrong } = await decode(location.hash, store.state.info, panes);
      if (wrong.length > 0) notice(`Parts of this link could not be read: ${wrong.join("; ")}. The rest is shown.`, { kind: "error", key: "link" });
      const wanted = program ?? { ...(await otherwise()), ...(part ? { part } : {}) };
      if (wanted.wait) {
        session.put(wanted);
        return;
      }
      const same = session.shown !== null && wanted.source === session.shown.source && (wanted.part ?? null) === session.shown.part;
      const whole = { stage: "tensor", scene: null, step: null, kernel: null, path: null, pane: "node", ...view };
      if (same && store.state.compiled !== null) {
        store.set({ node: null, source: wanted.source, error: null });
        await session.look(whole);
      } else await session.show(wanted, whole);
      pushed = session.shown;
    } finally {
      settling -= 1;
    }
    await write();
  }

  addEventListener("popstate", () => open(async () => session.shown ?? (await first())));

  /** Copies the address of what is shown. */
  async function copy() {
    const { source, asked, name } = store.state;
    const program = session.shown?.source === source ? session.shown : { source, part: asked, name }; // what the user sees, were it wrong
    const { hash, long } = await encode(store.state, { ...program, launched: false });
    if (long) {
      notice("This program is too long for a link. Save its text, or share it as a file: anneal viz file.py:function opens it.", { kind: "error", key: "copied" });
      return;
    }
    const address = `${location.origin}${location.pathname}#${hash}`;
    try {
      await navigator.clipboard.writeText(address);
      const alone = program.files && Object.keys(program.files).length > 0 ? " The modules that it imports are not in it." : "";
      notice(`The link is copied. It opens this program at this place.${alone}`, { key: "copied" });
    } catch {
      history.replaceState(null, "", `#${hash}`);
      notice("This browser does not let the page copy. The link is in the address bar.", { key: "copied" });
    }
  }

  return { open, copy, write };
}
