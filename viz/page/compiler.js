// The page's end of the worker in which the compiler lives.

import { takeWorker } from "./first_worker.js";

/** What a request is refused with: what happened, where in the program, what to try. */
class Failure extends Error {
  constructor({ kind, message, line = null, column = null, end_column = null, printed = "", hint = null, frames = [] }) {
    super(message);
    Object.assign(this, { kind, line, column, end_column, printed, hint, frames });
  }
}

/**
 * A compiler that answers requests, one worker at a time.
 * @param {{starting?: (text: string) => void, failed?: (message: string) => void}} told called as the worker tells of itself; after `failed` it answers
 *   nothing more until it is started anew
 */
export function makeCompiler(told = {}) {
  const waiting = new Map();
  const listeners = new Map();
  let worker = null;
  let number = 0;

  function begin() {
    const { worker: mine, said } = takeWorker();
    worker = mine;
    const listen = (data) => {
      if (mine === worker) receive(data); // one that was ended may have said something before
    };
    worker.onmessage = ({ data }) => listen(data);
    worker.onerror = (event) => {
      event.preventDefault();
      broken(event.message || "the worker could not be started");
    };
    queueMicrotask(() => said.forEach(listen)); // whoever asked for the compiler has it then
  }

  function broken(message) {
    told.failed?.(message);
    refuse(new Failure({ kind: "WorkerError", message: `The compiler's worker has failed: ${message}`, hint: "“Start it again” starts a new one." }));
  }

  function refuse(failure) {
    const refused = [...waiting.values()];
    waiting.clear();
    for (const { reject } of refused) reject(failure);
  }

  function receive(data) {
    if (data.starting !== undefined) told.starting?.(data.starting);
    else if (data.failed !== undefined) broken(data.failed);
    else if (data.event !== undefined) tell(data.event, data.data);
    else if (data.broken !== undefined) broken(data.broken); // Python itself has failed: a refusal would be an answer
    else settle(data);
  }

  function tell(name, data) {
    for (const listener of listeners.get(name) ?? []) listener(data);
  }

  function settle({ id, text }) {
    const { resolve, reject } = waiting.get(id) ?? {};
    waiting.delete(id);
    if (resolve === undefined) return;
    const answer = JSON.parse(text);
    if (answer.ok) resolve(answer.value);
    else reject(new Failure(answer.error));
  }

  begin();
  return {
    /** Ask; resolves with the answer's value, rejects with a Failure. */
    request(kind, params = {}) {
      const id = ++number;
      return new Promise((resolve, reject) => {
        waiting.set(id, { resolve, reject });
        worker.postMessage({ id, kind, params });
      });
    },
    /** Call `listener` with the data of each event of that name, "restarted" when all that a worker knew is gone; returns what ends it. */
    on(name, listener) {
      if (!listeners.has(name)) listeners.set(name, new Set());
      listeners.get(name).add(listener);
      return () => listeners.get(name).delete(listener);
    },
    /** End the worker, whatever it is doing, and start a new one; what was asked is refused with a Failure of kind "Stopped". */
    restart() {
      worker.terminate();
      refuse(new Failure({ kind: "Stopped", message: "Stopped. The program that ran has been ended; a new compiler is starting." }));
      begin();
      tell("restarted", null);
    },
  };
}
