// The program on the screen: running it, compiling it, stopping it, and going on with it in a new worker.

import { graphStage } from "./stages.js";

/**
 * @typedef {{source: string, part: string|null, name: string, files?: object, launched?: boolean, wait?: boolean}} Program `files`: modules that it
 *   imports; `launched`: it was handed over beside the page; `wait`: it is put into the editor, and not run
 * @typedef {{stage?: string, scene?: number|null, step?: number|null, kernel?: number|null, path?: string|null, pane?: string}} View
 */

const NOTHING = Object.freeze({ scene: null, step: null, node: null, kernel: null, highlight: null });

/**
 * The session of a page.
 * @param {object} context store, compiler, notice; `begin()` starts the page's first program, where a new worker comes before there was one
 */
export function makeSession({ store, compiler, notice, begin }) {
  let turn = 0; // of several programs asked for, only the last is shown
  let shown = null; // the last program that could be opened

  /** Runs and compiles a program; what goes wrong is `store.state.error`. True when it is compiled. The editor gets its text, or another that is given. */
  async function show(program, view = {}, text = program) {
    const mine = ++turn;
    const late = () => mine !== turn;
    const stage = view.stage ?? store.state.stage;
    const { source, part, name, files } = program;
    store.set({ source: text.source, asked: part, name: text.name, ran: source, unfinished: source, error: null, busy: "Running the program" });
    let opened = null;
    try {
      opened = await compiler.request("open", { source, part, name, ...(files ? { files } : {}) });
      if (late()) return false;
      shown = program;
      store.set({ unfinished: null });
      const early = { ...NOTHING, opened, compiled: null, part: opened.part, stage: "tensor" };
      if (stage === "tensor") store.set(early);
      store.set({ busy: "Compiling" });
      const compiled = await compiler.request("compile");
      if (late()) return false;
      const known = compiled.stages.some(({ name }) => name === stage);
      store.set({ ...NOTHING, opened, compiled, part: opened.part, stage: known ? stage : "tensor" });
    } catch (error) {
      if (!late()) fail(error, opened);
      return false;
    }
    await look(view, late);
    if (!late()) store.set({ busy: null });
    return true;
  }

  function fail(error, opened) {
    if (error.kind === "Stopped") return; // `stop` says so, and goes on
    if (opened !== null && store.state.opened !== opened) store.set({ ...NOTHING, opened, compiled: null, stage: "tensor" });
    store.set({ error, unfinished: null, busy: null });
  }

  /** Looks at a place of the program that is open: what a link says. */
  async function look(view, late = () => false) {
    const stages = store.state.compiled?.stages.map(({ name }) => name) ?? ["tensor"];
    const patch = {};
    if (view.stage !== undefined && stages.includes(view.stage)) patch.stage = view.stage;
    for (const key of ["pane", "scene", "step", "kernel"]) if (view[key] !== undefined) patch[key] = view[key];
    store.set(patch);
    if (!view.path) return;
    try {
      const { id } = await compiler.request("locate", { stage: graphStage(store.state.stage), path: view.path });
      if (!late()) store.set({ node: id });
    } catch {
      notice("The link names a node that this program does not have; the rest of the view is as it was shared.");
    }
  }

  /** Ends whatever runs, and opens the last program that worked in a new worker. */
  async function stop() {
    turn += 1;
    const { stage, scene, step, kernel, pane, path } = store.state;
    store.set({ busy: "Starting a new compiler", stopped: store.state.unfinished, opened: null, compiled: null, ...NOTHING });
    compiler.restart();
    notice("Stopped. Your text is as you left it; a new compiler is starting.", { key: "stopped" });
    await again({ stage, scene, step, kernel, pane, path });
  }

  async function again(view) {
    const { source, name, info } = store.state;
    if (info === null) await begin();
    else if (shown === null) {
      await compiler.request("info").catch(() => null);
      store.set({ busy: null });
    } else await show(shown, view, { source, name });
  }

  /** Puts a program into the editor without running it. */
  function put({ source, part, name }) {
    store.set({ source, asked: part, name, busy: null });
    notice("This is your last program. It did not come to an end, so it was not started again: Compile runs it.", { key: "waits", stays: true });
  }

  return {
    put,
    show,
    look,
    stop,
    /** The program that is open, or null: `source` of the state may be ahead of it. */
    get shown() {
      return shown;
    },
  };
}
