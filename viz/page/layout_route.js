// The points that each edge goes through, from the bottom of an operand to the top of a reader.

import { through } from "./layout_columns.js";

const INNER = 0.7; // part of a box's top over which the edges into it are spread

/**
 * @param {object} graph with `flipped`: edges that lead up
 * @param {object} placed as `columns` gives it
 * @returns {{x: Float32Array, y: Float32Array, start: Int32Array, points: Float32Array, long: Uint8Array}} see `layout`
 */
export function routing(graph, proper, placed) {
  const { x, y } = placed;
  const many = graph.from.length;
  const ends = spread(graph, proper, x);
  const start = new Int32Array(many + 1);
  const points = [];
  for (let e = 0; e < many; e++) {
    route(graph, proper, placed, e, ends[e], points);
    start[e + 1] = points.length / 2;
  }
  return { x, y, start, points: Float32Array.from(points), long: proper.long };
}

/** Put the points of one edge. */
function route(graph, proper, placed, e, end, points) {
  const { from, to, flipped } = graph;
  const { x, y, column } = placed;
  const many = passed(graph, proper, e);
  const top = flipped[e] ? to[e] : from[e];
  let last = y[from[e]] + graph.height[from[e]];
  points.push(x[from[e]] + graph.width[from[e]] / 2, last);
  let at = column[proper.layer[from[e]]];
  const step = (v, high) => {
    const next = column[proper.layer[v]];
    if (next === at + 1 && !proper.long[e] && !flipped[e]) points.push(...through(placed, e, at, last, high));
    at = next;
  };
  for (let i = 0; i < many; i++) {
    const v = proper.first[top] + (flipped[e] ? many - 1 - i : i);
    const middle = x[v] + proper.width[v] / 2;
    const [high, low] = flipped[e] ? [y[v] + proper.height[v], y[v]] : [y[v], y[v] + proper.height[v]];
    step(v, high);
    points.push(middle, high, middle, low);
    last = low;
  }
  step(to[e], y[to[e]]);
  points.push(x[to[e]] + graph.width[to[e]] / 2 + end, y[to[e]]);
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
