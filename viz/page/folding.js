// Which boxes a scene is drawn as: constants and index arithmetic fold into their readers, a collapsed module or kernel is one box.
//
// A box is fixed for a scene, whatever step is shown, so that it keeps its place: a slot folds only where all it ever stands for folds.

import { ARITHMETIC, LEAF, RESULT } from "./nodes.js";

/** Whether a node folds into its readers. */
function folds(row) {
  return (row.flags & (LEAF | ARITHMETIC)) !== 0 && (row.flags & RESULT) === 0;
}

/**
 * @param {Film} film
 * @param {object} nodes what is known of nodes
 * @param {{folded: boolean, collapsed: Set<string>, groupOf: (slot: number, row: object) => string|null}} how `groupOf` names what a slot collapses into
 * @returns {{box: Int32Array, slots: number[][], groups: (string|null)[], sizes: Map<string|null, number>, from: Int32Array, to: Int32Array}} the box of
 *   each slot, -1 where it is folded away; the slots and, of a collapsed one, the group of each box; the slots of each group, folded ones too;
 *   edges that ever are, from operand to reader
 */
export function boxes(film, nodes, { folded, collapsed, groupOf }) {
  const box = new Int32Array(film.size).fill(-1);
  const slots = [];
  const groups = [];
  const sizes = new Map();
  const collapsing = new Map();
  for (let slot = 0; slot < film.size; slot++) {
    const ids = film.stands[slot];
    if (ids.length === 0) continue;
    const group = groupOf(slot, nodes.get(ids[0]));
    sizes.set(group, (sizes.get(group) ?? 0) + 1);
    if (folded && !film.ends.has(slot) && ids.every((id) => folds(nodes.get(id)))) continue;
    if (group !== null && collapsed.has(group)) {
      if (!collapsing.has(group)) collapsing.set(group, add(slots, groups, group));
      box[slot] = collapsing.get(group);
    } else box[slot] = add(slots, groups, null);
    slots[box[slot]].push(slot);
  }
  return { box, slots, groups, sizes, ...contracted(box, (slot) => film.reads[slot], slots.length) };
}

function add(slots, groups, group) {
  groups.push(group);
  return slots.push([]) - 1;
}

/**
 * Edges between boxes, through what is folded away, each once.
 * @param {Int32Array} box the box of each slot
 * @param {(slot: number) => Iterable<number>} sources what a slot reads
 */
export function contracted(box, sources, count) {
  const above = throughFolded(box, sources);
  const seen = new Set();
  const from = [];
  const to = [];
  for (let slot = 0; slot < box.length; slot++) {
    const reader = box[slot];
    if (reader < 0) continue;
    for (const source of sources(slot)) {
      for (const operand of box[source] >= 0 ? [box[source]] : above(source)) {
        const key = operand * count + reader;
        if (operand === reader || seen.has(key)) continue;
        seen.add(key);
        from.push(operand);
        to.push(reader);
      }
    }
  }
  return { from: Int32Array.from(from), to: Int32Array.from(to) };
}

/** The boxes that a folded slot's value comes from, found once a slot. */
function throughFolded(box, sources) {
  const found = new Map();
  return (start) => {
    const known = found.get(start);
    if (known !== undefined) return known;
    const boxesAbove = new Set();
    const seen = new Set([start]);
    const stack = [start];
    while (stack.length > 0) {
      for (const source of sources(stack.pop())) {
        if (box[source] >= 0) boxesAbove.add(box[source]);
        else if (!seen.has(source)) {
          seen.add(source);
          stack.push(source);
        }
      }
    }
    const list = [...boxesAbove];
    found.set(start, list);
    return list;
  };
}

const LONGEST = 30;

/** What a box says of a node: its label, and what is folded into it. */
export function caption(row, nodes, folded) {
  const extra = [];
  if (folded) {
    for (const id of row.src) {
      const source = nodes.get(id);
      if (source && folds(source)) extra.push(short(source));
    }
  }
  const text = [...new Set(extra)].join(", ");
  return { label: row.label, extra: text.length > LONGEST ? `${text.slice(0, LONGEST - 1)}…` : text };
}

function short(row) {
  if (row.op === "const") return row.label.replace(/^const\s+/u, "");
  return row.name ?? row.label.split(" ")[0];
}
