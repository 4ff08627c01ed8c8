// Files to take home: the graph and the plan as JSON, the kernels as WGSL, the picture as SVG and PNG.

import { el } from "./dom.js";
import { graphStage } from "./stages.js";

/**
 * What can be exported: title, what it is, and how to make it, as `{name, type, data}`.
 * @param {object} context store, compiler, graph
 */
function exportsOf({ store, compiler, graph }) {
  const asked = (what) => async () => {
    const { name, type, text } = await compiler.request("export", { what, stage: graphStage(store.state.stage) });
    return { name, type, data: text };
  };
  const drawn = (kind, type) => async () => ({ name: `${fileName(store.state.name)}-${store.state.stage}.${kind}`, type, data: await graph[kind]() });
  return [
    ["Graph of this stage", "JSON", asked("graph")],
    ["Plan", "JSON", asked("plan")],
    ["Kernels", "WGSL", asked("wgsl")],
    ["Picture of the graph", "SVG", drawn("svg", "image/svg+xml")],
    ["Picture of the graph", "PNG", drawn("png", "image/png")],
  ];
}

/** A name of a file from a program's name: letters, digits, dots and dashes. */
function fileName(name) {
  return (name ?? "").replace(/[^\p{L}\p{N}.-]+/gu, "-").replace(/^[-.]+|[-.]+$/gu, "").slice(0, 60) || "program";
}

/** Hands a file to the browser. */
function download({ name, type, data }) {
  const address = URL.createObjectURL(data instanceof Blob ? data : new Blob([data], { type }));
  const link = el("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** A button that opens the list of exports. */
export function makeExports(context) {
  const { notice, store } = context;
  const button = el("button", { type: "button", class: "button quiet", "aria-expanded": "false", onclick: () => toggle() }, "Export");
  const menu = el("div", { class: "menu", hidden: true });

  async function make(title, run) {
    toggle(false);
    try {
      download(await run());
    } catch (error) {
      notice(`${title} could not be exported: ${error.message}`, { kind: "error", key: "export" });
    }
  }

  function toggle(open = menu.hidden) {
    menu.hidden = !open;
    button.setAttribute("aria-expanded", String(open));
    if (!open) return;
    const ready = store.state.compiled !== null;
    menu.replaceChildren(
      ...exportsOf(context).map(([title, kind, run]) =>
        el("button", { type: "button", class: "button quiet", disabled: !ready, onclick: () => make(title, run) }, title, el("small", {}, kind)),
      ),
    );
    menu.querySelector("button:not(:disabled)")?.focus();
  }

  menu.addEventListener("keydown", (event) => {
    const buttons = [...menu.querySelectorAll("button")];
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step !== undefined) buttons[(buttons.indexOf(document.activeElement) + step + buttons.length) % buttons.length].focus();
    else if (event.key === "Escape") {
      toggle(false);
      button.focus();
    } else return;
    event.preventDefault();
  });
  document.addEventListener("pointerdown", (event) => {
    if (!menu.contains(event.target) && !button.contains(event.target) && !menu.hidden) toggle(false);
  });
  menu.addEventListener("focusout", ({ relatedTarget }) => {
    if (relatedTarget !== null && !menu.contains(relatedTarget) && relatedTarget !== button) toggle(false);
  });
  return [button, menu];
}
