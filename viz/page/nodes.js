// What the page knows of nodes: every answer tells rows of nodes that it speaks of for the first time.

/** Bits of a row's flags. */
export const LEAF = 1;
export const ARITHMETIC = 2;
export const RESULT = 4;

/** The phases by number, each with its colour's variable, its symbol and its dashes: colour never says it alone. */
export const PHASES = [
  { name: "forward", symbol: "—", dash: [] },
  { name: "backward", symbol: "╌", dash: [5, 4] },
  { name: "update", symbol: "↻", dash: [1.5, 3.5] },
];

/** A phase by its name. */
export function phaseOf(name) {
  return PHASES.find((phase) => phase.name === name) ?? PHASES[0];
}

const UNKNOWN = Object.freeze({ op: "?", dtype: "", shape: null, src: [], label: "?", phase: 0, flags: 0, line: 0, module: null, name: null });

/**
 * A map from a node's id to what is known of it.
 * `tell(rows)` takes rows as answers have them: `[id, op, dtype, shape, src, label, phase, flags, line, module, name]`.
 * A program that is opened later gives its own nodes the same numbers, and tells of them anew before it speaks of them.
 */
export function makeNodes() {
  const known = new Map();
  return {
    tell(rows) {
      for (const [id, op, dtype, shape, src, label, phase, flags, line, module, name] of rows) {
        known.set(id, { id, op, dtype, shape, src, label, phase, flags, line, module, name });
      }
    },
    /** What is known of a node; of one never told of, that it is unknown. */
    get: (id) => known.get(id) ?? { ...UNKNOWN, id },
    has: (id) => known.has(id),
    /** The ids of nodes that a line of the program made. */
    byLine: (line) => [...known.values()].filter((row) => row.line === line).map(({ id }) => id),
    get size() {
      return known.size;
    },
  };
}

/** A dtype and a shape as one word: `float32 (64, 10)`. */
export function typeText({ dtype, shape }) {
  if (!dtype || dtype === "void") return "";
  return shape && shape.length > 0 ? `${dtype} (${shape.join(", ")})` : dtype;
}
