// How a node came to be: the steps that led to it, the oldest first, each with its rule.

import { many } from "./amounts.js";
import { el } from "./dom.js";

const SHOWN = 6; // steps that are shown before the earlier ones are asked for

/** The story of a node, from a `node` answer. */
export function storyOf(doc, { store }) {
  if (doc.made.length === 0) return null;
  const steps = doc.made.map((step) => item(step, doc, store));
  const earlier = steps.slice(0, -SHOWN);
  return el(
    "section",
    { class: "node-story" },
    el("h3", {}, doc.made.at(-1).ruled ? ["Made by ", el("code", {}, doc.made.at(-1).by)] : "How it came to be"),
    earlier.length > 0 && el("details", {}, el("summary", {}, many(earlier.length, "earlier step")), el("ol", {}, earlier)),
    el("ol", {}, steps.slice(-SHOWN)),
  );
}

function item(step, doc, store) {
  const [before, after] = step.ids;
  const link = (id, text, sign) =>
    el(
      "button",
      { type: "button", class: "node-expression", title: "Choose this node", disabled: id === doc.id, onclick: () => store.set({ node: id }) },
      el("span", { class: "node-sign", "aria-hidden": "true" }, sign),
      el("code", {}, text),
    );
  return el(
    "li",
    {},
    el("p", {}, el("strong", {}, step.by), " ", el("small", { class: "muted" }, step.stage)),
    step.doc && el("p", { class: step.ruled ? "node-rule" : "muted" }, step.doc),
    link(before, step.before, "−"),
    link(after, step.after, "+"),
  );
}
