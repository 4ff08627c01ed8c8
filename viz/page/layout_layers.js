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
function operandsFirst({ count, from, to }, readers) {
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

const GAP = 22;
const WIDE = 1500; // pixels that a layer may always have
const ASPECT = 1.5;
const LINE = 72; // height of a layer, about

/**
 * How wide a layer may be: a graph of many boxes that all stand beside each other is broken into rows about as wide as the whole is high.
 */
function widest({ count, width }) {
  let area = 0;
  for (let v = 0; v < count; v++) area += (width[v] + GAP) * LINE;
  return Math.max(WIDE, Math.sqrt(area * ASPECT));
}

/** Room in layers: what stands in each, and the next one that has room. */
function makeRoom(graph) {
  const most = widest(graph);
  const taken = [];
  const next = [];
  const free = (l) => {
    let end = l;
    while (next[end] !== undefined) end = next[end];
    while (next[l] !== undefined) [next[l], l] = [end, next[l]];
    return end;
  };
  const space = (v) => graph.width[v] + GAP;
  return {
    /** The first layer from l on that has room. */
    from: free,
    fits: (v, l) => (taken[l] ?? 0) + space(v) <= most,
    take(v, l) {
      taken[l] = (taken[l] ?? 0) + space(v);
      if (taken[l] + GAP >= most) next[l] ??= l + 1;
    },
    leave(v, l) {
      taken[l] -= space(v);
    },
  };
}

/**
 * The longest way from a leaf, then pulled down: what no box on the longest way of all leads to stands right above its first reader, and so does
 * what makes the edges shorter there. All edges of a box run together, so what counts is how far its last reader is.
 * @param {{count: number, width: Float32Array, from: Int32Array, to: Int32Array}} graph without cycles
 * @returns {Int32Array} a number a box, from 0
 */
export function layering(graph) {
  const { count, from, to } = graph;
  const readers = neighbours(count, from, to);
  const operands = neighbours(count, to, from);
  const order = operandsFirst(graph, readers);
  const layer = new Int32Array(count);
  const room = makeRoom(graph);
  for (const v of order) {
    for (const u of within(operands, v)) if (u !== v) layer[v] = Math.max(layer[v], layer[u] + 1);
    layer[v] = room.from(layer[v]);
    room.take(v, layer[v]);
  }
  const held = anchored(order, layer, operands, readers);
  const last = new Int32Array(count);
  for (let e = 0; e < from.length; e++) last[from[e]] = Math.max(last[from[e]], layer[to[e]]);
  for (let i = count - 1; i >= 0; i--) lower(order[i], { layer, last, held, readers, operands, room });
  return numbered(layer);
}

/** The same layers without empty ones between. */
function numbered(layer) {
  const used = [...new Set(layer)].sort((a, b) => a - b);
  const number = new Map(used.map((l, i) => [l, i]));
  return layer.map((l) => number.get(l));
}

function within({ start, list }, v) {
  return list.subarray(start[v], start[v + 1]);
}

/** Which boxes are on a longest way of all, or below one that is. */
function anchored(order, layer, operands, readers) {
  const ahead = new Int32Array(layer.length);
  let most = 0;
  for (let i = order.length - 1; i >= 0; i--) {
    const v = order[i];
    for (const w of within(readers, v)) if (w !== v) ahead[v] = Math.max(ahead[v], ahead[w] + 1);
    most = Math.max(most, layer[v] + ahead[v]);
  }
  const held = new Uint8Array(layer.length);
  for (const v of order) held[v] = layer[v] + ahead[v] === most || within(operands, v).some((u) => held[u]) ? 1 : 0;
  return held;
}

function lower(v, { layer, last, held, readers, operands, room }) {
  let lowest = Infinity;
  for (const w of within(readers, v)) if (w !== v) lowest = Math.min(lowest, layer[w] - 1);
  if (lowest === Infinity || lowest <= layer[v]) return;
  const longer = within(operands, v).reduce((sum, u) => sum + (last[u] < lowest ? 1 : 0), 0);
  if (held[v] && longer >= 1) return;
  while (lowest > layer[v] && !room.fits(v, lowest)) lowest -= 1;
  if (lowest <= layer[v]) return;
  room.leave(v, layer[v]);
  room.take(v, lowest);
  layer[v] = lowest;
  for (const u of within(operands, v)) last[u] = Math.max(last[u], lowest);
}
