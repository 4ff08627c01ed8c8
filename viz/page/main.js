// The page: one store, one compiler, the panes, and what connects them.

import { makeCompiler } from "./compiler.js";
import { el, replace } from "./dom.js";
import * as editor from "./editor.js";
import { makeExports } from "./exports.js";
import { missing, mountBusy, mountFoot, mountLanding, mountSwitch } from "./frame.js";
import { makeHelp } from "./help.js";
import { mountInspector, PANES, place } from "./inspector.js";
import { makeKeys } from "./keys.js";
import { keep, recall } from "./memory.js";
import { makeNotice } from "./notice.js";
import { register } from "./offline.js";
import * as pipeline from "./pipeline.js";
import { makeSession } from "./session.js";
import { makeShare } from "./share.js";
import { bindKeys, MARKS } from "./shortcuts.js";
import { mountSplitters } from "./splitters.js";
import { firstProgram, keepProgram } from "./start.js";
import { makeStore } from "./store.js";
import { currentTheme, followTheme } from "./theming.js";

const at = (id) => document.getElementById(id);

/** The state before anything is known; watched by the panes. */
const FIRST = {
  source: "",
  ran: "", // the text that was run last
  unfinished: null, // the text that runs
  stopped: null, // the text that was stopped
  part: null, // that is shown
  asked: null, // the part asked for; null for the program's natural one
  name: "program",
  stage: "tensor",
  scene: null,
  step: null,
  node: null,
  path: null, // what a link calls the node
  kernel: null,
  pane: "node",
  theme: currentTheme(),
  busy: "Starting",
  error: null,
  opened: null,
  compiled: null,
  info: null,
  highlight: null,
  folded: true,
  line: null, // of the editor's cursor
  jump: null, // the line the editor shall show
};

async function main() {
  const lacking = tooOld();
  if (lacking !== null) return fail(`This browser cannot run the page: it has no ${lacking}. Please use a current Chrome, Edge, Firefox or Safari.`);
  const store = makeStore(FIRST);
  const notice = makeNotice(at("notices"));
  const compiler = makeCompiler({ starting: (text) => store.state.info === null && store.set({ busy: text }), failed: (message) => broken(message, context) });
  const keys = makeKeys();
  const context = { store, compiler, notice, keys, el, nodes: null, graph: null, reveal: mountSwitch(at("switch")), begin: () => begin(context) };
  const session = (context.session = makeSession(context));
  const theme = followTheme(store);
  at("skip").addEventListener("click", (event) => {
    event.preventDefault(); // the address is the view's
    context.reveal("graph");
    at("graph").focus();
  });
  mountSplitters(at("desk"));
  mountBusy(at("busy"), context, session.stop);
  mountFoot(at("foot"), context);
  mountLanding(at("landing"));
  context.stages = pipeline.mount(at("pipeline"), context);
  context.share = makeShare(context, PANES.map(([name]) => name));
  const { makeNodes } = await import("./nodes.js");
  context.nodes = makeNodes(context);
  const info = compiler.request("info"); // Python starts while the panes are loaded
  info.catch(() => null); // `begin` says what is wrong
  context.graph = await place(at("graph"), "The graph", () => import("./graph.js"), context);
  [context.editor] = await Promise.all([editor.mount(at("program"), context), mountInspector(at("inspector"), context)]);
  const help = makeHelp(keys, MARKS);
  replace(at("tools"), tools(context, theme, help));
  bindKeys(context, { theme, help });
  followBusy(store);
  followLine(context);
  keepProgram(store);
  await begin(context, info);
  register(() => notice("There is a newer version of this page.", { key: "newer", stays: true, action: { label: "Reload", run: () => location.reload() } }));
}

/** Opens what the address says, once the compiler is there. */
async function begin(context, info = context.compiler.request("info")) {
  const { store, share, notice } = context;
  try {
    store.set({ info: await info });
  } catch (error) {
    if (error.kind !== "WorkerError" && error.kind !== "Stopped") broken(error.message, context); // of those the page has heard already
    return;
  }
  const { device } = store.state.info;
  if (!device.available && !recall("device-told", false)) {
    keep("device-told", true); // the foot goes on saying it
    notice(`${missing(device)} Everything but running works here.`, { key: "device", stays: true });
  }
  await share.open(() => firstProgram(store.state.info, notice));
}

/** The bar's buttons. */
function tools(context, theme, help) {
  const { store, share } = context;
  const light = el("button", { type: "button", class: "button quiet", title: "Light or dark (d)", onclick: theme });
  const draw = () => {
    const dark = store.state.theme === "dark";
    replace(light, dark ? "☀" : "☾");
    light.setAttribute("aria-label", dark ? "Light colours" : "Dark colours");
  };
  store.on(["theme"], draw);
  draw();
  return [
    el("button", { type: "button", class: "button quiet", title: "Copy a link that opens this view (s)", onclick: share.copy }, "Copy link"),
    makeExports(context),
    light,
    el("button", { type: "button", class: "button quiet", title: "Keys and marks (?)", "aria-label": "Help", onclick: help }, "?"),
  ];
}

/** `data-state` of the body: starting, busy, ready or failed. */
function followBusy(store) {
  store.on(["busy", "info"], ({ busy, info }) => {
    if (document.body.dataset.state === "failed" && busy === null) return;
    document.body.dataset.state = info === null ? "starting" : busy === null ? "ready" : "busy";
  });
}

/** Marks the nodes that the line under the cursor has made. */
function followLine({ store, nodes }) {
  store.on(["line"], ({ line, opened, source, ran }) => {
    if (opened === null || source !== ran || nodes.byLine === undefined) return;
    const ids = line === null ? [] : nodes.byLine(line);
    store.set({ highlight: ids.length > 0 ? { before: [], after: ids } : null });
  });
}

/** The worker has failed: say so, and offer a new one. */
function broken(message, { store, notice, session }) {
  store.set({ busy: null });
  document.body.dataset.state = "failed";
  const again = () => {
    document.body.dataset.state = "starting";
    session.stop();
  };
  const last = message.trim().split("\n").at(-1).slice(0, 200); // of a traceback, what happened
  notice(`The compiler has stopped working (${last}). Your text is kept.`, { kind: "error", key: "broken", action: { label: "Start it again", run: again } });
}

function tooOld() {
  if (typeof WebAssembly !== "object") return "WebAssembly";
  if (typeof CompressionStream !== "function") return "CompressionStream";
  if (typeof ResizeObserver !== "function") return "ResizeObserver";
  return null;
}

function fail(message) {
  document.body.dataset.state = "failed";
  makeNotice(at("notices"))(message, { kind: "error" });
}

main().catch((error) => fail(`The page could not start: ${error.message}`));
