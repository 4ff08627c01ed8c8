// Starts the compiler's worker before the rest of the page is there: Python takes longest to start. What it says until the page listens is kept.

/** A worker in which the compiler starts. */
const startWorker = () => new Worker(new URL("../worker.js", import.meta.url), { type: "module", name: "anneal" });

const said = [];
let first = startWorker();
first.onmessage = ({ data }) => said.push(data);
first.onerror = (event) => {
  event.preventDefault();
  said.push({ failed: event.message || "the worker could not be started" });
};

/** The worker that was started with the page, and what it has said by now; once. Then a new one, which has said nothing. */
export function takeWorker() {
  const worker = first ?? startWorker();
  first = null;
  return { worker, said: said.splice(0) };
}
