// The strip of stages: what each holds and cost; choosing one shows it in every pane.

import { many, seconds } from "./amounts.js";
import { el, replace } from "./dom.js";

/** The stages in order; the first letters of what they are called here. */
export const STAGES = Object.freeze([
  ["tensor", "Tensors", "The forward graph, as the program built it"],
  ["backward", "+ Backward", "With the gradients and the update: the whole program as the compiler gets it"],
  ["simplified", "Simplified", "After the algebra"],
  ["kernels", "Kernels", "Fused: one graph for each kernel"],
  ["lowered", "Lowered", "Loops, indices and stores: one graph for each kernel"],
  ["wgsl", "WGSL", "The text that the GPU runs"],
]);

/** Mounts the strip. */
export function mount(element, { store }) {
  const tabs = new Map();
  const strip = el("div", { class: "strip", role: "tablist", "aria-label": "Stages of the compiler" });
  for (const [index, [name, title, doc]] of STAGES.entries()) {
    const tab = el(
      "button",
      { type: "button", class: "stage", role: "tab", id: `stage-${name}`, "aria-controls": "graph", title: doc, onclick: () => choose(name), data: { name } },
      el("span", { class: "title" }, el("span", { class: "number", "aria-hidden": "true" }, index + 1), title),
      el("span", { class: "facts" }),
      el("span", { class: "share", "aria-hidden": "true" }),
    );
    tabs.set(name, tab);
    strip.append(tab);
  }
  strip.addEventListener("keydown", move);
  element.append(strip);

  function choose(name) {
    if (tabs.get(name)?.getAttribute("aria-disabled") === "true" || store.state.stage === name) return;
    const patch = { stage: name, scene: null, step: null, highlight: null };
    if (name === "wgsl") patch.pane = "kernels";
    store.set(patch);
  }

  /** Arrow keys, Home and End go along the stages that can be chosen; a tab that gets the focus is chosen, as in any list of tabs. */
  function move(event) {
    const open = [...tabs.values()].filter((tab) => tab.getAttribute("aria-disabled") !== "true");
    const at = open.indexOf(event.target);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: open.length - 1 }[event.key];
    if (to === undefined || at < 0) return;
    event.preventDefault();
    const next = open[(to + open.length) % open.length];
    next.focus();
    choose(next.dataset.name);
  }

  function draw({ opened, compiled, stage: chosen, busy }) {
    const records = new Map((compiled?.stages ?? []).map((record) => [record.name, record]));
    const longest = Math.max(...[...records.values()].map(({ milliseconds }) => milliseconds ?? 0), 1e-9);
    for (const [name] of STAGES) {
      const tab = tabs.get(name);
      const record = records.get(name);
      const there = record !== undefined || (name === "tensor" && opened !== null);
      const selected = name === chosen;
      tab.setAttribute("aria-selected", String(selected));
      tab.setAttribute("aria-disabled", String(!there));
      tab.tabIndex = selected ? 0 : -1;
      tab.classList.toggle("folded", record !== undefined && !record.changed && name !== "tensor" && name !== "wgsl");
      replace(tab.querySelector(".facts"), record ? facts(record, compiled) : there || !busy ? [] : [el("span", {}, "…")]);
      tab.querySelector(".share").style.setProperty("--share", record ? (record.milliseconds ?? 0) / longest : 0);
      describe(tab, name, record);
    }
  }

  store.on(["opened", "compiled", "stage", "busy"], draw);
  store.on(["stage"], ({ stage }) => tabs.get(stage)?.scrollIntoView({ block: "nearest", inline: "nearest" }));
  draw(store.state);
  return { choose };
}

function facts(record, compiled) {
  const rows = [];
  if (record.name === "wgsl") rows.push(many(compiled.kernels.length, "kernel"), many(lines(compiled), "line"));
  else {
    rows.push(record.graphs > 1 ? `${record.nodes.toLocaleString("en")} in ${many(record.graphs, "kernel")}` : many(record.nodes, "node"));
    rows.push(record.rewrites > 0 ? many(record.rewrites, "rewrite") : record.changed || record.name === "tensor" ? "" : "no change");
  }
  if (record.milliseconds > 0) rows.push(seconds(record.milliseconds / 1000));
  return rows.filter(Boolean).map((text) => [" ", el("span", {}, text)]); // the space is for whoever hears it
}

function describe(tab, name, record) {
  const [, , doc] = STAGES.find(([known]) => known === name);
  tab.title = record?.ensures ? `${doc}. Ensures: ${record.ensures}` : doc;
}

function lines(compiled) {
  return compiled.kernels.reduce((sum, { wgsl }) => sum + (wgsl ? wgsl.trimEnd().split("\n").length : 0), 0);
}
