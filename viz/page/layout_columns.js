// A graph much taller than a screen is broken into columns, like a newspaper: read one down, then go on at the top of the next.

const TALL = 3; // times as high as wide, from which a graph is broken
const HIGH = 8000; // pixels that any graph may be high
const ASPECT = 1.5; // of what columns make
const GUTTER = 150; // pixels between columns
const SLACK = 0.15; // part of a column within which the best place to break is looked for
const LANES = 12;
const MOST = 80;

/**
 * Break a placed graph where few edges are cut.
 * @param {object} placed `x`, `y`, `right` and `bottom` as `placing` gives them; changed
 * @returns {object} `placed` with `column`, the column of each layer, and `gutters`: left of each column but the first, where edges go back up
 */
export function columns(proper, layers, placed) {
  placed.column = new Int32Array(layers.length);
  placed.gutters = [];
  if (placed.bottom < Math.max(HIGH, TALL * placed.right)) return placed;
  const { tops, lefts, rights } = extents(proper, layers, placed);
  const into = cuts(proper, layers.length);
  let breaks = [];
  for (let many = 2; many <= MOST; many = Math.ceil(many * 1.2)) {
    breaks = breaksOf(tops, placed.bottom, many, into);
    const wide = [0, ...breaks].reduce((sum, first, c) => {
      const end = breaks[c] ?? layers.length;
      return sum + GUTTER + Math.max(...rights.slice(first, end)) - Math.min(...lefts.slice(first, end));
    }, 0);
    if (wide * many > placed.bottom * ASPECT) break;
  }
  placed.column.forEach((_, l) => (placed.column[l] = breaks.filter((b) => b <= l).length));
  moved(proper, layers, placed, tops, breaks);
  return placed;
}

/** The top of each layer, and how far its boxes reach to the left and right. */
function extents(proper, layers, { x, y }) {
  const most = (layer, value, best) => layer.reduce((found, v) => best(found, value(v)), best === Math.min ? Infinity : -Infinity);
  return {
    tops: layers.map((layer) => most(layer, (v) => y[v], Math.min)),
    lefts: layers.map((layer) => most(layer, (v) => x[v], Math.min)),
    rights: layers.map((layer) => most(layer, (v) => x[v] + proper.width[v], Math.max)),
  };
}

/** How many segments lead into each layer. */
function cuts(proper, count) {
  const into = new Int32Array(count);
  for (const v of proper.to) into[proper.layer[v]]++;
  return into;
}

/** The first layers of all columns but the first. */
function breaksOf(tops, bottom, many, into) {
  const breaks = [];
  const high = bottom / many;
  for (let c = 1; c < many; c++) {
    let best = -1;
    for (let l = (breaks.at(-1) ?? 0) + 1; l < tops.length; l++) {
      if (Math.abs(tops[l] - c * high) < SLACK * high && (best < 0 || into[l] < into[best])) best = l;
    }
    if (best > 0) breaks.push(best);
  }
  return breaks;
}

function moved(proper, layers, placed, tops, breaks) {
  const firsts = [0, ...breaks];
  let left = 0;
  placed.bottom = 0;
  for (let c = 0; c < firsts.length; c++) {
    const boxes = layers.slice(firsts[c], firsts[c + 1]).flatMap((layer) => [...layer]);
    const [least, top] = [boxes.reduce((x, v) => Math.min(x, placed.x[v]), Infinity), tops[firsts[c]]];
    let most = 0;
    for (const v of boxes) {
      placed.x[v] += left - least;
      placed.y[v] -= top;
      most = Math.max(most, placed.x[v] + proper.width[v]);
      placed.bottom = Math.max(placed.bottom, placed.y[v] + proper.height[v]);
    }
    placed.right = most;
    left = most + GUTTER;
    if (c + 1 < firsts.length) placed.gutters.push(most + GUTTER / 2);
  }
}

/** Two points in the gutter through which an edge goes from the end of a column to the top of the next. */
export function through(placed, edge, column, y, top) {
  const x = placed.gutters[column] + ((edge % LANES) - LANES / 2) * 5;
  return [x, y + 34, x, top - 26];
}
