// The order of boxes in each layer: sweeps down and up by the average place of neighbours, the best order kept, then neighbours exchanged.

import { neighbours } from "./layout_layers.js";

const SWEEPS = 12;
const PATIENCE = 4; // sweeps that may be in vain, one after the other
const EXCHANGES = 6;
const SMALL = 9000; // boxes and points up to which more work is worth its time

/**
 * @param {object} proper as `properly` gives it
 * @returns {{layers: Int32Array[], crossings: number[]}} what stands in each layer, left to right; crossings of segments before and after
 */
export function ordering(proper) {
  const down = neighbours(proper.count, proper.from, proper.to);
  const up = neighbours(proper.count, proper.to, proper.from);
  const layers = first(proper, down, up);
  const place = new Float32Array(proper.count);
  for (const layer of layers) number(layer, place);
  const before = crossings(layers, place, down);
  let best = layers.map((layer) => layer.slice());
  let fewest = before;
  const wanted = new Float64Array(proper.count);
  const sweeps = proper.count > SMALL ? SWEEPS / 3 : SWEEPS;
  for (let i = 0, last = 0; i < sweeps && fewest > 0 && i - last < PATIENCE; i++) {
    sweep(layers, place, i % 2 ? down : up, i % 2 === 1, wanted);
    const now = crossings(layers, place, down);
    if (now >= fewest) continue;
    last = i;
    fewest = now;
    best = layers.map((layer) => layer.slice());
  }
  for (const layer of best) number(layer, place);
  if (fewest > 0) exchange(best, place, up, down, proper.count > SMALL ? 1 : EXCHANGES);
  return { layers: best, crossings: [before, crossings(best, place, down)] };
}

/** The order in which a walk in depth comes by: what hangs together stands together. */
function first(proper, down, up) {
  const layers = Array.from({ length: proper.depth }, () => []);
  const seen = new Uint8Array(proper.count);
  const stack = [];
  for (let root = 0; root < proper.count; root++) {
    if (seen[root]) continue;
    stack.push(root);
    while (stack.length > 0) {
      const u = stack.pop();
      if (seen[u]) continue;
      seen[u] = 1;
      layers[proper.layer[u]].push(u);
      for (const side of [up, down]) {
        for (let k = side.start[u + 1] - 1; k >= side.start[u]; k--) if (!seen[side.list[k]]) stack.push(side.list[k]);
      }
    }
  }
  return layers.map((layer) => Int32Array.from(layer));
}

function number(layer, place) {
  for (let i = 0; i < layer.length; i++) place[layer[i]] = i;
}

/** One sweep: every layer sorted by the average place of its neighbours on one side; what has none keeps its place. */
function sweep(layers, place, side, upwards, wanted) {
  for (let i = 0; i < layers.length; i++) {
    const layer = layers[upwards ? layers.length - 1 - i : i];
    if (layer.length < 2) continue;
    const scale = layer.length;
    for (const v of layer) wanted[v] = average(v, place, side) + place[v] / (scale * 1e6);
    layer.sort((a, b) => wanted[a] - wanted[b] || place[a] - place[b]);
    number(layer, place);
  }
}

function average(v, place, { start, list }) {
  const degree = start[v + 1] - start[v];
  if (degree === 0) return place[v];
  let sum = 0;
  for (let k = start[v]; k < start[v + 1]; k++) sum += place[list[k]];
  return sum / degree;
}

/** How many pairs of segments cross, counted with a tree of sums from layer to layer. */
export function crossings(layers, place, down) {
  const widest = layers.reduce((most, layer) => Math.max(most, layer.length), 1);
  const tree = new Int32Array(4 * widest);
  let total = 0;
  for (let l = 0; l + 1 < layers.length; l++) {
    let size = 1;
    while (size < layers[l + 1].length) size *= 2;
    if (size === 1) continue;
    tree.fill(0, 0, 2 * size);
    for (const u of layers[l]) {
      const ends = placesOf(u, place, down);
      for (let k = 0; k < ends.length; k++) total += rightOf(tree, size, ends[k]);
      for (let k = 0; k < ends.length; k++) for (let i = size + ends[k]; i > 0; i >>= 1) tree[i]++;
    }
  }
  return total;
}

function rightOf(tree, size, end) {
  let sum = 0;
  for (let i = size + end; i > 1; i >>= 1) if (i % 2 === 0) sum += tree[i + 1];
  return sum;
}

/** The places of a box's neighbours on one side, from left to right. */
function placesOf(v, place, { start, list }) {
  const places = [];
  for (let k = start[v]; k < start[v + 1]; k++) {
    let i = places.push(place[list[k]]) - 1;
    for (; i > 0 && places[i - 1] > place[list[k]]; i--) places[i] = places[i - 1];
    places[i] = place[list[k]];
  }
  return places;
}

/** Exchange neighbours in a layer while that takes crossings away. */
function exchange(layers, place, up, down, rounds) {
  for (let round = 0; round < rounds; round++) {
    let better = false;
    for (const layer of layers) {
      for (let i = 0; i + 1 < layer.length; i++) {
        const a = layer[i];
        const b = layer[i + 1];
        if (gain(a, b, place, up) + gain(a, b, place, down) <= 0) continue;
        layer[i] = b;
        layer[i + 1] = a;
        place[a] = i + 1;
        place[b] = i;
        better = true;
      }
    }
    if (!better) return;
  }
}

/** How many crossings fewer there are on one side when b stands left of a. */
function gain(a, b, place, side) {
  if (side.start[a] === side.start[a + 1] || side.start[b] === side.start[b + 1]) return 0;
  const left = placesOf(a, place, side);
  const right = placesOf(b, place, side);
  let [now, then, i, j] = [0, 0, 0, 0];
  for (const p of left) {
    while (i < right.length && right[i] < p) i++;
    while (j < right.length && right[j] <= p) j++;
    now += i;
    then += right.length - j;
  }
  return now - then;
}
