// A scene with the place of everything in it: boxes with what they say at the step that is shown, edges with their ways, frames around kernels.

import { boxes, caption, contracted } from "./folding.js";
import { RESULT, typeText } from "./nodes.js";

export const HEIGHT = 38;
const PADDING = 34; // of a box, beside its text: the phase's symbol stands left
const NARROWEST = 64;
const WIDEST = 300;

/**
 * Boxes and edges, and their sizes, of a scene that is still to be laid out.
 * @param {Film} film
 * @param {object} nodes what is known of nodes
 * @param {object} how as `boxes` wants it, with `measure(text, small)` in pixels, `cluster(slot)` or null, and `titles`: name and note of each group
 */
export function plan(film, nodes, how) {
  const made = boxes(film, nodes, how);
  const count = made.slots.length;
  const width = new Float32Array(count);
  for (let i = 0; i < count; i++) width[i] = Math.min(WIDEST, Math.max(NARROWEST, PADDING + widest(made, i, film, nodes, how)));
  const graph = { count, width, height: new Float32Array(count).fill(HEIGHT), from: made.from, to: made.to };
  if (how.cluster) {
    graph.cluster = Int32Array.from(made.slots, (slots) => how.cluster(slots[0]));
    graph.clusters = how.clusters;
  }
  return { ...made, graph };
}

function widest(made, i, film, nodes, how) {
  if (made.groups[i] !== null) {
    const [title, note] = how.titles(made.groups[i], made.sizes.get(made.groups[i]));
    return Math.max(how.measure(title, false), how.measure(note, true));
  }
  let most = 0;
  for (const id of film.stands[made.slots[i][0]]) {
    const row = nodes.get(id);
    const { label, extra } = caption(row, nodes, how.folded);
    most = Math.max(most, how.measure(extra ? `${label} ${extra}` : label, false), how.measure(noteOf(row), true));
  }
  return most;
}

/** The small line of a box. */
function noteOf(row) {
  const type = typeText(row);
  return row.name && !row.label.includes(row.name) ? `${row.name} · ${type}` : type;
}

/** A scene laid out. */
export class Scene {
  constructor(film, nodes, how, planned, laid) {
    const { graph, slots, groups, sizes } = planned;
    Object.assign(this, { film, nodes, how, slots, groups, sizes, count: graph.count, w: graph.width, h: graph.height, from: graph.from, to: graph.to });
    const { x, y, layer, start, points, long, frames } = laid;
    Object.assign(this, { x, y, layer, start, points, long });
    this.box = planned.box;
    /** The node that each box shows, -1 for a collapsed group. */
    this.id = new Int32Array(this.count);
    this.alive = new Uint8Array(this.count);
    this.phase = new Uint8Array(this.count);
    this.result = new Uint8Array(this.count);
    this.leaf = new Uint8Array(this.count);
    this.edgeAlive = new Uint8Array(this.from.length);
    this.texts = new Array(this.count);
    /** Kernels that are one box: gold. */
    this.fused = Uint8Array.from(groups, (group) => (group?.startsWith("kernel ") ? 1 : 0));
    this.frames = this.#framed(frames);
    this.edges = new Map();
    for (let e = 0; e < this.from.length; e++) this.edges.set(this.from[e] * this.count + this.to[e], e);
    this.#describe();
    this.seek(film.position);
  }

  #framed(frames) {
    const list = [];
    for (let c = 0; 4 * c < frames.length; c++) {
      const [x, y, w, h] = frames.subarray(4 * c, 4 * c + 4);
      const members = [];
      for (let i = 0; i < this.count; i++) if (this.how.cluster(this.slots[i][0]) === c) members.push(i);
      const group = this.how.groupOf(this.slots[members[0]]?.[0], null);
      if (members.length > 0 && this.groups[members[0]] === null) list.push({ group, x, y, w, h, members, text: this.how.titles(group, this.sizes.get(group)) });
    }
    return list;
  }

  /** What boxes say that says the same at every step. */
  #describe() {
    this.shown = new Int32Array(this.count).fill(-2);
    for (let i = 0; i < this.count; i++) {
      if (this.groups[i] === null) continue;
      const [label, note] = this.how.titles(this.groups[i], this.sizes.get(this.groups[i]));
      this.texts[i] = { label, extra: "", note, op: label };
    }
  }

  /** Show a step. */
  seek(step) {
    this.film.seek(step);
    this.held = null;
    const { ids } = this.film;
    for (let i = 0; i < this.count; i++) {
      const living = this.slots[i].find((slot) => ids[slot] >= 0);
      this.alive[i] = living === undefined ? 0 : 1;
      if (living === undefined) continue;
      this.id[i] = this.groups[i] === null ? ids[living] : -1;
      this.#tell(i, this.nodes.get(ids[living]));
    }
    this.#connect();
  }

  #tell(i, row) {
    if (this.shown[i] === row.id) return;
    this.shown[i] = row.id;
    this.phase[i] = row.phase;
    this.result[i] = row.flags & RESULT ? 1 : 0;
    this.leaf[i] = row.src.length === 0 ? 1 : 0;
    if (this.groups[i] === null) this.texts[i] = { ...caption(row, this.nodes, this.how.folded), note: noteOf(row), op: row.src.length === 0 && row.name ? row.name : row.label.split(" ")[0] };
  }

  #connect() {
    const { ids, sources } = this.film;
    const { from, to } = contracted(this.box, (slot) => (ids[slot] >= 0 ? sources[slot] : []), this.count);
    this.edgeAlive.fill(0);
    for (let e = 0; e < from.length; e++) {
      const edge = this.edges.get(from[e] * this.count + to[e]);
      if (edge !== undefined) this.edgeAlive[edge] = 1;
    }
  }

  /** The box in which a node is seen now, or -1; of what is folded away the first that shows it. Also where nodes were, with `ever`. */
  find(id, ever = false) {
    const now = this.holders.get(id);
    if (now !== undefined || !ever) return now?.[0] ?? -1;
    this.were ??= new Map(this.film.stands.flatMap((ids, slot) => ids.map((stood) => [stood, this.box[slot]])));
    return this.were.get(id) ?? -1;
  }

  /** For each node that lives the boxes that show it: its own, or those into which it is folded. Made when first asked for. */
  get holders() {
    if (this.held !== null) return this.held;
    this.held = new Map();
    const { ids, sources } = this.film;
    const put = (id, box) => (this.held.has(id) ? this.held.get(id).push(box) : this.held.set(id, [box]));
    for (let slot = 0; slot < ids.length; slot++) {
      if (ids[slot] < 0 || this.box[slot] < 0) continue;
      put(ids[slot], this.box[slot]);
      const stack = [slot];
      const seen = new Set();
      while (stack.length > 0) {
        for (const source of sources[stack.pop()]) {
          if (this.box[source] >= 0 || seen.has(source)) continue;
          seen.add(source);
          stack.push(source);
          put(ids[source], this.box[slot]);
        }
      }
    }
    return this.held;
  }

  /** The boxes that stand above or below a box, over edges that live: those it reads, or with `readers` those that read it. */
  beside(box, readers) {
    const [ends, others] = readers ? [this.from, this.to] : [this.to, this.from];
    const list = [];
    for (let e = 0; e < ends.length; e++) if (this.edgeAlive[e] && ends[e] === box) list.push(others[e]);
    return list;
  }

  /** The box at a place of the world, or -1. */
  at(wx, wy) {
    for (let i = 0; i < this.count; i++) {
      if (this.alive[i] && wx >= this.x[i] && wx <= this.x[i] + this.w[i] && wy >= this.y[i] && wy <= this.y[i] + this.h[i]) return i;
    }
    return -1;
  }

  /** The box next to one in its layer, on the left (-1) or right (1), or -1. */
  next(box, side) {
    let [best, least] = [-1, Infinity];
    for (let i = 0; i < this.count; i++) {
      const away = (this.x[i] - this.x[box]) * side;
      if (this.alive[i] && i !== box && this.y[i] === this.y[box] && away > 0 && away < least) [best, least] = [i, away];
    }
    return best;
  }

  /** The living box nearest to a place of the world, or -1. */
  nearest(wx, wy) {
    let [best, least] = [-1, Infinity];
    for (let i = 0; i < this.count; i++) {
      const away = Math.hypot(this.x[i] + this.w[i] / 2 - wx, this.y[i] + this.h[i] / 2 - wy);
      if (this.alive[i] && away < least) [best, least] = [i, away];
    }
    return best;
  }

  /** The group that a box is, or that its node belongs to; null for none. */
  groupOf(box) {
    return this.groups[box] ?? this.how.groupOf(this.slots[box][0], this.nodes.get(this.id[box]));
  }

  /** The middle of the topmost living box, across. */
  top() {
    let best = -1;
    for (let i = 0; i < this.count; i++) if (this.alive[i] && (best < 0 || this.y[i] < this.y[best])) best = i;
    return best < 0 ? 0 : this.x[best] + this.w[best] / 2;
  }

  /** How many boxes live. */
  get living() {
    let sum = 0;
    for (const a of this.alive) sum += a;
    return sum;
  }

  /** The frame whose title, at least `reach` high, is at a place of the world, or null. */
  frameAt(wx, wy, reach = 0) {
    return this.frames.find(({ x, y, w }) => wx >= x && wx <= x + w && wy >= y && wy <= y + Math.max(34, reach)) ?? null;
  }

  /** Left, top, right and bottom of what lives. */
  bounds() {
    const box = [Infinity, Infinity, -Infinity, -Infinity];
    const grow = (x, y, w, h) => {
      box[0] = Math.min(box[0], x);
      box[1] = Math.min(box[1], y);
      box[2] = Math.max(box[2], x + w);
      box[3] = Math.max(box[3], y + h);
    };
    for (let i = 0; i < this.count; i++) if (this.alive[i]) grow(this.x[i], this.y[i], this.w[i], this.h[i]);
    for (const { x, y, w, h } of this.frames) grow(x, y, w, h);
    return box[0] === Infinity ? [0, 0, 1, 1] : box;
  }
}
