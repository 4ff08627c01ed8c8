// Where boxes stand: operands above readers in layers, few crossings, chains straight, edges around boxes where they are not too long.
//
// Pure and deterministic: numbers in, numbers out, no element touched. It runs in a worker of its own (../layout_worker.js).
//
// A cluster (a kernel) is laid out by itself; clusters stand side by side in rows, in their order.

import { columns } from "./layout_columns.js";
import { properly } from "./layout_dummies.js";
import { acyclic, layering } from "./layout_layers.js";
import { ordering } from "./layout_order.js";
import { placing } from "./layout_place.js";
import { routing } from "./layout_route.js";

const FRAME = { side: 22, top: 46, bottom: 22, gap: 56 };
const ASPECT = 1.7;

/**
 * @param {{count: number, width: Float32Array, height: Float32Array, from: Int32Array, to: Int32Array, cluster?: Int32Array, clusters?: number}} graph
 *   boxes with their sizes in pixels at zoom 1; edges from operand to reader, each once; cycles are tolerated; the cluster of each box
 * @returns {{x: Float32Array, y: Float32Array, layer: Int32Array, start: Int32Array, points: Float32Array, long: Uint8Array,
 *   frames: Float32Array, box: number[], crossings: number[]}} left and top of each box, its layer; the points of edge e are
 *   `points[2*start[e] .. 2*start[e+1]]`; `long` marks edges that run behind boxes; four numbers a frame and for all; crossings before and after
 */
export function layout(graph) {
  const clusters = graph.cluster ? graph.clusters : 0;
  if (clusters === 0) return finished(single(graph), graph);
  const parts = split(graph, clusters);
  const laid = parts.map((part) => single(part.graph));
  return assembled(graph, parts, laid);
}

/** One graph without clusters, its corner at (0, 0). */
function single(graph) {
  const flipped = acyclic(graph);
  const from = graph.from.map((u, e) => (flipped[e] ? graph.to[e] : u));
  const to = graph.to.map((v, e) => (flipped[e] ? graph.from[e] : v));
  const layer = layering({ ...graph, from, to });
  const proper = properly({ ...graph, from, to }, layer);
  const { layers, crossings } = ordering(proper);
  const placed = columns(proper, layers, placing(proper, layers));
  return { ...routing({ ...graph, flipped }, proper, placed), layer, box: [0, 0, placed.right, placed.bottom], crossings };
}

function finished(laid, graph) {
  return { ...laid, x: laid.x.slice(0, graph.count), y: laid.y.slice(0, graph.count), frames: new Float32Array(0) };
}

/** Each cluster as a graph of its own, with where its boxes and edges come from. */
function split(graph, clusters) {
  const parts = Array.from({ length: clusters }, () => ({ boxes: [], edges: [] }));
  const place = new Int32Array(graph.count);
  for (let i = 0; i < graph.count; i++) place[i] = parts[graph.cluster[i]].boxes.push(i) - 1;
  for (let e = 0; e < graph.from.length; e++) {
    const own = graph.cluster[graph.from[e]];
    if (own === graph.cluster[graph.to[e]]) parts[own].edges.push(e);
  }
  for (const part of parts) {
    part.graph = {
      count: part.boxes.length,
      width: Float32Array.from(part.boxes, (i) => graph.width[i]),
      height: Float32Array.from(part.boxes, (i) => graph.height[i]),
      from: Int32Array.from(part.edges, (e) => place[graph.from[e]]),
      to: Int32Array.from(part.edges, (e) => place[graph.to[e]]),
    };
  }
  return parts;
}

/** A cluster of one box has no frame: the box is all there is of it. */
function framed(part) {
  return part.graph.count === 1 ? { side: 0, top: 0, bottom: 0 } : FRAME;
}

/** The left and top of each cluster's frame: rows as wide as make the whole about as wide as a screen. */
function packed(parts, laid) {
  const sizes = laid.map(({ box }, i) => {
    const { side, top, bottom } = framed(parts[i]);
    return [box[2] + 2 * side, box[3] + top + bottom];
  });
  const area = sizes.reduce((sum, [w, h]) => sum + (w + FRAME.gap) * (h + FRAME.gap), 0);
  const widest = Math.max(Math.sqrt(area * ASPECT), ...sizes.map(([w]) => w));
  const corners = [];
  let [x, y, tall] = [0, 0, 0];
  for (const [w, h] of sizes) {
    if (x > 0 && x + w > widest) [x, y, tall] = [0, y + tall + FRAME.gap, 0];
    corners.push([x, y, w, h]);
    x += w + FRAME.gap;
    tall = Math.max(tall, h);
  }
  return corners;
}

function assembled(graph, parts, laid) {
  const corners = packed(parts, laid);
  const edges = graph.from.length;
  const whole = {
    x: new Float32Array(graph.count),
    y: new Float32Array(graph.count),
    layer: new Int32Array(graph.count),
    long: new Uint8Array(edges),
    frames: Float32Array.from(corners.flat()),
    crossings: [0, 0],
  };
  const routes = new Array(edges);
  parts.forEach((part, i) => {
    const { side, top } = framed(part);
    const [left, above] = [corners[i][0] + side, corners[i][1] + top];
    for (const k of [0, 1]) whole.crossings[k] += laid[i].crossings[k];
    part.boxes.forEach((box, k) => {
      whole.x[box] = laid[i].x[k] + left;
      whole.y[box] = laid[i].y[k] + above;
      whole.layer[box] = laid[i].layer[k];
    });
    part.edges.forEach((edge, k) => {
      whole.long[edge] = laid[i].long[k];
      routes[edge] = laid[i].points.slice(2 * laid[i].start[k], 2 * laid[i].start[k + 1]).map((v, j) => v + (j % 2 ? above : left));
    });
  });
  for (let e = 0; e < edges; e++) routes[e] ??= between(graph, whole, e);
  return { ...whole, ...joined(routes), box: [0, 0, Math.max(0, ...corners.map(([x, , w]) => x + w)), Math.max(0, ...corners.map(([, y, , h]) => y + h))] };
}

/** An edge from one cluster to another. */
function between(graph, whole, edge) {
  const [u, v] = [graph.from[edge], graph.to[edge]];
  whole.long[edge] = 1;
  return [whole.x[u] + graph.width[u] / 2, whole.y[u] + graph.height[u], whole.x[v] + graph.width[v] / 2, whole.y[v]];
}

function joined(routes) {
  const start = new Int32Array(routes.length + 1);
  routes.forEach((route, e) => (start[e + 1] = start[e] + route.length / 2));
  const points = new Float32Array(2 * start[routes.length]);
  routes.forEach((route, e) => points.set(route, 2 * start[e]));
  return { start, points };
}
