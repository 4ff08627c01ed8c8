// The pane of the chosen node: what it is, where it comes from, what it became, all of it linked.

import { describe } from "./described.js";
import { el, replace } from "./dom.js";
import { PHASES, phaseOf, typeText } from "./nodes.js";
import { storyOf } from "./node_story.js";

const MOST = 12; // links in a list before the rest is asked for

/**
 * Mounts the pane.
 * @param {HTMLElement} element fills its place
 * @param {object} context store, compiler, nodes and graph of the page
 */
export function mount(element, context) {
  const { store } = context;
  const content = el("article", { class: "node", "aria-live": "polite" });
  element.append(content);
  let turn = 0;
  let told = null; // the question that is answered

  async function show() {
    const { node, stage, pane, opened } = store.state;
    if (pane !== "node") return;
    const asked = { node, stage, opened, compiled: store.state.compiled };
    if (told !== null && Object.keys(asked).every((key) => told[key] === asked[key])) return;
    told = asked;
    const mine = ++turn;
    if (node === null || opened === null) {
      replace(content, nothing());
      return;
    }
    try {
      const doc = await describe(context);
      if (mine !== turn) return;
      replace(content, parts(doc, context));
    } catch (error) {
      if (mine !== turn) return;
      told = null;
      if (error.kind !== "Stopped") replace(content, el("p", { class: "callout error" }, error.message));
    }
  }

  store.on(["node", "stage", "pane", "opened", "compiled"], show);
  show();
}

function nothing() {
  const keys = [
    ["Click", "a box to see what it is"],
    ["↑ ↓", "go along the edges"],
    ["/", "search"],
  ];
  return el(
    "div",
    { class: "node-nothing empty" },
    el("p", {}, "No node is chosen."),
    el("dl", {}, keys.map(([key, text]) => [el("dt", {}, el("kbd", {}, key)), el("dd", {}, text)])),
  );
}

function parts(doc, context) {
  return [head(doc), facts(doc, context), around(doc, context), storyOf(doc, context), became(doc, context), arithmetic(doc)];
}

function head(doc) {
  const phase = phaseOf(doc.phase);
  const type = typeText(doc);
  return el(
    "header",
    {},
    el("h2", {}, doc.title),
    el("p", { class: "node-tags" }, el("span", { class: ["tag", phase.name] }, `${phase.symbol} ${phase.name}`), type && el("code", {}, type)),
    doc.doc && el("p", { class: "node-doc" }, doc.doc),
  );
}

/** What is known of the node itself. */
function facts(doc, { store }) {
  const line = () => store.set({ jump: doc.line });
  const source = doc.line > 0 ? el("button", { type: "button", class: "node-link", title: "Show the line in the program", onclick: line }, `line ${doc.line}`) : doc.source;
  const rows = [
    ["Name", doc.name],
    ["Argument", doc.arg === null ? null : String(doc.arg)],
    ["Values", doc.bounds && (doc.bounds[0] === doc.bounds[1] ? `always ${doc.bounds[0]}` : `${doc.bounds[0]} to ${doc.bounds[1]}`)],
    ["Source", source],
    ["Module", doc.module],
    ["Path", doc.path],
  ];
  const known = rows.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return known.length > 0 && el("dl", { class: "node-facts" }, known.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

/** What it reads, and what reads it. */
function around(doc, context) {
  return el("div", { class: "node-around" }, list("Reads", doc.reads, context), list("Read by", doc.readers, context));
}

/** A heading, and a link for each node; many are folded away. */
function list(title, ids, context) {
  if (ids.length === 0) return el("section", {}, el("h3", {}, title), el("p", { class: "muted" }, title === "Reads" ? "nothing: it is a leaf" : "nothing"));
  const items = ids.map((id) => el("li", {}, nodeLink(id, context)));
  const rest = items.length > MOST && el("details", {}, el("summary", {}, `${items.length - MOST} more`), el("ul", {}, items.slice(MOST)));
  return el("section", {}, el("h3", {}, title), el("ul", {}, items.slice(0, MOST)), rest);
}

/** A link that chooses a node. */
function nodeLink(id, { store, nodes, graph }) {
  const row = nodes.get(id);
  const { symbol, name } = PHASES[row.phase];
  const choose = () => {
    store.set({ node: id });
    graph?.centre(id);
  };
  const named = row.name && !row.label.includes(row.name) ? ` ${row.name}` : "";
  return el(
    "button",
    { type: "button", class: ["node-link", name], onclick: choose },
    el("span", { class: "node-symbol", "aria-hidden": "true" }, symbol),
    el("span", { class: "node-label" }, row.label, named && el("em", {}, named)),
    el("small", {}, typeText(row)),
  );
}

/** The kernels it ended in, the lines of WGSL that say something of it, and its fellows in this stage. */
function became(doc, context) {
  const { store } = context;
  const { compiled } = store.state;
  const go = (kernel) => () => store.set({ kernel, pane: "kernels" });
  const lines = (kernel) => [...new Set(doc.lines.filter(([number]) => number === kernel).map(([, line]) => line))];
  const kernels = doc.kernels.map((number) => {
    const said = lines(number);
    const name = compiled?.kernels[number]?.name ?? `kernel ${number}`;
    return el(
      "li",
      {},
      el("button", { type: "button", class: "node-link", onclick: go(number) }, el("span", { class: "node-symbol", "aria-hidden": "true" }, "▪"), el("span", { class: "node-label" }, name)),
      said.length > 0 && el("small", { class: "muted" }, ` WGSL line${said.length > 1 ? "s" : ""} ${ranges(said)}`),
    );
  });
  const fellows = doc.became.filter((id) => id !== doc.id);
  return [
    kernels.length > 0 && el("section", {}, el("h3", {}, "Computed in"), el("ul", {}, kernels)),
    doc.path === null && fellows.length === 0 && el("p", { class: "callout" }, `This node is not in the stage ${store.state.stage}, and nothing there came from it.`),
    fellows.length > 0 && list(`In this stage it is`, fellows, context),
  ];
}

/** Numbers as ranges: 3–5, 9. */
function ranges(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const spans = [];
  for (const number of sorted) {
    const last = spans.at(-1);
    if (last && number === last[1] + 1) last[1] = number;
    else spans.push([number, number]);
  }
  return spans.map(([low, high]) => (low === high ? `${low}` : `${low}–${high}`)).join(", ");
}

/** The node as `anneal graph --node` prints it. */
function arithmetic(doc) {
  return doc.text.length > 0 && el("details", { class: "node-text" }, el("summary", {}, "As the command line prints it"), el("pre", {}, doc.text.join("\n")));
}
