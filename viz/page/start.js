// Which program the page begins with: the one the command handed over, the user's last one, or the first example.

import { keep, recall } from "./memory.js";
import { exampleOf } from "./share.js";

const FIRST = "mlp";

/**
 * The program to begin with where the address names none.
 * @returns {Promise<import("./session.js").Program>} with `wait` where it did not come to an end last time
 */
export async function firstProgram(info, notice) {
  const launched = await launch(info, notice);
  if (launched !== null) return launched;
  const last = recall("program");
  if (typeof last?.source === "string") {
    const named = info.examples.find(({ name }) => name === last.example);
    return { source: named?.source ?? last.source, part: last.part ?? null, name: named?.name ?? String(last.name), wait: last.ran === false };
  }
  return exampleProgram(info, FIRST);
}

/** A registered example as a program; the first one where there is none of that name. */
export function exampleProgram(info, wanted) {
  const example = info.examples.find(({ name }) => name === wanted) ?? info.examples[0];
  return { source: example.source, part: example.part ?? null, name: example.name };
}

/** What `anneal viz` hands over beside the page; asked for only when the address says so, as a plain host does not have it. */
async function launch(info, notice) {
  if (new URLSearchParams(location.search).get("launch") === null) return null;
  try {
    const answer = await fetch("launch.json", { cache: "no-store" });
    if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
    const { example, source, name, part = null, files = {} } = await answer.json();
    if (typeof source !== "string") return { ...exampleProgram(info, example), ...(part ? { part } : {}), launched: true };
    return { source, name: name ?? "program", part, files, launched: true };
  } catch (error) {
    notice(`The program that was asked for could not be fetched (${error.message}); the first example is shown.`, { kind: "error", key: "launch" });
    return null;
  }
}

/** Keeps the user's program for the next visit; `ran` is false while it has not come to an end, so that an endless one is not started again by itself. */
export function keepProgram(store) {
  let timer = 0;
  const write = () => {
    const { source, asked, name, info, unfinished, stopped } = store.state;
    const example = exampleOf(info, { source, name })?.name ?? null;
    keep("program", { source: example === null ? source : "", part: asked, name, example, ran: source !== unfinished && source !== stopped });
  };
  store.on(["source", "asked", "unfinished"], ({ source }, changed) => {
    clearTimeout(timer);
    if (!source) return;
    if (changed.has("unfinished")) write(); // at once: what follows may never end, and what has ended is to be started again
    else timer = setTimeout(write, 300);
  });
}
