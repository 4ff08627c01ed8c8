// Threads, chains of boxes or points that want to stand straight below each other, made straight as far as their neighbours in each layer allow.

const HELD = 6; // weight with which what has been made straight keeps its place

/**
 * Ways down in which each is the other's main neighbour. Points of one chain are always a thread.
 * @returns {number[][]} the longest first; none of one box
 */
export function threadsOf(proper, layers, up, down) {
  const above = mains(proper, up);
  const below = mains(proper, down);
  const threads = [];
  for (const layer of layers) {
    for (const v of layer) {
      if (above[v] >= 0 && below[above[v]] === v) continue; // not the first of its thread
      const thread = [v];
      for (let u = v; below[u] >= 0 && above[below[u]] === u; u = below[u]) thread.push(below[u]);
      if (thread.length > 1) threads.push(thread);
    }
  }
  return threads.sort((a, b) => b.length - a.length);
}

/** The main neighbour of each on one side, or -1: a point's is a point, a box's the one from which the way on is longest; of several the middle one. */
function mains(proper, side) {
  const main = new Int32Array(proper.count).fill(-1);
  for (let v = 0; v < proper.count; v++) {
    const found = side.list.subarray(side.start[v], side.start[v + 1]);
    if (found.length === 0) continue;
    const kind = found.filter((u) => u >= proper.real === v >= proper.real);
    const likely = kind.length > 0 ? kind : found;
    const most = likely.reduce((best, u) => Math.max(best, side.reach[u]), -1);
    const best = likely.filter((u) => side.reach[u] === most);
    main[v] = best[best.length >> 1];
  }
  return main;
}

/**
 * Move each thread into as few straight pieces as go between the neighbours, changing `centre`; `held` becomes the weight of what is straight.
 * @param {Float64Array[]} apart sums of the least distances between centres in each layer
 */
export function straighten(threads, layers, apart, centre, held) {
  const at = new Int32Array(centre.length);
  const layerOf = new Int32Array(centre.length);
  layers.forEach((layer, l) => layer.forEach((v, i) => ([at[v], layerOf[v]] = [i, l])));
  const room = (v) => {
    const [layer, sums, i] = [layers[layerOf[v]], apart[layerOf[v]], at[v]];
    const least = i > 0 ? centre[layer[i - 1]] + sums[i] - sums[i - 1] : -Infinity;
    const most = i + 1 < layer.length ? centre[layer[i + 1]] - sums[i + 1] + sums[i] : Infinity;
    return [least, most];
  };
  for (const thread of threads) {
    let start = 0;
    while (start < thread.length) {
      let [least, most] = room(thread[start]);
      let end = start + 1;
      for (; end < thread.length; end++) {
        const [low, high] = room(thread[end]);
        if (Math.max(least, low) > Math.min(most, high)) break;
        least = Math.max(least, low);
        most = Math.min(most, high);
      }
      piece(thread, start, end, least, most, centre, held);
      start = end;
    }
  }
}

/** One straight piece: where most of it stands already. */
function piece(thread, start, end, least, most, centre, held) {
  const places = thread.slice(start, end).map((v) => centre[v]);
  const wanted = start > 0 && end < thread.length ? centre[thread[start - 1]] : places.sort((a, b) => a - b)[places.length >> 1];
  const place = Math.max(least, Math.min(most, wanted));
  for (let i = start; i < end; i++) {
    centre[thread[i]] = place;
    if (end - start > 1) held[thread[i]] = HELD;
  }
}
