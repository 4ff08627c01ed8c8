// What a scene is drawn as: folding, collapsing, and what that leaves of the edges.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Film, still } from "../page/film.js";
import { boxes, caption, contracted } from "../page/folding.js";
import { HEIGHT, plan, Scene } from "../page/graph_scene.js";
import { layout } from "../page/layout.js";
import { makeNodes, typeText } from "../page/nodes.js";
import { chance } from "./random.mjs";

const [LEAF, PASSED, RESULT] = [1, 2, 4];

/** x and a constant, scaled and reshaped, stored. */
function program() {
  const nodes = makeNodes();
  nodes.tell([
    [0, "param", "float32", [6], [], "param x", 0, 0, 1, null, "x"],
    [1, "const", "float32", [], [], "const 2.0", 0, LEAF, 1, null, null],
    [2, "mul", "float32", [6], [0, 1], "mul", 0, 0, 2, "hidden", "y"],
    [3, "reshape", "float32", [2, 3], [2], "reshape (2, 3)", 0, PASSED, 2, "hidden", null],
    [4, "exp2", "float32", [2, 3], [3], "exp2", 1, 0, 3, "hidden.deep", null],
    [5, "store", "void", null, [4, 1], "store", 1, RESULT, 0, null, null],
  ]);
  const graph = { kernel: null, nodes: [0, 1, 2, 3, 4, 5], roots: [5] };
  return { nodes, film: new Film(still([graph], nodes).scene) };
}

const how = (more = {}) => ({ folded: true, collapsed: new Set(), groupOf: (_, row) => row.module, titles: (name, count) => [name, `${count} nodes`], measure: (text) => 7 * text.length, cluster: null, clusters: 0, ...more });

function pairs({ from, to }) {
  return [...from].map((u, e) => [u, to[e]]);
}

test("constants and reshapes fold away, and edges go through them", () => {
  const { nodes, film } = program();
  const made = boxes(film, nodes, how());
  assert.deepEqual([...made.box], [0, -1, 1, -1, 2, 3]);
  assert.deepEqual(pairs(made), [[0, 1], [1, 2], [2, 3]]);
});

test("without folding everything is drawn, and an edge once", () => {
  const { nodes, film } = program();
  const made = boxes(film, nodes, how({ folded: false }));
  assert.deepEqual([...made.box], [0, 1, 2, 3, 4, 5]);
  assert.deepEqual(pairs(made), [[0, 2], [1, 2], [2, 3], [3, 4], [4, 5], [1, 5]]);
});

test("a root is never folded", () => {
  const nodes = makeNodes();
  nodes.tell([[0, "const", "float32", [], [], "const 2.0", 0, LEAF, 1, null, null]]);
  const film = new Film(still([{ kernel: null, nodes: [0], roots: [0] }], nodes).scene);
  assert.equal(boxes(film, nodes, how()).slots.length, 1);
});

test("a collapsed module is one box, without edges to itself", () => {
  const { nodes, film } = program();
  const made = boxes(film, nodes, how({ collapsed: new Set(["hidden"]), groupOf: (_, row) => (row.module ? "hidden" : null) }));
  assert.deepEqual(made.groups, [null, "hidden", null]);
  assert.deepEqual(pairs(made), [[0, 1], [1, 2]]);
});

test("a box says what is folded into it", () => {
  const { nodes } = program();
  assert.deepEqual(caption(nodes.get(2), nodes, true), { label: "mul", extra: "2.0" });
  assert.deepEqual(caption(nodes.get(4), nodes, true), { label: "exp2", extra: "reshape" });
  assert.deepEqual(caption(nodes.get(2), nodes, false), { label: "mul", extra: "" });
});

test("edges through what is folded are those of walking all ways", () => {
  for (let seed = 0; seed < 40; seed++) {
    const next = chance(seed);
    const size = 30;
    const reads = Array.from({ length: size }, (_, v) => Array.from({ length: v === 0 ? 0 : Math.floor(next() * 3) }, () => Math.floor(next() * v)));
    let count = 0;
    const box = Int32Array.from({ length: size }, () => (next() < 0.5 ? -1 : count++));
    const above = (slot) => reads[slot].flatMap((u) => (box[u] >= 0 ? [box[u]] : above(u)));
    const expected = new Set(reads.flatMap((_, v) => (box[v] >= 0 ? above(v).map((u) => `${u} ${box[v]}`) : [])));
    assert.deepEqual(new Set(pairs(contracted(box, (slot) => reads[slot], count)).map(([u, v]) => `${u} ${v}`)), expected, `seed ${seed}`);
  }
});

function sceneOf(film, nodes, options) {
  const planned = plan(film, nodes, options);
  return new Scene(film, nodes, options, planned, layout(planned.graph));
}

test("a scene shows each step in places that do not change", () => {
  const nodes = makeNodes();
  nodes.tell([
    [0, "param", "float32", [6], [], "param x", 0, 0, 1, null, "x"],
    [1, "mul", "float32", [6], [0], "mul", 0, 0, 2, null, null],
    [2, "exp2", "float32", [6], [1], "exp2", 0, 0, 3, null, null],
    [3, "exp2", "float32", [6], [0], "exp2", 1, 0, 3, null, null],
  ]);
  const film = new Film({
    start: { slots: [[0, 0, []], [1, 1, [0]], [2, 2, [1]]], roots: [2] },
    steps: [{ stage: "kernels", rule: "mul_one", edges: [[2, [0]]], is: [[2, 3]], drop: [1] }],
  });
  const scene = sceneOf(film, nodes, how());
  const places = [...scene.x, ...scene.y];
  assert.deepEqual([[...scene.alive], [...scene.id], scene.living], [[1, 1, 1], [0, 1, 2], 3]);
  assert.deepEqual(scene.beside(2, false), [1]);
  scene.seek(1);
  assert.deepEqual([[...scene.alive], scene.id[2], scene.phase[2], scene.living], [[1, 0, 1], 3, 1, 2]);
  assert.deepEqual([scene.beside(2, false), scene.beside(0, true)], [[0], [2]]);
  assert.deepEqual([...scene.x, ...scene.y], places);
  assert.deepEqual([scene.find(1), scene.find(1, true), scene.find(3), scene.find(2)], [-1, 1, 2, -1]);
  scene.seek(0);
  assert.deepEqual([scene.find(2), scene.find(3), scene.alive[1]], [2, -1, 1]);
});

test("a folded node is found in the boxes that show it", () => {
  const { nodes, film } = program();
  const scene = sceneOf(film, nodes, how());
  assert.deepEqual(scene.holders.get(1), [1, 3]);
  assert.deepEqual(scene.holders.get(3), [2]);
  assert.equal(scene.at(scene.x[2] + 1, scene.y[2] + HEIGHT / 2), 2);
  assert.equal(scene.at(-50, -50), -1);
});

test("kernels that are not collapsed have frames", () => {
  const { nodes } = program();
  const graphs = [{ kernel: 0, nodes: [0, 1, 2], roots: [2] }, { kernel: 1, nodes: [0, 1, 2, 3, 4], roots: [4] }];
  const { scene: made, group } = still(graphs, nodes);
  const options = how({ cluster: (slot) => group[slot], clusters: 2, groupOf: (slot) => `kernel ${group[slot]}`, collapsed: new Set(["kernel 0"]) });
  const scene = sceneOf(new Film(made), nodes, options);
  assert.deepEqual(scene.frames.map(({ group: name, members }) => [name, members.length]), [["kernel 1", 3]]);
  assert.deepEqual(scene.texts[0], { label: "kernel 0", extra: "", note: "3 nodes", op: "kernel 0" });
  const [{ x, y }] = scene.frames;
  assert.equal(scene.frameAt(x + 5, y + 5)?.group, "kernel 1");
  assert.equal(scene.frameAt(x - 5, y + 5), null);
});

test("types are words, and unknown nodes are no mistake", () => {
  const { nodes } = program();
  assert.deepEqual([typeText(nodes.get(4)), typeText(nodes.get(1)), typeText(nodes.get(5))], ["float32 (2, 3)", "float32", ""]);
  assert.equal(nodes.get(99).label, "?");
  assert.deepEqual(nodes.byLine(2), [2, 3]);
});
