// The lines between the panes: moved by pointer or arrow keys, remembered, put back by a double click.

import { keep, recall } from "./memory.js";

const STEP = 16; // pixels an arrow key moves
const portrait = matchMedia("(max-width: 1099px) and (orientation: portrait)");

/** Mounts the two splitters of the desk. */
export function mountSplitters(desk) {
  const sizes = { ...recall("sizes", {}) };
  for (const [name, value] of Object.entries(sizes)) if (Number.isFinite(value)) desk.style.setProperty(name, `${value}px`);
  const change = (name, value) => {
    if (value === null) {
      delete sizes[name];
      desk.style.removeProperty(name);
    } else {
      sizes[name] = Math.round(value);
      desk.style.setProperty(name, `${sizes[name]}px`);
    }
    keep("sizes", sizes);
  };
  splitter(document.getElementById("split-program"), document.getElementById("program"), () => ["--program-width", "width", 1], change, "Width of the program");
  const side = () => [...document.querySelectorAll("#program, #inspector")].find((pane) => pane.offsetParent !== null && pane.id !== "program")
    ?? document.getElementById("program");
  const how = () => (portrait.matches ? ["--side-height", "height", -1] : ["--inspector-width", "width", -1]);
  splitter(document.getElementById("split-inspector"), side, how, change, "Size of the inspector");
}

/**
 * One splitter.
 * @param {HTMLElement} bar what is dragged
 * @param {HTMLElement|(() => HTMLElement)} pane whose size changes
 * @param {() => [string, "width"|"height", 1|-1]} how the CSS variable, its axis, and whether it grows along it
 * @param {(name: string, value: number|null) => void} change sets the variable, in pixels
 */
function splitter(bar, pane, how, change, label) {
  const sized = () => (typeof pane === "function" ? pane() : pane).getBoundingClientRect();
  const tell = () => {
    const [, axis] = how();
    const whole = axis === "width" ? innerWidth : innerHeight;
    bar.setAttribute("aria-orientation", axis === "width" ? "vertical" : "horizontal");
    bar.setAttribute("aria-valuenow", String(Math.round((100 * sized()[axis]) / whole)));
  };
  for (const [name, value] of Object.entries({ role: "separator", tabindex: "0", "aria-label": label, "aria-valuemin": "0", "aria-valuemax": "100" })) {
    bar.setAttribute(name, value);
  }
  bar.title = "Drag, or use the arrow keys; a double click puts it back";

  bar.addEventListener("pointerdown", (event) => {
    const [name, axis, sign] = how();
    const at = (moved) => (axis === "width" ? moved.clientX : moved.clientY);
    const [from, size] = [at(event), sized()[axis]];
    const drag = (moved) => change(name, size + sign * (at(moved) - from));
    const end = () => {
      bar.classList.remove("moving");
      bar.removeEventListener("pointermove", drag);
      change(name, sized()[axis]); // what the limits of the layout made of it
      tell();
    };
    bar.setPointerCapture(event.pointerId);
    bar.classList.add("moving");
    bar.addEventListener("pointermove", drag);
    bar.addEventListener("lostpointercapture", end, { once: true });
    event.preventDefault();
    bar.focus({ focusVisible: false });
  });
  bar.addEventListener("keydown", (event) => {
    const [name, axis, sign] = how();
    const keys = axis === "width" ? { ArrowLeft: -1, ArrowRight: 1 } : { ArrowUp: -1, ArrowDown: 1 };
    if (!(event.key in keys)) return;
    event.preventDefault();
    change(name, sized()[axis] + sign * keys[event.key] * STEP);
    change(name, sized()[axis]);
    tell();
  });
  bar.addEventListener("dblclick", () => {
    change(how()[0], null);
    tell();
  });
  new ResizeObserver(tell).observe(bar);
  tell();
}
