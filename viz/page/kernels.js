// The kernels pane: the kernels of the plan, and of the chosen one its WGSL, linked line by line to the graph.

import { bytes, many } from "./amounts.js";
import { copyText } from "./copying.js";
import { el, replace } from "./dom.js";
import { makeCode } from "./kernel_code.js";
import { boundaries, buffers, costs, fused, phaseTag, phaseWords, plan, symbols } from "./kernel_facts.js";

const NONE = Object.freeze({ lines: new Map(), nodes: new Map(), stages: {} });

/**
 * Mounts the pane.
 * @param {HTMLElement} element fills its place
 * @param {object} context store, compiler and notice of the page
 */
export function mount(element, context) {
  const { store } = context;
  const list = el("div", { class: "kernels-list", role: "listbox", "aria-label": "Kernels, in the order in which they run" });
  const head = el("div", { class: "kernels-head" });
  const detail = el("div", { class: "kernels-detail" });
  const empty = el("p", { class: "empty" }, "The kernels appear here once the program is compiled.");
  element.classList.add("kernels");
  element.append(empty, head, list, detail);
  const links = makeLinks(context);
  const code = makeCode({ choose: (line) => links.choose(line) });
  links.follow(code);

  list.addEventListener("keydown", (event) => {
    const last = (store.state.compiled?.kernels.length ?? 0) - 1;
    const at = chosen(store.state);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: last }[event.key];
    if (to === undefined || to < 0 || to > last) return;
    event.preventDefault();
    event.stopPropagation();
    store.set({ kernel: to });
    list.children[to].focus();
  });

  function whole() {
    const { compiled } = store.state;
    for (const part of [head, list, detail]) part.hidden = compiled === null || compiled.kernels.length === 0;
    empty.hidden = !head.hidden;
    if (compiled === null) return;
    empty.textContent = "The program needs no kernel: there is nothing to compute.";
    if (head.hidden) return;
    const copy = copyButton("Copy", "Copy the fingerprint of the plan", () => store.state.compiled.fingerprint, context);
    const summary = `${many(compiled.kernels.length, "kernel")}, ${compiled.stats.kernels_fused} fused ▪, ${bytes(compiled.stats.peak_bytes)}`;
    replace(head, el("details", {}, el("summary", {}, summary), plan(compiled, copy)));
    replace(list, compiled.kernels.map((kernel) => option(kernel, () => store.set({ kernel: kernel.number }))));
    one();
  }

  function one() {
    const { compiled } = store.state;
    const kernel = compiled?.kernels[chosen(store.state)];
    if (kernel === undefined) return;
    for (const [i, node] of [...list.children].entries()) {
      node.setAttribute("aria-selected", String(i === kernel.number));
      node.tabIndex = i === kernel.number ? 0 : -1;
      if (i === kernel.number) node.scrollIntoView({ block: "nearest" });
    }
    code.show(kernel.wgsl);
    replace(detail, body(kernel, code.element, context));
    detail.scrollTop = 0;
    links.show(kernel.number);
  }

  store.on(["compiled"], whole);
  store.on(["kernel"], one);
  store.on(["node", "stage"], () => links.mark());
  store.on(["pane"], () => links.ask());
  whole();
}

/** The kernel shown: the chosen one, or the first. */
function chosen({ compiled, kernel }) {
  return Math.min(kernel ?? 0, (compiled?.kernels.length ?? 1) - 1);
}

function option(kernel, choose) {
  return el(
    "div",
    { class: "kernels-option", role: "option", "aria-label": `${kernel.number + 1}, ${kernel.name}, ${phaseWords(kernel)}`, onclick: choose },
    el("span", { class: "kernels-number" }, kernel.number + 1),
    el("span", { class: "mono kernels-name" }, kernel.name),
    el("span", { class: "kernels-symbols" }, symbols(kernel)),
  );
}

function body(kernel, code, context) {
  const copy = copyButton("Copy", "Copy this kernel's WGSL", () => kernel.wgsl, context);
  return [
    el("h3", { class: "mono" }, kernel.name),
    el("p", { class: "kernels-tags" }, kernel.phases.map(phaseTag), kernel.phases.length > 1 ? el("span", { class: "tag fused" }, "▪ fused") : null),
    costs(kernel),
    el("div", { class: "kernels-bar" }, el("h4", {}, "WGSL"), el("span", { class: "muted" }, "a line's nodes: click it, or Enter"), copy),
    code,
    section("What goes in and out", many(kernel.inputs.length + kernel.outputs.length, "value"), buffers(kernel)),
    section("What is fused", many(kernel.ops.length, "operation"), fused(kernel)),
    section("Why it ends where it ends", many(kernel.boundaries.length, "decision"), boundaries(kernel)),
  ];
}

function section(title, note, content) {
  return el("details", { class: "kernels-section", open: true }, el("summary", {}, title, " ", el("span", { class: "muted" }, note)), content);
}

function copyButton(text, label, content, { notice }) {
  return el("button", { type: "button", class: "button quiet kernels-copy", "aria-label": label, onclick: () => copyText(content(), "Copied.", notice) }, text);
}

/** Between lines and nodes. */
function makeLinks({ store, compiler }) {
  let code = null;
  let known = NONE;
  let turn = 0;
  let own = null; // the node that a click on a line has chosen: its lines need no scrolling to
  let wanted = null; // the kernel whose lines are still to be asked for

  function show(kernel) {
    turn += 1;
    known = NONE;
    wanted = kernel;
    ask();
  }

  /** Asks once somebody looks: a compilation is not held up by what nobody sees. */
  async function ask() {
    if (wanted === null || store.state.pane !== "kernels") return;
    const kernel = wanted;
    const mine = turn;
    wanted = null;
    try {
      const found = await compiler.request("lines", { kernel });
      if (mine !== turn) return;
      known = read(found);
    } catch {
      return; // the text stands without its links
    }
    code.say(new Set(known.lines.keys()));
    mark();
  }

  function mark() {
    const lines = new Set(known.nodes.get(store.state.node) ?? []);
    code.mark(lines, store.state.node === own);
  }

  /** A line was picked: its nodes light up in the graph; the most telling that the stage shows is selected. */
  function choose(line) {
    const ids = known.lines.get(line) ?? [];
    const there = known.stages[store.state.stage] ?? new Set();
    own = ids.find((id) => there.has(id)) ?? ids[0] ?? null;
    store.set({ node: own, highlight: ids.length > 0 ? { before: [], after: ids } : null });
    if (own !== null) code.mark(new Set([line, ...(known.nodes.get(own) ?? [])]), true);
  }

  return { show, ask, mark, choose, follow: (view) => void (code = view) };
}

function read({ lines, stages }) {
  const nodes = new Map();
  for (const [line, ids] of lines) for (const id of ids) nodes.set(id, [...(nodes.get(id) ?? []), line]);
  return { lines: new Map(lines), nodes, stages: Object.fromEntries(Object.entries(stages).map(([stage, ids]) => [stage, new Set(ids)])) };
}
