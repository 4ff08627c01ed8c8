// The page's end of the worker that lays graphs out.

const WORKER = new URL("../layout_worker.js", import.meta.url);

/** Lays graphs out without making the page wait. */
export function makeLayouts() {
  const waiting = new Map();
  let worker = null;
  let ticket = 0;
  start(); // it is there when the first graph comes

  function start() {
    worker = new Worker(WORKER, { type: "module", name: "layout" });
    worker.onmessage = ({ data }) => {
      const { resolve, reject } = waiting.get(data.ticket);
      waiting.delete(data.ticket);
      if (data.failed === undefined) resolve(data.laid);
      else reject(new Error(`The graph could not be laid out: ${data.failed}`));
    };
    worker.onerror = (event) => {
      event.preventDefault();
      for (const { reject } of waiting.values()) reject(new Error(`The graph could not be laid out: ${event.message || "its worker failed"}`));
      waiting.clear();
      worker.terminate();
      worker = null;
    };
  }

  return {
    /** Resolves with what `layout` gives. */
    lay(graph) {
      if (worker === null) start();
      const mine = ++ticket;
      return new Promise((resolve, reject) => {
        waiting.set(mine, { resolve, reject });
        worker.postMessage({ ticket: mine, graph });
      });
    },
  };
}
