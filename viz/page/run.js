// The run pane: runs the program, or one kernel, on the tab's GPU, and shows what came out.

import { many } from "./amounts.js";
import { el, replace } from "./dom.js";
import { makeTimes } from "./run_times.js";
import { makeValue } from "./values.js";

/**
 * Mounts the pane.
 * @param {HTMLElement} element fills its place
 * @param {object} context store, compiler, keys and notice of the page
 */
export function mount(element, context) {
  const { store, compiler } = context;
  const form = makeForm(() => start());
  const status = el("div", { class: "run-status", role: "status" });
  const results = el("div");
  const times = makeTimes({ choose: (kernel) => store.set({ kernel, pane: "kernels" }) });
  const missing = el("div", { class: "run-missing" });
  const hint = el("p", { class: "empty" }, "Run the program to see its values, its pictures, and what each kernel takes.");
  let values = [];
  let running = false;
  element.classList.add("run");
  element.append(form.element, missing, el("div", { class: "run-body" }, hint, status, times.element, results));

  function ready() {
    const { compiled, info, busy } = store.state;
    const device = info?.device;
    const none = device !== undefined && !device.available;
    replace(missing, none ? noDevice(device) : null);
    hint.hidden = none || values.length > 0 || status.hasChildNodes();
    form.enable(reason({ compiled, device, busy }), running);
  }

  function reset() {
    values = [];
    times.clear();
    replace(status);
    replace(results);
    form.kernels(store.state.compiled?.kernels ?? []);
    ready();
  }

  async function start() {
    const { compiled, info, busy } = store.state;
    if (running || reason({ compiled, device: info?.device, busy }) !== null) return;
    running = true;
    ready();
    replace(status, el("p", { class: "muted" }, "Running…"));
    try {
      const ran = await compiler.request("run", form.values());
      if (store.state.compiled === compiled) show(ran);
    } catch (error) {
      if (store.state.compiled === compiled) failed(error);
    } finally {
      running = false;
      ready();
    }
  }

  function show(ran) {
    times.add(ran);
    replace(status, summary(ran), ran.checked === null ? null : judgement(ran.checked));
    const captions = labels(ran.inputs);
    const cards = (list) => list.map((told) => makeValue(told, { colours: () => palette(element), captions: captions(told) }));
    const [outputs, inputs] = [cards(ran.outputs), cards(ran.inputs)];
    values = [...outputs, ...inputs];
    const what = ran.kernel === null ? "program" : "kernel";
    replace(
      results,
      group(`What the ${what} wrote`, outputs, true),
      inputs.length > 0 ? group(`What the ${what} read`, inputs, false) : null,
    );
  }

  function failed(error) {
    if (error.kind === "Stopped") replace(status, el("p", { class: "callout" }, "Stopped."));
    else replace(status, el("div", { class: "callout error" }, el("p", {}, error.message), error.hint ? el("p", {}, error.hint) : null));
    replace(results);
  }

  context.keys?.add({ group: "Run", key: "x", text: "Run on the GPU", run: () => (context.reveal("inspect"), store.set({ pane: "run" }), start()) });
  store.on(["compiled"], reset);
  store.on(["info", "busy"], ready);
  store.on(["kernel"], () => form.follow(store.state.kernel));
  store.on(["theme"], () => values.forEach((value) => value.redraw()));
  reset();
}

/** Why nothing can be run; null where it can. */
function reason({ compiled, device, busy }) {
  if (device === undefined) return "The compiler is still starting.";
  if (!device.available) return "There is no WebGPU device in this tab.";
  if (busy !== null && busy !== undefined) return "The compiler is busy.";
  return compiled === null || compiled === undefined ? "There is no compiled program." : null;
}

function makeForm(start) {
  const button = el("button", { type: "submit", class: "button primary", "aria-keyshortcuts": "x" }, "Run");
  const why = el("p", { class: "muted run-why", id: "run-why" });
  const kernel = el("select", { class: "select", "aria-label": "What to run" });
  const source = el("select", { class: "select", "aria-label": "Inputs" }, el("option", { value: "own" }, "own inputs"), el("option", { value: "random" }, "random inputs"));
  const seed = el("input", { class: "input run-seed", type: "number", min: 0, max: 4294967295, step: 1, value: 0, "aria-label": "Seed of the random inputs" });
  const check = el("input", { type: "checkbox" });
  const seeded = el("label", { class: "run-label" }, "seed", seed);
  seeded.hidden = true;
  source.addEventListener("change", () => (seeded.hidden = source.value === "own"));
  const element = el(
    "form",
    { class: "run-form" },
    el("div", { class: "run-row" }, button, kernel, source, seeded, el("label", { class: "run-label", title: "Compare with the same computation in plain Python" }, check, "check")),
    why,
  );
  element.addEventListener("submit", (event) => {
    event.preventDefault();
    start();
  });
  return {
    element,
    kernels(list) {
      const before = kernel.value;
      replace(kernel, el("option", { value: "" }, "the whole program"), list.map(({ number, name }) => el("option", { value: number }, `kernel ${number + 1}: ${name}`)));
      kernel.value = [...kernel.options].some(({ value }) => value === before) ? before : "";
    },
    /** A kernel chosen elsewhere is chosen here, too, where one is. */
    follow(number) {
      if (kernel.value !== "" && number !== null) kernel.value = String(number);
    },
    enable(reason, running) {
      button.disabled = running || reason !== null;
      button.textContent = running ? "Running…" : "Run";
      why.textContent = reason ?? "";
      why.hidden = reason === null;
      if (reason === null) button.removeAttribute("aria-describedby");
      else button.setAttribute("aria-describedby", "run-why");
    },
    values: () => ({
      kernel: kernel.value === "" ? null : Number(kernel.value),
      seed: source.value === "own" ? null : Math.max(0, Math.min(4294967295, Math.trunc(seed.valueAsNumber || 0))),
      check: check.checked,
    }),
  };
}

function noDevice({ message, remedy }) {
  return el(
    "div",
    { class: "callout" },
    el("p", {}, el("strong", {}, "Nothing can be run here. "), message),
    remedy ? el("p", {}, remedy) : null,
    el("p", {}, "Everything else on this page works without it."),
  );
}

function summary(ran) {
  return el("p", { class: "run-device" }, `${many(ran.runs, "timed run")} on `, el("strong", {}, ran.device), ".");
}

const JUDGED = { true: ["good", "✓ agrees"], false: ["error", "✗ differs"], refused: ["", "not checked"] };

function judgement({ how, agrees, message }) {
  const [kind, words] = JUDGED[how === "refused" ? how : agrees];
  return el("p", { class: ["callout", kind] }, el("strong", { class: `run-verdict ${kind}` }, words), " ", message);
}

function group(title, cards, open) {
  return el("details", { class: "run-group", open }, el("summary", {}, title, " ", el("span", { class: "muted" }, many(cards.length, "value"))), cards.map(({ element }) => element));
}

/** Captions of pictures: what a list of whole numbers, one for each picture, says of them. */
function labels(inputs) {
  return (told) => {
    const rows = told.image === null ? 0 : told.count / (told.image.width * told.image.height * told.image.channels);
    const found = inputs.find(({ dtype, shape, name }) => dtype === "int32" && shape.length === 1 && shape[0] === rows && name.includes("label"));
    return found === undefined ? undefined : (i) => (i < found.values.length ? String(found.values[i]) : String(i));
  };
}

/** The theme's colours as red, green and blue. */
function palette(element) {
  const style = getComputedStyle(element);
  const read = (name) => {
    const hex = style.getPropertyValue(name).trim().slice(1);
    return [0, 2, 4].map((at) => Number.parseInt(hex.slice(at, at + 2), 16));
  };
  return { ground: read("--sunken"), above: read("--forward"), below: read("--backward"), wrong: read("--error") };
}
