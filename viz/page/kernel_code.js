// A kernel's WGSL with line numbers; lines and nodes of the graph point at each other.

import { el, replace } from "./dom.js";
import { tokens } from "./wgsl.js";

/**
 * A view of one kernel's WGSL at a time.
 * @param {{choose: (line: number) => void}} told `choose` is called with a line, from 1, that the user picks
 * @returns {{element: HTMLElement, show: (wgsl: string) => void, say: (lines: Set<number>) => void, mark: (lines: Set<number>, quiet?: boolean) => void}}
 */
export function makeCode({ choose }) {
  const element = el("div", {
    class: "kernels-code",
    role: "listbox",
    tabindex: 0,
    "aria-label": "WGSL, line by line. Up and Down move, Enter shows the line's nodes in the graph.",
  });
  let rows = [];
  let current = 0;

  function move(to, scroll = true) {
    rows[current - 1]?.classList.remove("current");
    current = Math.max(1, Math.min(rows.length, to));
    const row = rows[current - 1];
    if (row === undefined) return;
    row.classList.add("current");
    element.setAttribute("aria-activedescendant", row.id);
    if (scroll) row.scrollIntoView({ block: "nearest" });
  }

  element.addEventListener("click", (event) => {
    const row = event.target.closest("[data-line]");
    if (row === null || !getSelection().isCollapsed) return;
    move(Number(row.dataset.line), false);
    choose(current);
  });
  element.addEventListener("focus", () => {
    if (current === 0) move(1, false);
  });
  element.addEventListener("keydown", (event) => {
    const to = { ArrowDown: current + 1, ArrowUp: current - 1, PageDown: current + 16, PageUp: current - 16, Home: 1, End: rows.length }[event.key];
    if (to !== undefined) move(to);
    else if (event.key === "Enter" || event.key === " ") choose(current);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });

  return {
    element,
    /** Show a text. */
    show(wgsl) {
      const lines = wgsl.replace(/\n$/u, "").split("\n");
      rows = lines.map((line, i) => row(line, i + 1));
      current = 0;
      element.removeAttribute("aria-activedescendant");
      element.style.setProperty("--digits", String(String(rows.length).length));
      replace(element, rows);
      element.scrollTop = 0;
    },
    /** Say which lines have nodes. */
    say(lines) {
      for (const [i, node] of rows.entries()) node.classList.toggle("says", lines.has(i + 1));
    },
    /** Mark lines, and bring the first into view unless `quiet`. */
    mark(lines, quiet = false) {
      for (const [i, node] of rows.entries()) {
        node.classList.toggle("marked", lines.has(i + 1));
        node.setAttribute("aria-selected", String(lines.has(i + 1)));
      }
      const first = rows[Math.min(...lines) - 1];
      if (first !== undefined && !quiet) first.scrollIntoView({ block: "nearest" });
    },
  };
}

function row(line, number) {
  const parts = tokens(line).map(([name, text]) => (name === "" ? text : el("span", { class: `wgsl-${name}` }, text)));
  const label = line.trim() === "" ? "empty line" : null;
  const about = { class: "kernels-line", role: "option", id: `wgsl-line-${number}`, "aria-selected": "false", "aria-label": label, data: { line: number } };
  return el("div", about, parts.length ? parts : "\u00a0");
}
