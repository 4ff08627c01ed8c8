// Small charts of values over steps: a faint line of every value, a strong one of their mean, the axes' ends in words.

import { short } from "./amounts.js";
import { replace, svg } from "./dom.js";

const WIDTH = 320; // user units; the drawing is as wide as its place
const HEIGHT = 96;
const LEFT = 34;
const RIGHT = 6;
const TOP = 6;
const BOTTOM = 16;
const POINTS = 480; // more are thinned: a screen shows no more
const MEMORY = 0.8; // of the mean, from one step to the next

/**
 * A chart.
 * @param {string} name what is drawn, for those who do not see it
 * @param {string} kind the class of its lines
 * @param {(value: number) => string} words how a value is said
 * @returns {{node: SVGElement, draw: (points: [number, number][], options?: {first?: number, target?: number, top?: number|null, mean?: boolean}) => void}}
 *   `points` are step and value, in order; `first` and `target` the ends of the steps; `top` the end of the values, or null for the largest
 */
export function makeCurve(name, kind, words = short) {
  const node = svg("svg", { class: ["curve", kind], viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${name}: nothing yet` });

  function draw(points, { first = 1, target = 0, top = null, mean = false } = {}) {
    const frame = frameOf(points, first, target, top);
    const line = mean ? smooth(points) : points;
    const last = points.at(-1);
    const said = last === undefined ? "nothing yet" : `${words(points[0][1])} at step ${points[0][0]}, ${words(last[1])} at step ${last[0]}`;
    node.setAttribute("aria-label", `${name}: ${said}`);
    const drawn = (kind, values) => svg("polyline", { class: kind, points: path(thinned(values), frame) });
    replace(
      node,
      grid(frame, words),
      mean && points.length > 1 && drawn("each", points),
      points.length > 1 && drawn("line", line),
      last !== undefined && svg("circle", { class: "end", cx: frame.x(last[0]), cy: frame.y(line.at(-1)[1]), r: 2.5 }),
    );
  }

  draw([]);
  return { node, draw };
}

/** Where steps and values are in the drawing. */
function frameOf(points, first, target, top) {
  const reduced = (pick, from) => points.reduce((found, [, value]) => pick(found, value), from); // they may be too many to be arguments
  const end = Math.max(target, points.at(-1)?.[0] ?? 1, first + 1);
  const low = top === null || points.length === 0 ? 0 : Math.floor(reduced(Math.min, Infinity) * 10) / 10;
  const high = top ?? reduced(Math.max, 1e-9);
  const span = high - low || 1;
  return {
    first,
    end,
    low,
    high,
    x: (step) => LEFT + ((step - first) / (end - first)) * (WIDTH - LEFT - RIGHT),
    y: (value) => TOP + (1 - (value - low) / span) * (HEIGHT - TOP - BOTTOM),
  };
}

/** The ends of both axes, and lines at a quarter, a half and three quarters. */
function grid({ first, end, low, high, x, y }, words) {
  const lines = [0, 0.25, 0.5, 0.75, 1].map((part) => y(low + part * (high - low)));
  const label = (at, down, anchor, text) => svg("text", { x: at, y: down, "text-anchor": anchor }, text);
  return [
    lines.map((at) => svg("line", { class: "rule", x1: LEFT, x2: WIDTH - RIGHT, y1: at, y2: at })),
    label(LEFT - 4, y(high) + 4, "end", words(high)),
    label(LEFT - 4, y(low), "end", words(low)),
    label(x(first), HEIGHT - 4, "start", String(first)),
    label(x(end), HEIGHT - 4, "end", String(end)),
  ];
}

function path(points, { x, y }) {
  return points.map(([step, value]) => `${x(step).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
}

/** At most so many of the points, the last among them. */
function thinned(points) {
  const stride = Math.ceil(points.length / POINTS);
  return stride < 2 ? points : points.filter((_, at) => at % stride === 0 || at === points.length - 1);
}

/** The running mean, which begins at the first value. */
function smooth(points) {
  let mean = points[0]?.[1] ?? 0;
  return points.map(([step, value]) => {
    mean = MEMORY * mean + (1 - MEMORY) * value;
    return [step, mean];
  });
}
