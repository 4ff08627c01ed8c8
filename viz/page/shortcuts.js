// Which key does what, and what the marks of the graph mean.

import { PANES } from "./inspector.js";
import { STAGES } from "./pipeline.js";

/** The marks: the tag's class, the mark, what it says. */
export const MARKS = Object.freeze([
  ["forward", "— forward", "What the program computes"],
  ["backward", "╌ backward", "Gradients, made by rules"],
  ["update", "↻ update", "What the optimiser writes"],
  ["fused", "▪ fused", "Several operations in one kernel"],
]);

/** Puts the page's own keys into the table; panes add theirs. */
export function bindKeys({ store, keys, editor, share, stages, reveal }, { theme, help }) {
  const add = (group, key, text, run, more = {}) => keys.add({ group, key, text, run, ...more });
  add("Program", "Mod+Enter", "Compile", () => editor.compile());
  add("Program", "e", "To the editor; Esc leaves it", () => {
    reveal("program");
    editor.focus();
  });
  for (const [index, [name, title]] of STAGES.entries()) add("Stages", String(index + 1), title, () => stages.choose(name));
  for (const [name, title, letter] of PANES) {
    add("Panes", letter, title, () => {
      reveal("inspect");
      store.set({ pane: name });
    });
  }
  add("Graph", "/", "Search", () => {
    reveal("graph");
    document.querySelector("#graph input[type=search]")?.focus();
  });
  add("Graph", "Escape", "Let go of the chosen node", () => store.set({ node: null, highlight: null }));
  add("Page", "s", "Copy a link to this view", share.copy);
  add("Page", "d", "Light or dark", theme);
  add("Page", "?", "This help", help);
}
