// What the graph says in words: the tip beside the pointer, and what a screen reader is told of the selected node.

import { many } from "./amounts.js";
import { el, replace } from "./dom.js";
import { PHASES, typeText } from "./nodes.js";

const AWAY = 14; // pixels from the pointer

/** Lines that say what a box is. */
function wordsOf(scene, box) {
  const { label, extra, note } = scene.texts[box];
  if (scene.groups[box] !== null) return [label, note, "Click to open"];
  const row = scene.nodes.get(scene.id[box]);
  const { name, symbol } = PHASES[row.phase];
  const placed = [row.name && `named ${row.name}`, row.module && `in ${row.module}`, row.line > 0 && `line ${row.line}`].filter(Boolean).join(" · ");
  return [extra ? `${label} · ${extra}` : label, typeText(row), `${symbol} ${name}`, placed].filter(Boolean);
}

/** What a screen reader is told of the selected box. */
export function spoken(scene, box) {
  const around = `reads ${many(scene.beside(box, false).length, "box", "boxes")}, read by ${scene.beside(box, true).length}`;
  return `${wordsOf(scene, box).filter((line) => line !== "Click to open").join(", ")}; ${around}`;
}

/** The tip beside the pointer. */
export function makeTip() {
  const element = el("div", { class: "graph-tip", hidden: true, "aria-hidden": "true" });
  return {
    element,
    show(scene, box, px, py, canvas) {
      const [first, ...rest] = wordsOf(scene, box);
      replace(element, el("strong", {}, first), rest.map((line) => el("span", {}, line)));
      element.hidden = false;
      const { offsetWidth: w, offsetHeight: h } = element;
      const x = px + AWAY + w > canvas.clientWidth ? px - AWAY - w : px + AWAY;
      const y = py + AWAY + h > canvas.clientHeight ? py - AWAY - h : py + AWAY;
      element.style.transform = `translate(${Math.max(4, x)}px, ${Math.max(4, y)}px)`;
    },
    hide() {
      element.hidden = true;
    },
  };
}
