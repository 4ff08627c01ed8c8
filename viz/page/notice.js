// Short messages over the page: said to a screen reader, gone after a while, or kept until they are closed.

import { el } from "./dom.js";

const SHOWN = 6000; // milliseconds a passing message stays

/**
 * A place for messages.
 * @param {HTMLElement} place where they appear
 * @returns {(text: string, options?: {kind?: "info"|"error", key?: string, stays?: boolean, action?: {label: string, run: () => void}}) => () => void}
 *   shows one, and returns what takes it away; of those with the same key only the last is there
 */
export function makeNotice(place) {
  place.setAttribute("role", "region");
  place.setAttribute("aria-label", "Messages");
  const keyed = new Map();

  return function notice(text, { kind = "info", key = text, stays = kind === "error", action = null } = {}) {
    keyed.get(key)?.();
    let timer = 0;
    const close = () => {
      clearTimeout(timer);
      box.remove();
      if (keyed.get(key) === close) keyed.delete(key);
    };
    const act = () => {
      close();
      action.run();
    };
    const box = el(
      "div",
      { class: ["notice", kind], role: kind === "error" ? "alert" : "status" },
      el("p", {}, text),
      action && el("button", { type: "button", class: "button", onclick: act }, action.label),
      el("button", { type: "button", class: "button quiet", "aria-label": "Close this message", onclick: close }, "×"),
    );
    keyed.set(key, close);
    place.append(box);
    if (!stays) {
      const arm = () => {
        clearTimeout(timer);
        timer = setTimeout(close, SHOWN);
      };
      box.addEventListener("pointerenter", () => clearTimeout(timer));
      box.addEventListener("pointerleave", arm);
      box.addEventListener("focusin", () => clearTimeout(timer));
      box.addEventListener("focusout", arm);
      arm();
    }
    return close;
  };
}
