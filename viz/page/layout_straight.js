// Threads, chains of boxes or points that want to stand straight below each other, made straight as far as their neighbours in each layer allow.

const HELD = 6; // weight with which what has been made straight keeps its place

/**
 * Ways down in which each is the other's main neighbour. Points of one chain are always a thread.
 * @returns {number[][]} the longest first; none of one box
 */
export function threadsOf(proper, layers, up, down, centre) {
  const above = mains(proper, up, centre);
  const below = mains(proper, down, centre);
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

/**
 * The main neighbour of each on one side, or -1: a point's is a point, a box's the one from which the way on is longest. Of several it is the
 * middle one; between two there is none, what has two stands in their middle.
 */
function mains(proper, { start, list, reach }, centre) {
  const main = new Int32Array(proper.count).fill(-1);
  const best = [];
  for (let v = 0; v < proper.count; v++) {
    best.length = 0;
    let most = -1;
    for (let k = start[v]; k < start[v + 1]; k++) {
      const u = list[k];
      const like = reach[u] + (u >= proper.real === v >= proper.real ? proper.count : 0);
      if (like > most) best.length = 0;
      most = Math.max(most, like);
      if (like === most) best.push(u);
    }
    if (best.length % 2 === 0) continue;
    if (best.length > 1) best.sort((a, b) => centre[a] - centre[b]);
    main[v] = best[best.length >> 1];
  }
  return main;
}

/** Where each stands: its layer, its number in that, and how far it may move between its neighbours. */
export function standing(layers, apart, centre) {
  const at = new Int32Array(centre.length);
  const layerOf = new Int32Array(centre.length);
  for (let l = 0; l < layers.length; l++) {
    for (let i = 0; i < layers[l].length; i++) {
      at[layers[l][i]] = i;
      layerOf[layers[l][i]] = l;
    }
  }
  return {
    least(v) {
      const i = at[v];
      const sums = apart[layerOf[v]];
      return i > 0 ? centre[layers[layerOf[v]][i - 1]] + sums[i] - sums[i - 1] : -Infinity;
    },
    most(v) {
      const i = at[v];
      const sums = apart[layerOf[v]];
      return i + 1 < sums.length ? centre[layers[layerOf[v]][i + 1]] - sums[i + 1] + sums[i] : Infinity;
    },
  };
}

/**
 * Move each thread into as few straight pieces as go between the neighbours, changing `centre`; `held` becomes the weight of what is straight.
 * @param {{least: (v: number) => number, most: (v: number) => number}} room as `standing` gives it
 */
export function straighten(threads, room, centre, held) {
  for (const thread of threads) {
    let start = 0;
    while (start < thread.length) {
      let least = room.least(thread[start]);
      let most = room.most(thread[start]);
      let end = start + 1;
      for (; end < thread.length; end++) {
        const low = Math.max(least, room.least(thread[end]));
        const high = Math.min(most, room.most(thread[end]));
        if (low > high) break;
        least = low;
        most = high;
      }
      piece(thread, start, end, Math.max(least, Math.min(most, wanted(thread, start, end, centre))), centre, held);
      start = end;
    }
  }
}

/** Where a piece wants to be: below the one before it; the first and the last where most of them stand already. */
function wanted(thread, start, end, centre) {
  if (start > 0 && end < thread.length) return centre[thread[start - 1]];
  const places = new Float64Array(end - start);
  for (let i = start; i < end; i++) places[i - start] = centre[thread[i]];
  return places.sort()[places.length >> 1];
}

function piece(thread, start, end, place, centre, held) {
  for (let i = start; i < end; i++) {
    centre[thread[i]] = place;
    if (end - start > 1) held[thread[i]] = HELD;
  }
}
