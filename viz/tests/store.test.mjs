// The page's state: who is told of what, and what becomes of a watcher that fails.

import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";

import { makeStore } from "../page/store.js";

test("a watcher is told once of a patch that changes one of its keys, and of no other", () => {
  const store = makeStore({ a: 1, b: 2, c: 3 });
  const told = [];
  const end = store.on(["a", "b"], ({ a, b }, changed) => told.push([a, b, [...changed]]));
  store.set({ a: 4, b: 5 });
  store.set({ c: 6 });
  store.set({ a: 4 });
  end();
  store.set({ a: 7 });
  assert.deepEqual(told, [[4, 5, ["a", "b"]]]);
});

test("patches that watchers make come after the one that is told", () => {
  const store = makeStore({ a: 0, b: 0 });
  const told = [];
  store.on(["a"], ({ a }) => store.set({ b: 2 * a }));
  store.on(["a", "b"], (_, changed) => told.push([...changed].join()));
  store.set({ a: 1 });
  assert.deepEqual([store.state, told], [{ a: 1, b: 2 }, ["a", "b"]]);
});

test("a watcher that throws is reported, and keeps nothing from the others, then or later", async () => {
  const store = makeStore({ a: 0 });
  const told = [];
  store.on(["a"], ({ a }) => {
    if (a === 1) throw new Error("not drawn");
  });
  store.on(["a"], ({ a }) => told.push(a));
  const runner = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  const reported = once(process, "uncaughtException");
  store.set({ a: 1 });
  store.set({ a: 2 });
  const [error] = await reported;
  for (const listener of runner) process.on("uncaughtException", listener);
  assert.deepEqual([error.message, told], ["not drawn", [1, 2]]);
});
