// The films of the program that is open, asked for once and kept until another program is opened or compiled.

import { graphStage, PROGRAM } from "./stages.js";

const KEPT = 32; // scenes

/** The film that a stage belongs to: the first three stages share one; WGSL is written from what is lowered. */
export function filmOf(stage) {
  return PROGRAM.includes(stage) ? "program" : graphStage(stage);
}

const shared = new WeakMap();

/**
 * What asks for films; every pane of a page gets the same one, so that nothing is asked twice.
 * @param {{store: object, compiler: object, nodes: object}} context
 * @returns {{outline: (stage: string) => Promise<{film: string, scenes: object[]}>, scene: (stage: string, number: number) => Promise<object>}}
 *   outlines: `{title, kernel, times, sections: [[stage, first step, end]], rules: [name | null a step]}`; a scene as `film` answers have it
 */
export function filmsOf(context) {
  if (!shared.has(context.compiler)) shared.set(context.compiler, makeFilms(context));
  return shared.get(context.compiler);
}

function makeFilms({ store, compiler, nodes }) {
  let opened = null;
  let compiled = null;
  let answers = new Map();

  function asked(params) {
    if (opened !== store.state.opened || compiled !== store.state.compiled) {
      ({ opened, compiled } = store.state);
      answers = new Map();
    }
    const mine = answers;
    const key = `${params.stage} ${params.scene ?? ""}`;
    if (!mine.has(key)) {
      const answer = compiler.request("film", params).then((told) => {
        if (told.rows) nodes.tell(told.rows);
        return told;
      });
      mine.set(key, answer);
      answer.catch(() => mine.delete(key));
      if (mine.size > KEPT) mine.delete(mine.keys().next().value);
    }
    return mine.get(key);
  }

  return {
    outline: (stage) => asked({ stage: filmOf(stage) === "program" ? "simplified" : filmOf(stage) }),
    scene: (stage, number) => asked({ stage: filmOf(stage) === "program" ? "simplified" : filmOf(stage), scene: number }),
  };
}
