// The positions of the slider, and the colours of a rule's text.

import assert from "node:assert/strict";
import { test } from "node:test";

import { filmOf, filmsOf } from "../page/rewrites_films.js";
import { marksOf } from "../page/rewrites_marks.js";
import { makeTrack } from "../page/rewrites_track.js";
import { ruleTokens } from "../page/rewrites_upat.js";

const PROGRAM = {
  film: "program",
  scenes: [{ title: "p", kernel: null, times: 1, sections: [["backward", 0, 3], ["simplified", 3, 7]], rules: ["grad", "sum", null, "a", "b", "a", "c"] }],
};
const KERNELS = {
  film: "kernels",
  scenes: [
    { title: "one", kernel: null, times: 4, sections: [["kernels", 0, 2]], rules: ["a", "b"] },
    { title: "two", kernel: 1, times: 1, sections: [["kernels", 0, 1]], rules: ["a"] },
    { title: "three", kernel: 2, times: 1, sections: [["kernels", 0, 3]], rules: ["b", "b", "a"] },
  ],
};

test("a stage of the program is its part of the one scene", () => {
  const track = makeTrack(PROGRAM, "simplified");
  assert.equal(track.length, 5);
  assert.equal(track.rewrites, 4);
  assert.deepEqual([0, 1, 2, 3, 4].map((at) => [track.at(at).step, track.at(at).rule]), [[3, null], [4, "a"], [5, "b"], [6, "a"], [7, "c"]]);
  assert.equal(track.at(0).begins, true);
  assert.equal(track.at(1).begins, false);
  assert.equal(track.position(0, 3), 0);
  assert.equal(track.position(0, 7), 4);
  assert.equal(track.position(0, 2), null);
  assert.equal(track.position(1, 3), null);
  assert.deepEqual([...makeTrack(PROGRAM, "backward").fired()], [["grad", 1], ["sum", 1]]);
});

test("a stage without rewrites has no positions", () => {
  for (const track of [makeTrack(PROGRAM, "tensor"), makeTrack(null, "kernels"), makeTrack({ film: "lowered", scenes: [] }, "lowered")]) {
    assert.equal(track.length, 0);
    assert.equal(track.rewrites, 0);
    assert.equal(track.at(0), null);
    assert.equal(track.next(-1, 1), null);
    assert.equal(track.scene(null, 1), null);
    assert.equal(track.scene(0, -1), null);
  }
});

test("every position of several scenes leads to a scene and a step, and back", () => {
  const track = makeTrack(KERNELS, "kernels");
  assert.equal(track.length, 9);
  assert.equal(track.rewrites, 6);
  for (let at = 0; at < track.length; at++) {
    const { scene, step, rule, begins } = track.at(at);
    assert.equal(track.position(scene, step), at);
    assert.equal(begins, step === 0);
    assert.equal(rule, begins ? null : KERNELS.scenes[scene].rules[step - 1]);
  }
  assert.deepEqual([0, 1, 2, 3, 4, 5, 8].map(track.done), [0, 1, 2, 2, 3, 3, 6]);
});

test("the next firing of a rule is found over scenes, in both directions", () => {
  const track = makeTrack(KERNELS, "kernels");
  const walk = (from, direction, rule) => {
    const found = [];
    for (let at = track.next(from, direction, rule); at !== null; at = track.next(at, direction, rule)) found.push(at);
    return found;
  };
  assert.deepEqual(walk(-1, 1, "a"), [1, 4, 8]);
  assert.deepEqual(walk(track.length, -1, "b"), [7, 6, 2]);
  assert.deepEqual(walk(-1, 1, null), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
  assert.deepEqual(walk(-1, 1, "none"), []);
});

test("scenes are gone along by their beginnings", () => {
  const track = makeTrack(KERNELS, "kernels");
  assert.equal(track.scene(null, 1), 0);
  assert.equal(track.scene(track.length, -1), 5);
  assert.equal(track.scene(0, 1), 3);
  assert.equal(track.scene(2, 1), 3);
  assert.equal(track.scene(4, -1), 3);
  assert.equal(track.scene(3, -1), 0);
  assert.equal(track.scene(0, -1), null);
  assert.equal(track.scene(8, 1), null);
});

test("equal calls count each time", () => {
  assert.deepEqual([...makeTrack(KERNELS, "kernels").fired()].sort(), [["a", 6], ["b", 6]]);
  assert.equal(makeTrack(KERNELS, "kernels").total(), 12);
});

test("the tokens of a rule are its text", () => {
  const texts = ["x + 0 => x assumes no_signed_zero", "grad mul(a, b): g*b, g*a", "(x*c1) // c1 => x when c1 != 0", "x@f32 * 1.5e3 => y", "<img src=x> 'é' \n", ""];
  for (const text of texts) assert.equal(ruleTokens(text).map(([, part]) => part).join(""), text);
  assert.deepEqual(ruleTokens("max(x, 1) => x when p").filter(([kind]) => kind), [
    ["function", "max"], ["name", "x"], ["number", "1"], ["keyword", "=>"], ["name", "x"], ["keyword", "when"], ["name", "p"],
  ]);
});

test("films are asked for once, by whoever asks, until something else is compiled", async () => {
  const asked = [];
  const compiler = { request: (kind, params) => (asked.push(params), Promise.resolve({ scenes: [], rows: [[1]] })) };
  const told = [];
  const store = { state: { opened: {}, compiled: {} } };
  const context = { store, compiler, nodes: { tell: (rows) => told.push(rows) } };
  const films = filmsOf(context);
  assert.equal(filmsOf({ ...context }), films);
  await Promise.all([films.scene("tensor", 0), films.scene("backward", 0), films.scene("simplified", 0), films.scene("kernels", 2), films.outline("wgsl")]);
  assert.deepEqual(asked, [{ stage: "simplified", scene: 0 }, { stage: "kernels", scene: 2 }, { stage: "lowered" }]);
  assert.equal(told.length, 3);
  store.state = { ...store.state, compiled: {} };
  await films.scene("tensor", 0);
  assert.equal(asked.length, 4);
  assert.deepEqual(["tensor", "backward", "simplified", "kernels", "lowered", "wgsl"].map(filmOf), ["program", "program", "program", "kernels", "lowered", "lowered"]);
});

test("a film that could not be had is asked for again", async () => {
  let calls = 0;
  const compiler = { request: () => (calls++ === 0 ? Promise.reject(new Error("no")) : Promise.resolve({ scenes: [] })) };
  const films = filmsOf({ store: { state: {} }, compiler, nodes: { tell() {} } });
  await assert.rejects(films.outline("kernels"));
  assert.deepEqual(await films.outline("kernels"), { scenes: [] });
});

test("the node that matched is marked, and all that the rule made", () => {
  assert.deepEqual(marksOf({ before: 3, after: 7, at: 2, add: [[9, 8, [2]]], is: [[2, 7], [4, 11]] }), { before: [3], after: [7, 8] });
  assert.deepEqual(marksOf({ before: 3, after: 7, at: 2, is: [[2, 12]] }), { before: [3], after: [7, 12] });
  assert.deepEqual(marksOf({ before: null, after: null, at: null, add: [[1, 5, []]] }), { before: [], after: [5] });
});
