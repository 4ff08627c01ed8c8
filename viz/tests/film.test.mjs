// The player of films, held against Python's pictures of the same films and against playing from the start.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { Film, still } from "../page/film.js";
import { chance } from "./random.mjs";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const told = execFileSync(process.env.PYTHON ?? "python3", ["viz/tests/films.py"], { cwd: ROOT, env: { ...process.env, PYTHONPATH: ROOT }, maxBuffer: 1 << 28 });
const FILMS = JSON.parse(told);

function picture(film) {
  const { nodes, roots } = film.graph();
  return { nodes: nodes.map(({ slot, id, src }) => [slot, id, src]), roots };
}

test("the films of a training step end in Python's pictures, and pass by them, forward and backward", () => {
  let compared = 0;
  for (const { scene, pictures } of FILMS) {
    const film = new Film(scene);
    for (const { step, nodes, roots } of [...pictures, ...pictures.toReversed(), pictures[1], pictures.at(-1), pictures[0]]) {
      film.seek(step);
      assert.equal(film.position, step);
      assert.deepEqual(picture(film), { nodes, roots }, `${scene.film} ${scene.scene} after ${step}`);
      compared += nodes.length;
    }
  }
  assert.ok(FILMS.length > 20 && compared > 10_000, `${FILMS.length} scenes, ${compared} nodes`);
});

test("what a film says of all its steps holds at each", () => {
  for (const { scene } of FILMS) {
    const film = new Film(scene);
    for (let step = 0; step <= film.length; step++) {
      film.seek(step);
      for (let slot = 0; slot < film.size; slot++) {
        if (film.ids[slot] < 0) continue;
        assert.ok(film.stands[slot].includes(film.ids[slot]));
        for (const source of film.sources[slot]) {
          assert.ok(film.reads[slot].has(source));
          assert.ok(film.ids[source] >= 0, `${scene.film} ${scene.scene} after ${step}: ${slot} reads ${source}, which is gone`);
        }
      }
      for (const root of film.roots) assert.ok(film.ends.has(root) && film.ids[root] >= 0);
    }
  }
});

/** A film made by chance, in which slots come, go, read others and stand for others. */
function randomScene(seed, length) {
  const next = chance(seed);
  const pick = (list) => list[Math.floor(next() * list.length)];
  const living = [0, 1, 2];
  let slots = 3;
  let ids = 3;
  const steps = [];
  for (let k = 0; k < length; k++) {
    const step = { stage: "kernels", rule: "r" };
    if (next() < 0.6) step.add = [[slots, ids++, [pick(living), pick(living)]]];
    if (next() < 0.5) step.edges = [[pick(living), [pick(living)]]];
    if (next() < 0.5) step.is = [[pick(living), ids++]];
    if (next() < 0.3) step.roots = [pick(living)];
    if (next() < 0.4 && living.length > 3) step.drop = living.splice(Math.floor(next() * living.length), 1);
    if (step.add) living.push(slots++);
    steps.push(step);
  }
  return { start: { slots: [[0, 0, []], [1, 1, [0]], [2, 2, [0, 1]]], roots: [2] }, steps };
}

/** The picture after some steps, from the start, as simply as can be. */
function replayed(scene, count) {
  const places = new Map(scene.start.slots.map(([slot, id, src]) => [slot, { id, src }]));
  let { roots } = scene.start;
  for (const step of scene.steps.slice(0, count)) {
    for (const [slot, id, src] of step.add ?? []) places.set(slot, { id, src });
    for (const [slot, id] of step.is ?? []) places.set(slot, { ...places.get(slot), id });
    for (const [slot, src] of step.edges ?? []) places.set(slot, { ...places.get(slot), src });
    roots = step.roots ?? roots;
    for (const slot of step.drop ?? []) places.delete(slot);
  }
  const id = (slot) => places.get(slot)?.id ?? -1;
  return { nodes: [...places].sort(([a], [b]) => a - b).map(([slot, place]) => [slot, place.id, place.src.map(id)]), roots: roots.map(id) };
}

test("any step is reached from any other", () => {
  for (let seed = 0; seed < 30; seed++) {
    const scene = randomScene(seed, 80);
    const film = new Film(scene);
    const next = chance(seed + 1000);
    for (let k = 0; k < 40; k++) {
      const step = Math.floor(next() * 81);
      film.seek(step);
      assert.deepEqual(picture(film), replayed(scene, step), `seed ${seed}, step ${step}`);
    }
  }
});

test("a step out of range is the nearest end", () => {
  const film = new Film(randomScene(1, 10));
  film.seek(99);
  assert.equal(film.position, 10);
  film.seek(-5);
  assert.equal(film.position, 0);
  film.seek(3.7);
  assert.equal(film.position, 3);
});

test("graphs that stand still keep their nodes apart", () => {
  const rows = new Map([[1, { src: [] }], [2, { src: [1, 1] }]]);
  const { scene, group } = still([{ nodes: [1, 2], roots: [2] }, { nodes: [1], roots: [1] }], rows);
  assert.deepEqual(scene.start, { slots: [[0, 1, []], [1, 2, [0, 0]], [2, 1, []]], roots: [1, 2] });
  assert.deepEqual(group, [0, 0, 1]);
});
