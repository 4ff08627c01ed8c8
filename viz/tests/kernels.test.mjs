// The words of WGSL, numbers with their units, and the spread of times.

import assert from "node:assert/strict";
import { test } from "node:test";

import { bytes, count, element, many, percent, seconds, shape, short } from "../page/amounts.js";
import { spread } from "../page/run_times.js";
import { tokens } from "../page/wgsl.js";
import { chance } from "./random.mjs";

const LINES = [
  "@group(0) @binding(3) var<storage, read_write> data3: array<vec4<f32>>;",
  "  acc1 = acc1 + exp2((data6[v0 + k0] - acc0) * 1.4426950216293335); // adds up",
  "  return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;",
  "  let s = select(1.0, 0.0625, abs(b) > 1e37);",
  "",
  "  // <img src=x onerror=alert(1)> \u{1F600}",
];

test("the tokens of a line are the line", () => {
  const random = chance(7);
  const letters = "aZ_09.+-*/<>=&|!@(){}[];, \t\"'\u00e9\u{1F600}eExu";
  const noise = Array.from({ length: 300 }, () => Array.from({ length: 40 }, () => [...letters][Math.floor(random() * [...letters].length)]).join(""));
  for (const line of [...LINES, ...noise]) assert.equal(tokens(line).map(([, text]) => text).join(""), line);
});

test("each kind of word is known", () => {
  const kinds = (line) => tokens(line).filter(([kind]) => kind !== "");
  assert.deepEqual(kinds("@compute fn main(x: f32) {"), [["attribute", "@compute"], ["keyword", "fn"], ["function", "main"], ["name", "x"], ["type", "f32"]]);
  assert.deepEqual(kinds("var<storage, read> d: u32 = 0x7fu; // why"), [
    ["keyword", "var"], ["space", "storage"], ["space", "read"], ["name", "d"], ["type", "u32"], ["number", "0x7fu"], ["comment", "// why"],
  ]);
  assert.deepEqual(kinds("a = select(1e-7f, .5, true);"), [["name", "a"], ["function", "select"], ["number", "1e-7f"], ["number", ".5"], ["constant", "true"]]);
});

test("amounts have units and few digits", () => {
  assert.deepEqual([0, 9999, 12_345, 4_706_268].map(count), ["0", "9,999", "12.3 k", "4.71 M"]);
  assert.deepEqual([512, 8192, 555_000, 2.5e9, "4*n"].map(bytes), ["512 B", "8.19 kB", "555 kB", "2.50 GB", "4*n B"]);
  assert.deepEqual([4.4e-6, 1.02e-3, 12.5].map(seconds), ["4.40 µs", "1.02 ms", "12.5 s"]);
  assert.deepEqual([[], [3], [64, 10]].map(shape), ["()", "(3,)", "(64, 10)"]);
  assert.deepEqual([1, -0.123456789, 1e-9, 3e12, "NaN", true].map(element), ["1", "-0.12346", "1.000e-9", "3000000000000", "NaN", "true"]);
  assert.deepEqual([many(1, "kernel"), many(1437, "row")], ["1 kernel", "1,437 rows"]);
  assert.deepEqual([many(1, "box", "boxes"), many(2, "box", "boxes")], ["1 box", "2 boxes"]);
  assert.deepEqual([0, 0.97249, 1].map(percent), ["0%", "97.2%", "100%"]);
  assert.deepEqual([0, 0.12345, -2.5, 1e-5, 123_456].map(short), ["0", "0.123", "-2.5", "1.0e-5", "1.2e+5"]);
});

test("the spread of times is their median and quartiles", () => {
  assert.deepEqual(spread([5, 1, 3, 2, 4]), { median: 3, low: 2, high: 4, runs: 5 });
  assert.deepEqual(spread([7]), { median: 7, low: 7, high: 7, runs: 1 });
});
