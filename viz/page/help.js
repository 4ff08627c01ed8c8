// The help: every key, what the marks mean, where to read more.

import { el, replace } from "./dom.js";
import { keyName } from "./keys.js";

const ORDER = ["Program", "Stages", "Panes", "Graph", "In the graph", "Rewrites", "Run"]; // then whatever else there is

/** A dialog that lists the keys. Returns what opens it. */
export function makeHelp(keys, marks) {
  const body = el("div", { class: "help-body" });
  const dialog = el(
    "dialog",
    { class: "help", "aria-labelledby": "help-title" },
    el(
      "div",
      { class: "help-head" },
      el("h2", { id: "help-title" }, "Keys and marks"),
      el("button", { type: "button", class: "button quiet", "aria-label": "Close help", onclick: () => dialog.close() }, "×"),
    ),
    body,
  );
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  document.body.append(dialog);

  return function open() {
    replace(body, groups(keys.list()), legend(marks), single(keys));
    dialog.showModal();
  };
}

function groups(bindings) {
  const named = new Map(ORDER.filter((group) => bindings.some((one) => one.group === group)).map((group) => [group, []]));
  for (const binding of bindings) named.set(binding.group, [...(named.get(binding.group) ?? []), binding]);
  return [...named].map(([group, entries]) =>
    el(
      "section",
      {},
      el("h3", {}, group),
      el("dl", {}, entries.map(({ key, shown, text }) => [el("dt", {}, caps(shown ?? keyName(key))), el("dd", {}, text)])),
    ),
  );
}

function caps(shown) {
  return shown.split(" ").map((cap) => [el("kbd", {}, cap), " "]);
}

function legend(marks) {
  return el("section", {}, el("h3", {}, "Marks"), el("dl", {}, marks.map(([name, mark, text]) => [el("dt", {}, el("span", { class: ["tag", name] }, mark)), el("dd", {}, text)])));
}

function single(keys) {
  const box = el("input", { type: "checkbox", id: "single-keys", onchange: () => (keys.single = box.checked) });
  box.checked = keys.single;
  return el(
    "section",
    {},
    el("h3", {}, "Single keys"),
    el("label", { class: "check" }, box, "Keys without Ctrl or ⌘ do something. Switch this off if you speak to your computer or strike keys by accident."),
  );
}
