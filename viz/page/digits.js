// Held-out rows as small pictures, each with what the network says: a sign for right and wrong beside the colour, and its certainty.

import { percent } from "./amounts.js";
import { el, replace } from "./dom.js";

/**
 * A grid of held-out rows; a press on one shows how likely each class is.
 * @returns {{node: HTMLElement, draw: (told: object|null) => void}} `draw` takes the answer of `predict`, or {message}, or null for none yet
 */
export function makeDigits() {
  const right = el("p", { class: "muted" });
  const grid = el("ul", { class: "digits" });
  const detail = el("div", { "aria-live": "polite" });
  let drawn = null;
  let chosen = null; // the row whose probabilities are shown

  function choose(row) {
    chosen = chosen === row ? null : row;
    fill(drawn);
    if (chosen !== null) detail.scrollIntoView({ block: "nearest" });
  }

  function draw(told) {
    if (told === drawn) return;
    drawn = told;
    fill(told);
  }

  function fill(told) {
    const focused = document.activeElement?.dataset?.row;
    const digits = told?.digits ?? [];
    replace(right, told === null ? "" : (told.message ?? `Right about ${told.right} of ${told.held}.`));
    replace(grid, digits.map((digit) => el("li", {}, card(digit, told, digit.row === chosen, () => choose(digit.row)))));
    const shown = digits.find((digit) => digit.row === chosen);
    replace(detail, shown === undefined ? null : bars(shown));
    if (focused !== undefined) grid.querySelector(`[data-row="${focused}"]`)?.focus();
  }

  return { node: el("div", { class: "train-digits" }, right, grid, detail), draw };
}

/** A row as a button that shows its probabilities. */
function card({ row, pixels, truth, said, probabilities }, { width, height }, pressed, onclick) {
  const right = truth === said;
  const sure = percent(probabilities[said]);
  const words = right ? `${truth}, and the network says so, ${sure} certain` : `${truth}, and the network says ${said}, ${sure} certain`;
  return el(
    "button",
    { type: "button", class: ["digit", right ? "right" : "wrong"], "aria-pressed": String(pressed), title: `A ${words}`, data: { row }, onclick },
    el("span", { class: "visually-hidden" }, `A ${words}`),
    pixels.length > 0 ? picture(pixels, width, height) : el("span", {}, `#${row}`),
    el("span", { class: "digit-said", "aria-hidden": "true" }, right ? `✓ ${said}` : `✗ ${said}`),
    el("span", { class: "digit-truth", "aria-hidden": "true" }, right ? sure : `is ${truth}`),
  );
}

/**
 * A picture in shades of grey, dark ink on light paper in both themes.
 * @param {number[]} pixels from 0, the paper, to 1, the ink; row by row
 */
function picture(pixels, width, height) {
  const canvas = el("canvas", { class: "digit-picture", width, height, "aria-hidden": "true" });
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  pixels.forEach((value, at) => {
    const shade = Math.round(250 - 230 * value);
    image.data.set([shade, shade, shade, 255], at * 4);
  });
  context.putImageData(image, 0, 0);
  return canvas;
}

/** How likely each class is, as bars. */
function bars({ truth, said, probabilities }) {
  return el(
    "table",
    { class: "bars" },
    el("caption", {}, truth === said ? `A ${truth}. The network agrees.` : `A ${truth}. The network says ${said}.`),
    el("tbody", {}, probabilities.map((value, at) => bar(value, at, at === truth, at === said))),
  );
}

function bar(value, name, truth, said) {
  const meter = el("span", { class: "bar-fill" });
  meter.style.width = percent(value);
  const mark = truth ? (said ? "✓" : "is") : said ? "✗" : "";
  return el("tr", {}, el("th", { scope: "row" }, name), el("td", { class: "bar-mark" }, mark), el("td", { class: "bar-track" }, meter), el("td", { class: "bar-value" }, percent(value)));
}
