// The points that each edge goes through, from the bottom of an operand to the top of a reader.

const INNER = 0.7; // part of a box's top over which the edges into it are spread

/** @returns {{x: Float32Array, y: Float32Array, start: Int32Array, points: Float32Array, long: Uint8Array}} see `layout` */
export function routing(graph, proper, x, y) {
  const { from, to, flipped } = graph;
  const start = new Int32Array(from.length + 1);
  for (let e = 0; e < from.length; e++) start[e + 1] = start[e] + 2 + 2 * passed(graph, proper, e);
  const points = new Float32Array(2 * start[from.length]);
  const ends = spread(graph, proper, x);
  for (let e = 0; e < from.length; e++) {
    let p = 2 * start[e];
    const put = (px, py) => {
      points[p++] = px;
      points[p++] = py;
    };
    put(x[from[e]] + graph.width[from[e]] / 2, y[from[e]] + graph.height[from[e]]);
    const many = passed(graph, proper, e);
    const top = flipped[e] ? to[e] : from[e];
    for (let i = 0; i < many; i++) {
      const v = proper.first[top] + (flipped[e] ? many - 1 - i : i);
      const middle = x[v] + proper.width[v] / 2;
      put(middle, flipped[e] ? y[v] + proper.height[v] : y[v]);
      put(middle, flipped[e] ? y[v] : y[v] + proper.height[v]);
    }
    put(x[to[e]] + graph.width[to[e]] / 2 + ends[e], y[to[e]]);
  }
  return { x, y, start, points, long: proper.long };
}

/** How many points of a chain an edge goes through. */
function passed({ from, to }, { layer, long }, e) {
  return long[e] ? 0 : Math.abs(layer[to[e]] - layer[from[e]]) - 1;
}

/** How far from the middle of its reader's top each edge ends: in the order of where they come from. */
function spread(graph, proper, x) {
  const ends = new Float32Array(graph.from.length);
  const into = Array.from({ length: graph.count }, () => []);
  for (let e = 0; e < graph.to.length; e++) into[graph.to[e]].push(e);
  const come = (e) => {
    const many = passed(graph, proper, e);
    const v = many === 0 || graph.flipped[e] ? graph.from[e] : proper.first[graph.from[e]] + many - 1;
    return x[v] + proper.width[v] / 2;
  };
  for (const edges of into) {
    if (edges.length < 2) continue;
    const room = graph.width[graph.to[edges[0]]] * INNER;
    edges.sort((a, b) => come(a) - come(b));
    edges.forEach((e, i) => (ends[e] = room * ((i + 0.5) / edges.length - 0.5)));
  }
  return ends;
}
