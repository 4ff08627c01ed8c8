// The places of boxes in pixels: each layer is moved, as little as its order allows, to where its neighbours want it.
//
// For one layer, with the order kept and no overlap, the places nearest to those wanted (least squares) come from pooling neighbours that
// would overlap (isotonic regression): one pass, exact. Sweeps down and up make chains straight and centre what has many neighbours.

import { neighbours } from "./layout_layers.js";
import { standing, straighten, threadsOf } from "./layout_straight.js";

const GAP = 22;
const POINT_GAP = 12;
const ROW = 30;
const ROW_MOST = 130;
const STEEP = 0.09; // pixels of height for a pixel that an edge goes sideways
const SWEEPS = 10;
const BESIDE = 0.1; // weight of a neighbour off the spine
const HOME = 0.015; // weight of the middle of the whole
const STRAIGHTENED = 3;

/** @returns {{x: Float32Array, y: Float32Array, right: number, bottom: number}} left and top of every box and point; the whole's size */
export function placing(proper, layers) {
  const centre = new Float64Array(proper.count);
  const apart = layers.map((layer) => distances(proper, layer));
  layers.forEach((layer, l) => {
    const width = apart[l].length ? apart[l][apart[l].length - 1] : 0;
    layer.forEach((v, i) => (centre[v] = apart[l][i] - width / 2));
  });
  const up = weighed(proper, proper.to, proper.from, layers);
  const down = weighed(proper, proper.from, proper.to, layers.toReversed());
  const held = new Float32Array(proper.count).fill(HOME);
  const pools = poolsFor(layers);
  const sweep = (upper, lower) => {
    for (let l = 0; l < layers.length; l++) settle(layers[l], apart[l], centre, upper, held, pools);
    for (let l = layers.length - 1; l >= 0; l--) settle(layers[l], apart[l], centre, lower, held, pools);
  };
  for (let i = 0; i < SWEEPS; i++) sweep([up], i > SWEEPS / 2 ? [up, down] : [down]);
  const threads = threadsOf(proper, layers, up, down, centre);
  const room = standing(layers, apart, centre);
  for (let i = 0; i < STRAIGHTENED; i++) {
    straighten(threads, room, centre, held);
    sweep([up, down], [up, down]);
  }
  straighten(threads, room, centre, held);
  return corners(proper, layers, centre);
}

/** Sums of the least distances between centres, from the first of a layer. */
function distances(proper, layer) {
  const sums = new Float64Array(layer.length);
  for (let i = 1; i < layer.length; i++) {
    const [a, b] = [layer[i - 1], layer[i]];
    const gap = a >= proper.real || b >= proper.real ? POINT_GAP : GAP;
    sums[i] = sums[i - 1] + (proper.width[a] + proper.width[b]) / 2 + gap;
  }
  return sums;
}

/**
 * Neighbours on one side. Segments between points weigh most, so that long edges are straight; then those to the neighbour from which the way
 * on is longest, so that the spine of a graph is straight and what feeds it stands beside it.
 */
function weighed(proper, keys, values, layers) {
  const side = neighbours(proper.count, keys, values);
  const weight = new Float32Array(side.list.length);
  const reach = new Int32Array(proper.count);
  for (const layer of layers) {
    for (const v of layer) {
      let most = -1;
      for (let k = side.start[v]; k < side.start[v + 1]; k++) most = Math.max(most, reach[side.list[k]]);
      reach[v] = most + 1;
      for (let k = side.start[v]; k < side.start[v + 1]; k++) {
        const points = (v >= proper.real) + (side.list[k] >= proper.real);
        weight[k] = points > 0 ? 1.5 * points : reach[side.list[k]] === most ? 1 : BESIDE;
      }
    }
  }
  return { ...side, weight, reach };
}

/** Room for the pools of the widest layer. */
function poolsFor(layers) {
  const most = layers.reduce((wide, layer) => Math.max(wide, layer.length), 0);
  return { starts: new Int32Array(most + 1), means: new Float64Array(most), weights: new Float64Array(most) };
}

/** Move one layer. What is held wants to stay where it is, everything wants, a little, to the middle of the whole. */
function settle(layer, apart, centre, sides, held, pools) {
  const { starts, means, weights } = pools;
  let last = -1;
  for (let i = 0; i < layer.length; i++) {
    const v = layer[i];
    let weight = held[v];
    let sum = weight > HOME ? weight * centre[v] : 0;
    for (let s = 0; s < sides.length; s++) {
      const side = sides[s];
      for (let k = side.start[v]; k < side.start[v + 1]; k++) {
        sum += side.weight[k] * centre[side.list[k]];
        weight += side.weight[k];
      }
    }
    last += 1;
    starts[last] = i;
    means[last] = sum / weight - apart[i];
    weights[last] = weight;
    for (; last > 0 && means[last - 1] > means[last]; last--) {
      const both = weights[last - 1] + weights[last];
      means[last - 1] = (means[last - 1] * weights[last - 1] + means[last] * weights[last]) / both;
      weights[last - 1] = both;
    }
  }
  starts[last + 1] = layer.length;
  for (let p = 0; p <= last; p++) for (let i = starts[p]; i < starts[p + 1]; i++) centre[layer[i]] = means[p] + apart[i];
}

function corners(proper, layers, centre) {
  const x = new Float32Array(proper.count);
  const y = new Float32Array(proper.count);
  let left = Infinity;
  for (let v = 0; v < proper.count; v++) left = Math.min(left, centre[v] - proper.width[v] / 2);
  let right = 0;
  for (let v = 0; v < proper.count; v++) {
    x[v] = centre[v] - proper.width[v] / 2 - left;
    right = Math.max(right, x[v] + proper.width[v]);
  }
  const { tops, heights, bottom } = rows(proper, layers, centre);
  for (let v = 0; v < proper.count; v++) {
    const l = proper.layer[v];
    if (v >= proper.real) proper.height[v] = heights[l];
    y[v] = tops[l] + (heights[l] - proper.height[v]) / 2;
  }
  return { x, y, right, bottom };
}

/** The top and height of each layer; more room below it where edges go far sideways. */
function rows(proper, layers, centre) {
  const far = new Float64Array(layers.length);
  for (let e = 0; e < proper.from.length; e++) {
    const l = proper.layer[proper.from[e]];
    far[l] = Math.max(far[l], Math.abs(centre[proper.from[e]] - centre[proper.to[e]]));
  }
  const tops = new Float64Array(layers.length);
  const heights = layers.map((layer) => layer.reduce((most, v) => Math.max(most, v < proper.real ? proper.height[v] : 0), 0));
  let bottom = 0;
  for (let l = 0; l < layers.length; l++) {
    tops[l] = bottom;
    bottom += heights[l] + (l + 1 < layers.length ? Math.min(ROW_MOST, ROW + STEEP * far[l]) : 0);
  }
  return { tops, heights, bottom };
}
