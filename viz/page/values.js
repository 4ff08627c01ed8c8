// Values of a run as a heat map, as pictures, as numbers.

import { element as word, shape as dims } from "./amounts.js";
import { el, replace } from "./dom.js";

const MOST_PICTURES = 36;
const MOST_ROWS = 64;
const MOST_COLUMNS = 32;
const SIDE = 320; // pixels of the longer side of a heat map, at most

/**
 * A value with the views that it has.
 * @param {{name: string, dtype: string, shape: number[], values: (number|boolean|string)[], count: number, image: object|null, check: object|null}} told
 * @param {{colours: () => object, captions?: (index: number) => string}} options `colours` reads the theme; `captions` names the pictures
 * @returns {{element: HTMLElement, redraw: () => void}}
 */
export function makeValue(told, { colours, captions }) {
  const views = viewsOf(told);
  const place = el("div", { class: "run-view" });
  let shown = views[0];
  let redraw = () => {};
  const buttons = views.map((view) =>
    el("button", { type: "button", class: "button quiet", "aria-pressed": "false", "aria-label": `${TITLES[view]} of ${told.name}`, onclick: () => choose(view) }, TITLES[view]),
  );

  function choose(view) {
    shown = view;
    for (const [i, button] of buttons.entries()) button.setAttribute("aria-pressed", String(views[i] === shown));
    redraw = DRAWN[shown](place, told, { colours, captions });
  }

  const head = el(
    "div",
    { class: "run-value-head" },
    el("span", { class: "mono run-name" }, told.name),
    el("span", { class: "muted" }, `${told.dtype} ${dims(told.shape)}`),
    told.check === null ? null : el("span", { class: ["tag", told.check.agrees ? "good" : "error"], title: told.check.message }, verdict(told.check)),
    views.length > 1 ? el("span", { class: "run-views", role: "group", "aria-label": "Shown as" }, buttons) : null,
  );
  choose(shown);
  return { element: el("section", { class: "run-value", "aria-label": told.name }, head, place), redraw: () => redraw() };
}

const TITLES = { picture: "Pictures", map: "Heat map", table: "Numbers" };

function viewsOf({ count, dtype, image, shape }) {
  if (count <= 8 || shape.length === 0) return ["table"];
  if (!dtype.includes("float")) return ["table", "map"];
  return image === null ? ["map", "table"] : image.sure ? ["picture", "map", "table"] : ["map", "picture", "table"];
}

function verdict({ agrees, max_error: error, count }) {
  const much = typeof error === "number" ? error.toExponential(1) : error;
  return agrees ? `✓ ${count.toLocaleString("en")} agree, error ${much}` : `✗ differs by ${much}`;
}

/** Numbers among values: what is not finite, or no number, as NaN. */
function numbers(values) {
  return values.map((v) => (typeof v === "number" ? v : typeof v === "boolean" ? Number(v) : Number.NaN));
}

function range(values) {
  const finite = values.filter(Number.isFinite);
  return finite.length === 0 ? [0, 0] : [finite.reduce((a, b) => Math.min(a, b)), finite.reduce((a, b) => Math.max(a, b))];
}

// Pictures.

function drawPictures(place, told, { captions }) {
  const { width, height, channels } = told.image;
  const each = width * height * channels;
  const values = numbers(told.values);
  const [low, high] = range(values);
  const whole = Math.floor(values.length / each);
  const shown = Math.min(whole, MOST_PICTURES);
  const figures = Array.from({ length: shown }, (_, i) => {
    const name = captions?.(i) ?? String(i);
    const canvas = el("canvas", { width, height, role: "img", "aria-label": `${told.name}, picture ${i}${name === String(i) ? "" : `: ${name}`}` });
    canvas.getContext("2d").putImageData(picture(values, i * each, told.image, low, high), 0, 0);
    return el("figure", { class: "run-picture" }, canvas, el("figcaption", {}, name));
  });
  const count = told.count / each;
  const rest = count > shown ? `The first ${shown} of ${count.toLocaleString("en")}. ` : "";
  replace(place, el("div", { class: "run-pictures" }, figures), el("p", { class: "muted" }, `${rest}Black is ${word(low)}, white ${word(high)}.`));
  return () => {};
}

function picture(values, start, { width, height, channels }, low, high) {
  const image = new ImageData(width, height);
  const plane = width * height;
  const scale = high > low ? 255 / (high - low) : 0;
  for (let i = 0; i < plane; i += 1) {
    for (let c = 0; c < 3; c += 1) image.data[4 * i + c] = (values[start + i + (channels === 3 ? c * plane : 0)] - low) * scale;
    image.data[4 * i + 3] = 255;
  }
  return image;
}

// Heat maps: rows of the last axis; one axis is laid out in rows of 32.

function grid({ shape, values }) {
  const columns = shape.length > 1 ? shape.at(-1) : Math.min(shape[0], 32);
  return { columns, rows: Math.ceil(values.length / columns) };
}

function drawMap(place, told, { colours }) {
  const values = numbers(told.values);
  const whole = grid(told);
  const [columns, rows] = [Math.min(whole.columns, values.length), whole.rows]; // of a row that is cut off no more than there is
  const [low, high] = range(values);
  const far = Math.max(Math.abs(low), Math.abs(high)) || 1;
  const canvas = el("canvas", { class: "run-map", width: columns, height: rows, role: "img", "aria-label": `Heat map of ${told.name}, from ${word(low)} to ${word(high)}` });
  const size = Math.max(1, Math.min(24, Math.floor(SIDE / Math.max(columns, rows / 2))));
  canvas.style.width = `${columns * size}px`;
  canvas.style.height = `${rows * size}px`;
  const said = el("p", { class: "muted run-said" });
  const rest = told.count > values.length ? `The first ${values.length.toLocaleString("en")} of ${told.count.toLocaleString("en")} elements. ` : "";
  const summary = `${rest}From ${word(low)} to ${word(high)}; teal is above 0, ember below.`;
  said.textContent = summary;
  canvas.addEventListener("pointermove", ({ offsetX, offsetY }) => {
    const at = Math.floor(offsetY / (canvas.clientHeight / rows)) * columns + Math.floor(offsetX / (canvas.clientWidth / columns));
    if (at >= 0 && at < values.length) said.textContent = `[${indexOf(at, told.shape).join(", ")}] = ${word(told.values[at])}`;
  });
  canvas.addEventListener("pointerleave", () => (said.textContent = summary));
  replace(place, el("div", { class: "run-scroll", tabindex: columns * size > SIDE ? 0 : null }, canvas), said);

  function paint() {
    const { ground, above, below, wrong } = colours();
    const image = new ImageData(columns, rows);
    for (const [i, v] of values.entries()) {
      const goal = Number.isNaN(v) ? wrong : v >= 0 ? above : below;
      const part = Number.isNaN(v) ? 1 : Math.sqrt(Math.abs(v) / far);
      for (let c = 0; c < 3; c += 1) image.data[4 * i + c] = ground[c] + (goal[c] - ground[c]) * part;
      image.data[4 * i + 3] = 255;
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
  }
  paint();
  return paint;
}

function indexOf(at, shape) {
  const found = [];
  for (const size of [...shape].reverse()) {
    found.unshift(at % size);
    at = Math.floor(at / size);
  }
  return found;
}

// Numbers.

function drawTable(place, told) {
  if (told.count === 1) {
    replace(place, el("p", { class: "run-scalar mono" }, word(told.values[0])));
    return () => {};
  }
  const { columns, rows } = grid(told);
  const wide = Math.min(columns, MOST_COLUMNS);
  const high = Math.min(rows, MOST_ROWS);
  const row = (r) => {
    const cells = told.values.slice(r * columns, Math.min((r + 1) * columns, r * columns + wide));
    return el("tr", {}, el("th", { scope: "row" }, indexOf(r * columns, told.shape).slice(0, told.shape.length > 1 ? -1 : 1).join(", ")), cells.map((v) => el("td", {}, word(v))));
  };
  const table = el(
    "table",
    { class: "run-numbers mono" },
    el("thead", {}, el("tr", {}, el("td"), Array.from({ length: wide }, (_, c) => el("th", { scope: "col" }, told.shape.length > 1 ? c : `+${c}`)))),
    el("tbody", {}, Array.from({ length: high }, (_, r) => row(r))),
  );
  const cut = wide < columns || high < rows || told.count > told.values.length;
  const note = cut ? el("p", { class: "muted" }, `${high} of ${(told.count / columns).toLocaleString("en", { maximumFractionDigits: 0 })} rows, ${wide} of ${columns} columns.`) : null;
  replace(place, el("div", { class: "run-scroll", tabindex: 0, role: "region", "aria-label": `Numbers of ${told.name}` }, table), note);
  return () => {};
}

const DRAWN = { picture: drawPictures, map: drawMap, table: drawTable };
