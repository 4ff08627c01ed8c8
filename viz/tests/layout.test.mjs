// Layouts: what must hold of any graph, shown on graphs made by chance, and what a good picture of small ones is.

import assert from "node:assert/strict";
import { test } from "node:test";

import { layout } from "../page/layout.js";
import { acyclic, layering } from "../page/layout_layers.js";
import { crossings } from "../page/layout_order.js";
import { neighbours } from "../page/layout_layers.js";
import { chance, randomGraph } from "./random.mjs";

const SEEDS = Array.from({ length: 40 }, (_, i) => i);

/** A graph of boxes of one size from pairs of numbers. */
function graphOf(count, pairs) {
  const [width, height] = [new Float32Array(count).fill(80), new Float32Array(count).fill(38)];
  return { count, width, height, from: Int32Array.from(pairs, ([u]) => u), to: Int32Array.from(pairs, ([, v]) => v) };
}

/** The first two boxes that overlap, or null. Boxes of a line are sorted by their left. */
function overlap({ x, y }, { count, width, height }) {
  const order = Array.from({ length: count }, (_, i) => i).sort((a, b) => x[a] - x[b]);
  for (let i = 0; i < count; i++) {
    for (let k = i + 1; k < count && x[order[k]] < x[order[i]] + width[order[i]]; k++) {
      const [a, b] = [order[i], order[k]];
      if (y[a] < y[b] + height[b] && y[b] < y[a] + height[a]) return [a, b];
    }
  }
  return null;
}

function ends(laid, e) {
  const { start, points } = laid;
  return [...points.slice(2 * start[e], 2 * start[e] + 2), ...points.slice(2 * start[e + 1] - 2, 2 * start[e + 1])];
}

test("no two boxes overlap, and every place is a number", () => {
  for (const seed of SEEDS) {
    const graph = randomGraph(seed, 5 + seed * 7, { cycles: seed % 2 === 1 });
    const laid = layout(graph);
    assert.ok([...laid.x, ...laid.y, ...laid.points].every(Number.isFinite), `seed ${seed}`);
    assert.equal(overlap(laid, graph), null, `seed ${seed}`);
  }
});

test("the search for overlaps finds one", () => {
  assert.deepEqual(overlap({ x: [0, 70], y: [0, 10] }, graphOf(2, [])), [0, 1]);
});

test("without cycles every box stands below what it reads", () => {
  for (const seed of SEEDS) {
    const graph = randomGraph(seed, 5 + seed * 7);
    const { layer, y } = layout(graph);
    assert.ok(graph.from.length > 0 || graph.count < 10);
    for (let e = 0; e < graph.from.length; e++) {
      assert.ok(layer[graph.from[e]] < layer[graph.to[e]], `seed ${seed}`);
      assert.ok(y[graph.from[e]] + 38 < y[graph.to[e]], `seed ${seed}`);
    }
  }
});

test("edges begin at the bottom of their operand and end at the top of their reader", () => {
  for (const seed of SEEDS) {
    const graph = randomGraph(seed, 5 + seed * 7, { cycles: seed % 2 === 1 });
    const laid = layout(graph);
    for (let e = 0; e < graph.from.length; e++) {
      const [u, v] = [graph.from[e], graph.to[e]];
      const [ax, ay, bx, by] = ends(laid, e);
      assert.ok(Math.abs(ax - laid.x[u] - graph.width[u] / 2) < 0.01 && Math.abs(ay - laid.y[u] - 38) < 0.01, `seed ${seed}`);
      assert.ok(bx >= laid.x[v] && bx <= laid.x[v] + graph.width[v] && Math.abs(by - laid.y[v]) < 0.01, `seed ${seed}`);
    }
  }
});

test("points of edges stand on no box", () => {
  for (const seed of SEEDS) {
    const graph = randomGraph(seed, 5 + seed * 7);
    const laid = layout(graph);
    for (let p = 0; p < laid.points.length; p += 2) {
      const [px, py] = [laid.points[p], laid.points[p + 1]];
      const inside = (i) => px > laid.x[i] + 0.1 && px < laid.x[i] + graph.width[i] - 0.1 && py > laid.y[i] + 0.1 && py < laid.y[i] + 37.9;
      assert.ok(!Array.from({ length: graph.count }, (_, i) => i).some(inside), `seed ${seed}`);
    }
  }
});

test("the same graph has the same layout", () => {
  const graph = randomGraph(3, 300);
  const [one, two] = [layout(graph), layout(graph)];
  for (const key of ["x", "y", "points", "layer", "long"]) assert.deepEqual(one[key], two[key]);
});

test("sweeps take most crossings away", () => {
  let [before, after] = [0, 0];
  for (const seed of SEEDS) {
    const { crossings: counted } = layout(randomGraph(seed, 5 + seed * 7));
    assert.ok(counted[1] <= counted[0], `seed ${seed}`);
    before += counted[0];
    after += counted[1];
  }
  assert.ok(before > 1000 && after < before / 2, `${before} before, ${after} after`);
});

test("crossings are counted as comparing all pairs counts them", () => {
  for (const seed of SEEDS) {
    const next = chance(seed);
    const pairs = new Set(Array.from({ length: 14 }, () => `${Math.floor(next() * 6)} ${6 + Math.floor(next() * 6)}`));
    const edges = [...pairs].map((pair) => pair.split(" ").map(Number));
    const down = neighbours(12, edges.map(([u]) => u), edges.map(([, v]) => v));
    const place = Float32Array.from([0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5]);
    const naive = edges.flatMap((a, i) => edges.slice(i + 1).filter((b) => (a[0] - b[0]) * (a[1] - b[1]) < 0)).length;
    assert.equal(crossings([[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]], place, down), naive);
  }
});

test("a chain is straight", () => {
  const laid = layout(graphOf(30, Array.from({ length: 29 }, (_, i) => [i, i + 1])));
  assert.equal(new Set(laid.x).size, 1);
});

test("a box stands in the middle of what it reads", () => {
  const { x } = layout(graphOf(3, [[0, 2], [1, 2]]));
  assert.ok(Math.abs((x[0] + x[1]) / 2 - x[2]) < 1);
  const three = layout(graphOf(4, [[2, 3], [0, 3], [1, 3]])).x;
  assert.equal(three[3], [...three.slice(0, 3)].sort((a, b) => a - b)[1]);
});

test("a leaf stands right above its first reader", () => {
  const chain = Array.from({ length: 9 }, (_, i) => [i, i + 1]);
  const { layer } = layout(graphOf(11, [...chain, [10, 8]]));
  assert.equal(layer[10], layer[8] - 1);
});

test("a planar graph is drawn without crossings", () => {
  const tree = Array.from({ length: 30 }, (_, i) => [i + 1, Math.floor(i / 2)]);
  assert.deepEqual(layout(graphOf(31, tree)).crossings[1], 0);
});

test("cycles, edges of a box to itself and graphs of nothing are tolerated", () => {
  const ring = layout(graphOf(3, [[0, 1], [1, 2], [2, 0]]));
  assert.equal(overlap(ring, graphOf(3, [])), null);
  assert.equal(layout(graphOf(2, [[0, 0], [0, 1]])).x.length, 2);
  assert.equal(layout(graphOf(0, [])).x.length, 0);
});

test("turning the marked edges round leaves no cycle", () => {
  for (const seed of SEEDS) {
    const graph = randomGraph(seed, 60, { cycles: true });
    const flipped = acyclic(graph);
    const [from, to] = [graph.from.map((u, e) => (flipped[e] ? graph.to[e] : u)), graph.to.map((v, e) => (flipped[e] ? graph.from[e] : v))];
    const layer = layering({ ...graph, from, to });
    for (let e = 0; e < from.length; e++) assert.ok(from[e] === to[e] || layer[from[e]] < layer[to[e]], `seed ${seed}`);
    assert.deepEqual(acyclic({ ...graph, from, to }), new Uint8Array(from.length));
  }
});

test("clusters stand in frames that do not overlap, in reading order", () => {
  const graph = { ...randomGraph(5, 200), clusters: 7 };
  graph.cluster = Int32Array.from({ length: 200 }, (_, i) => i % 7);
  const { frames, x, y, box } = layout(graph);
  const rect = (c) => frames.slice(4 * c, 4 * c + 4);
  for (let i = 0; i < 200; i++) {
    const [fx, fy, fw, fh] = rect(graph.cluster[i]);
    assert.ok(x[i] >= fx && y[i] >= fy && x[i] + graph.width[i] <= fx + fw + 0.1 && y[i] + 38 <= fy + fh + 0.1);
  }
  for (let c = 0; c + 1 < 7; c++) {
    const [a, b] = [rect(c), rect(c + 1)];
    assert.ok(b[0] > a[0] + a[2] || b[1] > a[1] + a[3]);
    assert.ok(b[0] + b[2] <= box[2] + 0.1 && b[1] + b[3] <= box[3] + 0.1);
  }
});

test("many boxes beside each other are broken into rows", () => {
  const { layer } = layout(graphOf(400, []));
  const widest = Math.max(...Array.from({ length: Math.max(...layer) + 1 }, (_, l) => layer.filter((k) => k === l).length));
  assert.ok(widest < 40 && widest > 10, `${widest} in a row`);
});

test("a very tall graph is broken into columns, each read from top to bottom", () => {
  const graph = graphOf(1500, Array.from({ length: 1499 }, (_, i) => [i, i + 1]));
  const { x, y, box } = layout(graph);
  assert.ok(box[3] < 20_000 && box[2] > 1000, `${box}`);
  let columns = 1;
  for (let i = 1; i < 1500; i++) {
    if (x[i] === x[i - 1]) assert.ok(y[i] > y[i - 1]);
    else {
      columns += 1;
      assert.ok(x[i] > x[i - 1] && y[i] === 0);
    }
  }
  assert.ok(columns > 2);
});
