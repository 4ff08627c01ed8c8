// The editor where CodeMirror cannot be loaded: a plain text area with the same ways in and out as `code_mirror.js`.

import { el } from "./dom.js";

/**
 * @param {HTMLElement} place where it stands
 * @param {{label: string, change: (text: string) => void, cursor: (line: number) => void, leave: () => void}} told `cursor` gets the line, from 1
 */
export function makePlain(place, { label, change, cursor, leave }) {
  const area = el("textarea", { class: "code plain", "aria-label": label, spellcheck: "false", autocapitalize: "off", autocomplete: "off", wrap: "off" });
  const here = () => area.value.slice(0, area.selectionStart).split("\n").length;
  area.addEventListener("input", () => change(area.value));
  area.addEventListener("click", () => cursor(here()));
  area.addEventListener("keyup", () => cursor(here()));
  area.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.preventDefault();
    leave();
  });
  place.append(area);

  function select(line) {
    const lines = area.value.split("\n");
    const from = lines.slice(0, line - 1).reduce((sum, text) => sum + text.length + 1, 0);
    area.setSelectionRange(from, from + (lines[line - 1] ?? "").length);
    area.scrollTop = (area.scrollHeight / lines.length) * Math.max(0, line - 4);
  }

  return {
    text: (value) => {
      if (area.value !== value) area.value = value;
    },
    mark: (failure) => area.setAttribute("aria-invalid", String(Boolean(failure?.line))),
    show: select,
    focus: () => area.focus(),
  };
}
