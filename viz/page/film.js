// A scene of a film: a graph that changes step by step, forward and backward, and everything that ever lives in it.
//
// A slot is a place in the picture. Each step says which slots appear, go, read others and stand for another node; what undoes it is kept
// when the scene is first gone through, so that any step is reached from any other by the steps between.

const NONE = [];

/** What stands in a scene that does not change: the graphs of a stage, one after the other. */
export function still(graphs, nodes) {
  const slots = [];
  const roots = [];
  const group = [];
  graphs.forEach((graph, number) => {
    const place = new Map(graph.nodes.map((id, i) => [id, slots.length + i]));
    for (const id of graph.nodes) {
      const src = nodes.get(id).src.map((u) => place.get(u)).filter((slot) => slot !== undefined);
      slots.push([place.get(id), id, src]);
      group.push(number);
    }
    roots.push(...graph.roots.map((id) => place.get(id)));
  });
  return { scene: { title: "", kernel: null, start: { slots, roots }, steps: [] }, group };
}

/** The player of one scene. */
export class Film {
  /** @param {object} scene as `film` answers have it */
  constructor(scene) {
    this.steps = scene.steps;
    this.size = slotsOf(scene);
    /** The node that each slot stands for, -1 where nothing lives. */
    this.ids = new Int32Array(this.size).fill(-1);
    /** The slots that each slot reads. */
    this.sources = new Array(this.size).fill(NONE);
    this.roots = scene.start.roots ?? NONE;
    /** How many steps have been taken. */
    this.position = 0;
    for (const [slot, id, src] of scene.start.slots) this.#put(slot, id, src);
    this.#survey(scene);
  }

  get length() {
    return this.steps.length;
  }

  /** Show the scene after that many steps; out of range is the nearest end. */
  seek(step) {
    const wanted = Math.max(0, Math.min(this.length, Math.trunc(step)));
    while (this.position < wanted) this.#forward(this.steps[this.position++]);
    while (this.position > wanted) this.#backward(--this.position);
  }

  /** The graph as it is: nodes by id with what they read, each slot once, in the order of slots. */
  graph() {
    const nodes = [];
    for (let slot = 0; slot < this.size; slot++) {
      if (this.ids[slot] >= 0) nodes.push({ slot, id: this.ids[slot], src: this.sources[slot].map((s) => this.ids[s]) });
    }
    return { nodes, roots: this.roots.map((slot) => this.ids[slot]) };
  }

  #put(slot, id, src) {
    this.ids[slot] = id;
    this.sources[slot] = src;
  }

  #forward(step) {
    for (const [slot, id, src] of step.add ?? NONE) this.#put(slot, id, src);
    for (const [slot, src] of step.edges ?? NONE) this.sources[slot] = src;
    for (const [slot, id] of step.is ?? NONE) this.ids[slot] = id;
    for (const slot of step.drop ?? NONE) this.#put(slot, -1, NONE);
    if (step.roots) this.roots = step.roots;
  }

  #backward(number) {
    const { slots, roots } = this.undo[number];
    for (const [slot, id, src] of slots) this.#put(slot, id, src);
    this.roots = roots;
  }

  /** Go through the scene once: what undoes each step, which nodes a slot stands for, and who ever reads whom. */
  #survey(scene) {
    this.undo = [];
    /** For each slot the nodes that it ever stands for. */
    this.stands = Array.from({ length: this.size }, () => NONE);
    /** For each slot the slots that it ever reads, each once. */
    this.reads = Array.from({ length: this.size }, () => new Set());
    /** Slots that are ever a root. */
    this.ends = new Set(this.roots);
    for (const [slot, id, src] of scene.start.slots) this.#note(slot, id, src);
    for (const step of this.steps) {
      this.undo.push({ slots: [...touched(step)].map((slot) => [slot, this.ids[slot], this.sources[slot]]), roots: this.roots });
      this.#forward(step);
      for (const [slot, id, src] of step.add ?? NONE) this.#note(slot, id, src);
      for (const [slot, src] of step.edges ?? NONE) this.#note(slot, null, src);
      for (const [slot, id] of step.is ?? NONE) this.#note(slot, id, NONE);
      for (const slot of step.roots ?? NONE) this.ends.add(slot);
      this.position += 1;
    }
    this.seek(0);
  }

  #note(slot, id, src) {
    if (id !== null && !this.stands[slot].includes(id)) this.stands[slot] = [...this.stands[slot], id];
    for (const source of src) this.reads[slot].add(source);
  }
}

function touched(step) {
  const slots = new Set(step.drop ?? NONE);
  for (const entries of [step.add, step.edges, step.is]) for (const [slot] of entries ?? NONE) slots.add(slot);
  return slots;
}

function slotsOf(scene) {
  let most = -1;
  for (const [slot] of scene.start.slots) most = Math.max(most, slot);
  for (const step of scene.steps) for (const [slot] of step.add ?? NONE) most = Math.max(most, slot);
  return most + 1;
}
