// Edges over several layers, as chains of points that take a place in each layer they pass, so that no box stands on them.
//
// All edges of one box share one chain, down to its last reader. An edge longer than the graph's size allows gets no points: it runs behind the boxes.

const POINT = 8;
const SPANS = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128];
const FEWEST = 3000;

/**
 * The graph with points in it: every segment leads from a layer to the next.
 * @returns {{count: number, real: number, width: Float32Array, height: Float32Array, layer: Int32Array, depth: number, from: Int32Array, to: Int32Array,
 *   first: Int32Array, long: Uint8Array, span: number}} boxes come first, then points; `first[u]` is u's chain, or -1: the point in layer l is
 *   `first[u] + l - layer[u] - 1`
 */
export function properly({ count, width, height, from, to }, layer) {
  const span = longest(count, from, to, layer);
  const { first, points } = chains(count, from, to, layer, span);
  const size = count + points;
  const proper = { count: size, real: count, width: new Float32Array(size).fill(POINT), height: new Float32Array(size), layer: new Int32Array(size), first, span };
  proper.width.set(width);
  proper.height.set(height);
  proper.layer.set(layer);
  proper.depth = layer.reduce((most, l) => Math.max(most, l + 1), 0);
  proper.long = Uint8Array.from(from, (u, e) => (layer[to[e]] - layer[u] > span || u === to[e] ? 1 : 0));
  return Object.assign(proper, segments(proper, from, to));
}

/** How many layers an edge with points may pass, so that there are not many more points than boxes. */
function longest(count, from, to, layer) {
  const most = Math.max(FEWEST, 2 * count);
  let span = 1;
  for (const next of SPANS) {
    if (chains(count, from, to, layer, next).points > most) break;
    span = next;
  }
  return span;
}

function chains(count, from, to, layer, span) {
  const reach = new Int32Array(count);
  for (let e = 0; e < from.length; e++) {
    const passed = layer[to[e]] - layer[from[e]];
    if (passed <= span) reach[from[e]] = Math.max(reach[from[e]], passed - 1);
  }
  const first = new Int32Array(count).fill(-1);
  let points = 0;
  for (let u = 0; u < count; u++) {
    if (reach[u] <= 0) continue;
    first[u] = count + points;
    points += reach[u];
  }
  return { first, points, reach };
}

/** Segments from layer to layer; those of a chain once. */
function segments(proper, from, to) {
  const { real, layer, first, long } = proper;
  const froms = [];
  const tos = [];
  const reached = new Int32Array(real);
  for (let e = 0; e < from.length; e++) {
    if (long[e]) continue;
    const [u, passed] = [from[e], layer[to[e]] - layer[from[e]]];
    for (let l = reached[u] + 1; l < passed; l++) {
      layer[first[u] + l - 1] = layer[u] + l;
      froms.push(l === 1 ? u : first[u] + l - 2);
      tos.push(first[u] + l - 1);
    }
    reached[u] = Math.max(reached[u], passed - 1);
    froms.push(passed === 1 ? u : first[u] + passed - 2);
    tos.push(to[e]);
  }
  return { from: Int32Array.from(froms), to: Int32Array.from(tos) };
}
