// The inspector: five panes behind tabs.

import { el, replace } from "./dom.js";

/** Each pane: its key in the state, its title, the letter that opens it, its module. */
export const PANES = Object.freeze([
  ["node", "Node", "n", () => import("./node.js")],
  ["rewrites", "Rewrites", "r", () => import("./rewrites.js")],
  ["kernels", "Kernels", "k", () => import("./kernels.js")],
  ["run", "Run", "u", () => import("./run.js")],
  ["train", "Train", "t", () => import("./train.js")],
]);

/** Mounts the tabs and, into its panel, every pane; a pane that cannot be loaded says so and harms no other. */
export async function mountInspector(element, context) {
  const { store } = context;
  const tabs = new Map();
  const panels = new Map();
  const list = el("div", { class: "tabs", role: "tablist", "aria-label": "Inspector" });
  list.addEventListener("keydown", (event) => move(event, [...tabs.keys()], tabs, store));
  element.append(list);
  for (const [name, title, letter] of PANES) {
    const choose = () => store.set({ pane: name });
    const tab = el(
      "button",
      { type: "button", class: "tab", role: "tab", id: `tab-${name}`, "aria-controls": `panel-${name}`, "aria-keyshortcuts": letter, onclick: choose },
      title,
    );
    const panel = el("div", { class: "panel", role: "tabpanel", id: `panel-${name}`, "aria-labelledby": `tab-${name}`, tabindex: 0 });
    tabs.set(name, tab);
    panels.set(name, panel);
    list.append(tab);
    element.append(panel);
  }

  function draw({ pane }) {
    for (const [name, tab] of tabs) {
      const selected = name === pane;
      tab.setAttribute("aria-selected", String(selected));
      tab.tabIndex = selected ? 0 : -1;
      panels.get(name).hidden = !selected;
      if (selected) tab.scrollIntoView({ block: "nearest", inline: "nearest" });
    }
  }

  store.on(["pane"], draw);
  draw(store.state);
  await Promise.all(PANES.map(([name, title, , load]) => place(panels.get(name), title, load, context)));
}

/** Loads a pane and mounts it; returns what its `mount` returns, or null where it failed. */
export async function place(element, title, load, context) {
  try {
    const { mount } = await load();
    return (await mount(element, context)) ?? null;
  } catch (error) {
    replace(element, el("p", { class: "empty" }, `${title} could not be loaded: ${error.message}. Reloading the page may help.`));
    return null;
  }
}

function move(event, names, tabs, store) {
  const at = names.indexOf(store.state.pane);
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: names.length - 1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  const name = names[(to + names.length) % names.length];
  store.set({ pane: name });
  tabs.get(name).focus();
}
