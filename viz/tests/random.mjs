// Graphs made by chance, the same in every run.

/** Numbers from 0 up to 1, as a seed gives them (mulberry32). */
export function chance(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** A graph without cycles, or with, as `layout` takes it. Most edges are short, as in a program. */
export function randomGraph(seed, count, { cycles = false } = {}) {
  const next = chance(seed);
  const pairs = new Set();
  for (let v = 1; v < count; v++) {
    const many = Math.floor(next() * 3.4);
    for (let k = 0; k < many; k++) pairs.add(`${Math.max(0, v - 1 - Math.floor(next() ** 3 * v))} ${v}`);
    if (cycles && next() < 0.1) pairs.add(`${v} ${Math.floor(next() * v)}`);
  }
  const edges = [...pairs].map((pair) => pair.split(" ").map(Number));
  return {
    count,
    width: Float32Array.from({ length: count }, () => 60 + Math.floor(next() * 200)),
    height: new Float32Array(count).fill(38),
    from: Int32Array.from(edges, ([u]) => u),
    to: Int32Array.from(edges, ([, v]) => v),
  };
}
