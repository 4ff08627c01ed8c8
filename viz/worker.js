// The worker in which the compiler lives: Pyodide, the package, and one Tab that answers requests.
//
// It needs no shared memory: a request is a message {id, kind, params}, an answer {id, ok, value | error}. What happens meanwhile (training) comes
// as {event, data}. Where it has got to while starting comes as {starting}.

const HOME = "/home/pyodide";

/** Fetches a file of the site; throws with its name where it is not there. */
async function file(path, options) {
  const answer = await fetch(new URL(path, import.meta.url), options);
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${answer.statusText}`);
  return answer;
}

async function start() {
  const tell = (text) => postMessage({ starting: text });
  tell("Starting Python");
  const manifest = await (await file("manifest.json", { cache: "no-cache" })).json(); // an old one would name files that are gone
  const [{ loadPyodide }, archives] = await Promise.all([
    import(new URL(manifest.pyodide, import.meta.url).href),
    Promise.all(manifest.archives.map(async (path) => [path, await (await file(path)).arrayBuffer()])),
  ]);
  const python = await loadPyodide({
    indexURL: new URL("pyodide/", import.meta.url).href,
    stdLibURL: new URL(manifest.stdlib, import.meta.url).href,
  });
  python._api.on_fatal = (error) => postMessage({ broken: String(error?.message ?? error) }); // what was asked is never answered then
  tell("Loading the compiler");
  const places = archives.map(([path, bytes]) => {
    const place = `/lib/${path.split("/").pop()}`;
    python.FS.writeFile(place, new Uint8Array(bytes));
    return place;
  });
  const sys = python.pyimport("sys");
  sys.path.extend(python.toPy(places));
  sys.destroy();
  python.FS.chdir(HOME);
  tell("Opening the GPU");
  const browser = python.pyimport("anneal.runtime.browser");
  const opened = await browser.open_device_or_reason();
  const tab = python.pyimport("anneal.viz.tab").Tab.callKwargs({
    emit: (name, data) => postMessage({ event: name, data: JSON.parse(data) }),
    source_hash: manifest.source_hash,
    no_device: opened ?? undefined, // None; null would arrive as JsNull
  });
  // A promising call: inside it Python may wait for the GPU where the browser can switch stacks.
  return { python, serve: tab.serve.bind(tab) };
}

const started = start();
started.then(
  () => undefined,
  (error) => postMessage({ failed: String(error?.message ?? error) }),
);

onmessage = async ({ data: { id, kind, params } }) => {
  try {
    const { serve } = await started;
    await serve(JSON.stringify({ kind, params }), (text) => postMessage({ id, text }));
  } catch (error) {
    postMessage({ id, broken: String(error?.message ?? error) });
  }
};
