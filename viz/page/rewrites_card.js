// One rewrite: the rule as it is written, and what stood there before and stands there after.

import { el, replace } from "./dom.js";
import { ruleTokens } from "./rewrites_upat.js";

const STAGES = { backward: "gradients are added", simplified: "the program is simplified", kernels: "kernels are built", lowered: "kernels are lowered" };

/** @returns {{element: HTMLElement, show: (known: object) => void, sides: (told: {before: string, after: string}|null) => void}} */
export function makeCard() {
  const name = el("h2", { class: "name" });
  const stage = el("p", { class: "muted" });
  const text = el("code", {});
  const block = el("pre", { class: "text" }, text);
  const doc = el("p", { class: "doc" });
  const place = el("p", { class: "place muted" });
  const before = side("before", "Before", "−");
  const after = side("after", "After", "+");
  const both = el("div", { class: "sides" }, before.element, after.element);
  const heading = el("div", { "aria-live": "polite", "aria-atomic": "true" }, name);
  const element = el("section", { class: "rewrite-card", "aria-label": "The rewrite" }, heading, stage, block, doc, place, both);

  return {
    element,
    /**
     * Shows a rewrite: `title`, `stage`, `note`, `rule` ({text, doc, group, file, line, assumes} or null), and its sides as printed sub-graphs; `late`
     * means that these are still to be told, and what stood there stays, dimmed.
     */
    show({ title, stage: where, note, rule, before: old, after: now, late }) {
      set(name, title);
      set(stage, [where ? (STAGES[where] ?? where) : "", note].filter(Boolean).join(" · "));
      stage.hidden = stage.textContent === "";
      block.hidden = !rule?.text;
      if (rule?.text && text.textContent !== rule.text) replace(text, ruleTokens(rule.text).map(([kind, word]) => (kind ? el("span", { class: `upat-${kind}` }, word) : word)));
      set(doc, rule?.doc ?? "");
      doc.hidden = !rule?.doc;
      const assumes = rule?.assumes?.length ? `assumes ${rule.assumes.join(", ")}` : "";
      set(place, rule ? [rule.group && `group ${rule.group}`, rule.line ? `${rule.file}:${rule.line}` : rule.file, assumes].filter(Boolean).join(" · ") : "");
      place.hidden = rule === null;
      both.classList.toggle("late", late);
      if (late) return;
      both.hidden = old === "" && now === "";
      before.show(old);
      after.show(now);
    },
  };
}

function side(kind, title, sign) {
  const text = el("code", {});
  const element = el(
    "figure",
    { class: `side ${kind}` },
    el("figcaption", {}, el("span", { class: "sign", "aria-hidden": "true" }, sign), title),
    el("pre", { tabindex: 0, "aria-label": `${title} the rewrite` }, text),
  );
  return { element, show: (listing) => set(text, listing) };
}

/** Text that is the same is left alone, so that nothing is laid out, or read aloud, anew. */
function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
