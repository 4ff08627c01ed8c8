// The stages as requests name them: which have a graph of their own, and which share one film.

/** The stages of the whole program, one after the other; of each of the rest there is a graph a kernel. */
export const PROGRAM = Object.freeze(["tensor", "backward", "simplified"]);

/** The stage whose graph is shown for a stage: WGSL is written from what is lowered. */
export function graphStage(stage) {
  return stage === "wgsl" ? "lowered" : stage;
}
