// How long layouts take: training steps of deep networks, made by the compiler, and kernels after lowering.
//
//   node viz/bench/layout.mjs          needs python3 (or PYTHON) from 3.11; prints a table
//
// The first layout of a process is told apart: it pays for the engine's compilation of the code, as the page's first does.

import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";

import { layout } from "../page/layout.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const TURNS = 7;
const HEIGHT = 38;
const GRAPHS = [
  ["1,000 nodes", "viz/bench/deep.py:thousand", "simplified"],
  ["2,300 nodes", "viz/bench/deep.py:usual", "simplified"],
  ["20,000 nodes", "viz/bench/deep.py:huge", "simplified"],
  ["mlp, lowered", "mlp", "lowered"],
];

/** The graph of a model's training step as `layout` takes it. */
function graphOf(model, stage) {
  const args = ["-m", "anneal", "graph", model, "--step", "--stage", stage, "--json"];
  const told = execFileSync(process.env.PYTHON ?? "python3", args, { cwd: ROOT, maxBuffer: 1 << 30, stdio: ["ignore", "pipe", "ignore"] });
  const { nodes } = JSON.parse(told);
  const pairs = nodes.flatMap(({ id, src }) => [...new Set(src)].map((u) => [u, id]));
  return {
    count: nodes.length,
    width: Float32Array.from(nodes, ({ op, shape }) => Math.min(300, 34 + 7.5 * Math.max(op.length, 9 + 3 * (shape?.length ?? 0)))),
    height: new Float32Array(nodes.length).fill(HEIGHT),
    from: Int32Array.from(pairs, ([u]) => u),
    to: Int32Array.from(pairs, ([, v]) => v),
  };
}

function timed(graph) {
  const began = performance.now();
  const laid = layout(graph);
  return [performance.now() - began, laid];
}

const print = (cells) => console.log(cells.map((cell, i) => (i === 0 ? String(cell).padEnd(16) : String(cell).padStart(14))).join(""));
print(["graph", "nodes", "edges", "first ms", "median ms", "crossings", "before"]);
for (const [name, model, stage] of GRAPHS) {
  const graph = graphOf(model, stage);
  const [first, { crossings }] = timed(graph);
  const times = Array.from({ length: TURNS }, () => timed(graph)[0]).sort((a, b) => a - b);
  print([name, graph.count, graph.from.length, first.toFixed(0), times[TURNS >> 1].toFixed(0), crossings[1], crossings[0]]);
}
