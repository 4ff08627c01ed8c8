// What each kernel took, over all runs of a program so far, as bars with numbers.

import { many, seconds } from "./amounts.js";
import { el, replace } from "./dom.js";

const CLOCKS = { "timestamp-query": "the device's own timestamps", wall: "the host's clock around each kernel, waiting included" };

/**
 * The table of times.
 * @param {{choose: (number: number) => void}} told `choose` is called with a kernel's number
 * @returns {{element: HTMLElement, add: (ran: object) => void, clear: () => void}}
 */
export function makeTimes({ choose }) {
  const element = el("div", { class: "run-times" });
  const known = new Map(); // times by number of kernel

  function draw(ran) {
    const rows = [...known.entries()].sort(([a], [b]) => a - b).map(([number, { name, times }]) => ({ number, name, ...spread(times) }));
    const longest = Math.max(...rows.map(({ median }) => median), Number.MIN_VALUE);
    const total = rows.reduce((sum, { median }) => sum + median, 0);
    const summary = `${seconds(total)} for ${many(rows.length, "kernel")}, by ${CLOCKS[ran.clock]}.`;
    replace(element, el("table", { class: "run-bars" }, el("caption", {}, summary), el("tbody", {}, rows.map((row) => bar(row, longest, choose)))));
  }

  return {
    element,
    /** Add the times of a run to those of the runs before. */
    add(ran) {
      for (const { number, name, times } of ran.kernels) known.set(number, { name, times: [...(known.get(number)?.times ?? []), ...times] });
      if (ran.kernels.length > 0) draw(ran);
    },
    /** Forget all: another program is open. */
    clear() {
      known.clear();
      replace(element);
    },
  };
}

/** Median, quartiles and how many there are. */
export function spread(times) {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (part) => sorted[Math.round((sorted.length - 1) * part)];
  return { median: at(0.5), low: at(0.25), high: at(0.75), runs: sorted.length };
}

function bar({ number, name, median, low, high, runs }, longest, choose) {
  const fill = el("span", { class: "run-bar-fill" });
  fill.style.width = `${Math.max(1, (100 * median) / longest)}%`;
  return el(
    "tr",
    {},
    el(
      "th",
      { scope: "row" },
      el("button", { type: "button", class: "run-kernel", title: `Show ${name} among the kernels`, onclick: () => choose(number) }, el("span", { class: "muted" }, number + 1), " ", name),
      el("span", { class: "run-bar", "aria-hidden": "true" }, fill),
    ),
    el("td", { class: "number", title: `${many(runs, "run")}, half of them from ${seconds(low)} to ${seconds(high)}` }, seconds(median)),
    el("td", { class: "number muted" }, runs > 1 ? `±${seconds((high - low) / 2)}` : "1 run"),
  );
}
