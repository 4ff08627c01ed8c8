// The layer of each box: below everything it reads, and no further from its readers than it need be.

/** Neighbours as one array: those of v are `list[start[v] .. start[v+1]]`, in the order of the edges. */
export function neighbours(count, keys, values) {
  const start = new Int32Array(count + 1);
  for (let e = 0; e < keys.length; e++) start[keys[e] + 1]++;
  for (let v = 0; v < count; v++) start[v + 1] += start[v];
  const next = start.slice(0, count);
  const list = new Int32Array(keys.length);
  for (let e = 0; e < keys.length; e++) list[next[keys[e]]++] = values[e];
  return { start, list };
}

/**
 * Which edges to turn round so that no cycle is left: those that lead back to a box on the way of a walk in depth. Edges of a box to itself count.
 * @returns {Uint8Array} one number an edge
 */
export function acyclic({ count, from, to }) {
  const flipped = new Uint8Array(from.length);
  const edges = neighbours(count, from, Int32Array.from(from, (_, e) => e));
  const seen = new Uint8Array(count); // 1 on the way, 2 done
  const next = edges.start.slice(0, count);
  const way = [];
  for (let root = 0; root < count; root++) {
    if (seen[root]) continue;
    way.push(root);
    seen[root] = 1;
    while (way.length > 0) {
      const u = way[way.length - 1];
      if (next[u] === edges.start[u + 1]) {
        seen[u] = 2;
        way.pop();
        continue;
      }
      const e = edges.list[next[u]++];
      if (seen[to[e]] === 1) flipped[e] = 1;
      else if (seen[to[e]] === 0) {
        seen[to[e]] = 1;
        way.push(to[e]);
      }
    }
  }
  return flipped;
}

/** The boxes, operands first. The graph has no cycle but edges of a box to itself, which are passed over. */
export function operandsFirst({ count, from, to }, readers) {
  const waits = new Int32Array(count);
  for (let e = 0; e < from.length; e++) if (from[e] !== to[e]) waits[to[e]]++;
  const order = new Int32Array(count);
  let end = 0;
  for (let v = 0; v < count; v++) if (waits[v] === 0) order[end++] = v;
  for (let i = 0; i < end; i++) {
    const u = order[i];
    for (let k = readers.start[u]; k < readers.start[u + 1]; k++) {
      const v = readers.list[k];
      if (v !== u && --waits[v] === 0) order[end++] = v;
    }
  }
  return order;
}

/**
 * The longest way from a leaf, then pulled down: what costs no edge any length (leaves, and trees that only they feed) stands right above its
 * first reader, and so does what has more readers than operands.
 * @returns {Int32Array} a number a box, from 0
 */
export function layering(graph) {
  const { count, from, to } = graph;
  const readers = neighbours(count, from, to);
  const operands = neighbours(count, to, from);
  const order = operandsFirst(graph, readers);
  const layer = new Int32Array(count);
  const free = new Uint8Array(count);
  for (const v of order) {
    free[v] = 1;
    for (let k = operands.start[v]; k < operands.start[v + 1]; k++) {
      const u = operands.list[k];
      if (u === v) continue;
      layer[v] = Math.max(layer[v], layer[u] + 1);
      if (!free[u] || readers.start[u + 1] - readers.start[u] > 1) free[v] = 0;
    }
  }
  for (let i = count - 1; i >= 0; i--) lower(order[i], layer, free, readers, operands);
  return layer;
}

function lower(v, layer, free, readers, operands) {
  const ins = operands.start[v + 1] - operands.start[v];
  const outs = readers.start[v + 1] - readers.start[v];
  if (outs === 0 || !(free[v] || outs > ins)) return;
  let lowest = Infinity;
  for (let k = readers.start[v]; k < readers.start[v + 1]; k++) {
    if (readers.list[k] !== v) lowest = Math.min(lowest, layer[readers.list[k]] - 1);
  }
  if (lowest < Infinity) layer[v] = Math.max(layer[v], lowest);
}
