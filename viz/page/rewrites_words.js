// A rewrite in words: what the page knows of its rule at once, and its sides as the compiler prints them.

import { filmOf } from "./rewrites_films.js";

const KEPT = 400; // steps
const NOTHING = { stage: "", rule: null, before: "", after: "", late: false };

/**
 * @param {{store: object, compiler: object}} context
 * @param {() => void} redraw called when something more is told
 */
export function makeWords({ store, compiler }, redraw) {
  let told = new Map();
  let asking = false;

  const keyOf = ({ scene, step }) => `${filmOf(store.state.stage)} ${scene} ${step}`;

  return {
    /** What a card says of a place on a track, null for the stage as a whole: see `show` of rewrites_card.js. */
    of(track, found) {
      if (found === null) return { ...NOTHING, title: "The stage as a whole", note: `Press → or Play to see how it came to be.${equalOnes(track)}` };
      const { title, times } = track.scenes[found.scene];
      const note = track.parts.length > 1 ? `${title}${times > 1 ? `, ${times} times` : ""}` : "";
      if (found.begins) return { ...NOTHING, title: "Before the first rewrite", note };
      const answer = told.get(keyOf(found));
      if (answer !== undefined) return { ...answer, note, late: false };
      const rule = store.state.info?.rules[found.rule] ?? null;
      return { ...NOTHING, title: found.rule ?? "What no rule does", stage: store.state.stage, rule, note, late: true };
    },
    /** Asks for a step in words; of steps that are passed quickly only the last is asked for. */
    async ask(found) {
      if (found === null || found.begins || asking || told.has(keyOf(found))) return;
      const mine = told;
      const key = keyOf(found);
      const { stage } = store.state;
      asking = true;
      try {
        mine.set(key, await compiler.request("step", { film: stage, scene: found.scene, step: found.step }));
      } catch (error) {
        mine.set(key, { ...NOTHING, stage, title: found.rule ?? "", after: error.message });
      }
      asking = false;
      if (mine.size > KEPT) mine.delete(mine.keys().next().value);
      redraw();
    },
    /** Another program has been compiled. */
    forget() {
      told = new Map();
    },
  };
}

/** A compiler asks for the same again and again: why fewer rewrites are shown than there were. */
function equalOnes(track) {
  const total = track.total();
  return total > track.rewrites ? ` Of ${total} rewrites, equal ones are shown once: ${track.rewrites}.` : "";
}
