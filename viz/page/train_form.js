// The controls of the Train pane: what to train, for how long, how fast.

import { el, replace } from "./dom.js";

const MODELS = ["mlp", "conv"];
const OPEN = "program";
const OPTIMIZERS = ["sgd", "adam", "adamw"];

/**
 * The form.
 * @param {object} store the page's state: which program is open decides what can be trained
 * @param {{start: () => void, stop: () => void, reset: () => void, rate: (lr: number) => void}} told what the user asks for
 * @returns {{node: HTMLElement, params: () => object, draw: (now: {running: boolean, able: boolean, known: object}) => void}}
 */
export function makeForm(store, { start, stop, reset, rate }) {
  const model = makeChoice(store);
  const steps = number({ min: 1, max: 1_000_000, step: 1, value: 300, required: true });
  const speed = makeRate(rate);
  const optimizer = el("select", { class: "select" }, el("option", { value: "" }, "its own"), OPTIMIZERS.map((name) => el("option", { value: name }, name)));
  const batch = number({ min: 1, step: 1, placeholder: "its own" });
  const seed = number({ min: 0, step: 1, value: 0 });
  const go = el("button", { type: "submit", class: "button primary" }, "Start");
  const halt = el("button", { type: "button", class: "button danger", onclick: stop }, "Stop");
  const again = el("button", { type: "button", class: "button", onclick: reset, title: "Forget what was learned" }, "Reset");
  const more = el("div", { class: "fields" }, field("Optimiser", optimizer), field("Batch", batch), field("Seed", seed));
  const node = el(
    "form",
    { class: "train-form", "aria-label": "Training" },
    field("Model", model.node),
    field("Steps", steps),
    speed.node,
    el("details", {}, el("summary", {}, "Optimiser, batch, seed"), more),
    el("div", { class: "buttons" }, go, halt, again),
  );
  node.addEventListener("submit", (event) => {
    event.preventDefault();
    start();
  });

  /** What `train` takes; what is left empty is as the model has it. */
  function params() {
    const given = { model: model.node.value, steps: whole(steps), optimizer: optimizer.value || null, batch: whole(batch), seed: whole(seed), lr: speed.value() };
    return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== null));
  }

  function draw({ running, able, known }) {
    model.draw(running);
    speed.draw(able, known.lr);
    for (const control of [model.node, steps, optimizer, batch, seed, go]) control.disabled = running || !able;
    go.textContent = known.state === "stopped" || known.state === "done" ? "Go on" : "Start";
    halt.disabled = !running;
    again.disabled = known.state === "none" && !running;
  }

  return { node, params, draw };
}

/** The models there are: those that come along, and the open program where it is one. The open one is chosen until the user chooses. */
function makeChoice(store) {
  let picked = false;
  const node = el("select", { class: "select", onchange: () => (picked = true) });

  function draw(running) {
    const { opened } = store.state;
    const trainable = opened?.parts?.includes("step") ?? false;
    const names = [...MODELS, ...(trainable ? [OPEN] : [])];
    if (running && names.includes(node.value)) return; // what is being trained stays chosen
    const usual = trainable ? (MODELS.find((name) => name === opened.name) ?? OPEN) : MODELS[0];
    const wanted = picked && names.includes(node.value) ? node.value : usual;
    const labels = names.map((name) => (name === OPEN ? `the open program (${opened.name})` : name));
    if ([...node.options].map(({ label }) => label).join("\n") !== labels.join("\n")) {
      replace(node, names.map((name, at) => el("option", { value: name }, labels[at])));
    }
    if (node.value !== wanted) node.value = wanted;
  }

  return { node, draw };
}

/** The learning rate, with buttons for half and twice; it may change while the training goes on. */
function makeRate(rate) {
  let usual = null; // what is in use where the field is empty
  const input = number({ min: 0, step: "any", placeholder: "its own", onchange: () => value() !== null && rate(value()) });
  const halve = scaler("÷2", "half the learning rate", () => scale(0.5));
  const double = scaler("×2", "twice the learning rate", () => scale(2));

  function value() {
    return Number.isFinite(input.valueAsNumber) && input.valueAsNumber >= 0 ? input.valueAsNumber : null;
  }

  function scale(factor) {
    input.value = String(Number(((value() ?? usual) * factor).toPrecision(4)));
    rate(value());
  }

  function draw(able, known) {
    usual = known;
    input.placeholder = usual === null ? "its own" : String(Number(usual.toPrecision(4)));
    input.disabled = !able;
    halve.disabled = double.disabled = !able || (usual === null && value() === null);
  }

  return { node: el("div", { class: "rate" }, field("Learning rate", input), halve, double), value, draw };
}

function scaler(text, title, onclick) {
  return el("button", { type: "button", class: "button", title, "aria-label": `${text}: ${title}`, onclick }, text);
}

function number(attributes) {
  return el("input", { type: "number", class: "input", inputmode: "decimal", ...attributes });
}

/** A control below its label. */
function field(title, control) {
  control.id = `train-${title.toLowerCase().replaceAll(" ", "-")}`;
  return el("div", { class: "field" }, el("label", { for: control.id }, title), control);
}

/** The whole number in a field; null where there is none. */
function whole(input) {
  return Number.isInteger(input.valueAsNumber) ? input.valueAsNumber : null;
}
