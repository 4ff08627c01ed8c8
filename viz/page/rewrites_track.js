// Every rewrite of a stage in a row: the positions of the slider, over all scenes of the stage.
//
// A scene with n rewrites has n + 1 positions: its beginning, and what stands after each of its rewrites.

import { filmOf } from "./rewrites_films.js";

/**
 * @param {{scenes: object[]}|null} outline as `film` answers have it; null where nothing is known yet
 * @param {string} stage
 */
export function makeTrack(outline, stage) {
  const scenes = outline?.scenes ?? [];
  const parts = [];
  let length = 0;
  scenes.forEach((scene, number) => {
    const section = scene.sections.find(([name]) => filmOf(stage) !== "program" || name === stage);
    if (section === undefined) return;
    const [, first, last] = section;
    parts.push({ scene: number, first, last, base: length, index: parts.length });
    length += last - first + 1;
  });

  function partAt(position) {
    let low = 0;
    let high = parts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (parts[middle].base <= position) low = middle;
      else high = middle - 1;
    }
    return parts[low] ?? null;
  }

  function at(position) {
    const part = partAt(position);
    if (part === null) return null;
    const step = part.first + position - part.base;
    return { part, scene: part.scene, step, begins: step === part.first, rule: step === part.first ? null : scenes[part.scene].rules[step - 1] };
  }

  return {
    scenes,
    parts,
    /** How many positions there are. */
    length,
    /** How many rewrites there are. */
    rewrites: length - parts.length,
    /** Where a position is: its scene and step, whether the scene begins there, and the rule that led to it (null: none did). Null where there is none. */
    at,
    /** Rewrites before and at a position. */
    done: (position) => position - (partAt(position)?.index ?? 0),
    /** The position of a scene and a step; null where they are not of this stage. */
    position(scene, step) {
      const part = parts.find((one) => one.scene === scene);
      return part !== undefined && step >= part.first && step <= part.last ? part.base + step - part.first : null;
    },
    /** The next position in a direction, 1 or -1, to which one of the rules led (null: any position); null where there is none. */
    next(from, direction, rule = null) {
      for (let position = from + direction; position >= 0 && position < length; position += direction) {
        if (rule === null || at(position).rule === rule) return position;
      }
      return null;
    },
    /** The beginning of the scene after, or before, that of a position (null: before all); null where there is none. */
    scene(from, direction) {
      if (from === null || from >= length) return (direction > 0 ? parts[0] : parts.at(-1))?.base ?? null;
      const part = partAt(from);
      if (part === null) return null;
      if (direction < 0 && from > part.base) return part.base;
      return parts[part.index + direction]?.base ?? null;
    },
    /** How many rewrites there were, equal calls of the rewriter each time. */
    total() {
      return parts.reduce((sum, { scene, first, last }) => sum + (last - first) * scenes[scene].times, 0);
    },
    /** How often each rule fired, by name; equal calls of the rewriter count each time. */
    fired() {
      const times = new Map();
      for (const { scene, first, last } of parts) {
        const { rules, times: calls } = scenes[scene];
        for (let step = first; step < last; step++) {
          const name = rules[step];
          if (name !== null) times.set(name, (times.get(name) ?? 0) + calls);
        }
      }
      return times;
    },
  };
}
