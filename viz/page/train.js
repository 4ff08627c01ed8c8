// The pane in which a model learns the real digits on the tab's GPU, while the rest of the page goes on.

import { percent } from "./amounts.js";
import { makeCurve } from "./curves.js";
import { makeDigits } from "./digits.js";
import { el, replace } from "./dom.js";
import { missing } from "./frame.js";
import { figures, plan, table } from "./train_facts.js";
import { makeForm } from "./train_form.js";
import { makeTraining } from "./train_session.js";

const WORDS = {
  none: "Nothing is trained yet",
  compiling: "Compiling the training step…",
  training: "Training",
  scoring: "Looking at the held-out rows",
  done: "Done",
  stopped: "Stopped",
  failed: "Failed",
};

/**
 * Mounts the pane.
 * @param {HTMLElement} element where
 * @param {{store: object, compiler: object}} context the page's state and its compiler
 */
export function mount(element, { store, compiler }) {
  let waiting = false; // a drawing is to come
  const training = makeTraining(compiler, (scored) => {
    if (scored) guess();
    later();
  });
  const form = makeForm(store, { start: () => training.start(form.params()), stop: training.stop, reset: training.reset, rate: training.rate });
  const parts = makeParts(() => guess());
  element.append(el("div", { class: "train" }, form.node, parts.nodes));
  store.on(["info", "opened", "compiled"], later);
  store.on(["pane"], () => {
    later();
    guess();
  });
  draw();

  function shown() {
    return store.state.pane === "train";
  }

  function guess() {
    if (shown()) training.guess(parts.wrong.checked);
  }

  /** Draws with the next frame, once however much is told until then. */
  function later() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      if (shown()) draw();
    });
  }

  function draw() {
    const { info, compiled } = store.state;
    const able = info?.device?.available ?? false;
    form.draw({ able, running: training.running, known: training.known });
    parts.draw(training, info, compiled);
  }
}

/** What is shown below the controls. */
function makeParts(guess) {
  const device = el("div", { class: "callout", hidden: true });
  const error = el("div", { class: "callout error", role: "alert", hidden: true });
  const words = el("p", { class: "train-state", role: "status" });
  const progress = el("progress", { max: 1, value: 0, "aria-label": "Progress of the training" });
  const numbers = el("dl", { class: "figures" });
  const loss = makeCurve("Loss", "loss");
  const accuracy = makeCurve("Held-out accuracy", "accuracy", percent);
  const values = el("div", {});
  const wrong = el("input", { type: "checkbox", onchange: guess });
  const digits = makeDigits();
  const about = el("div", { class: "train-plan" });
  const results = el(
    "div",
    { class: "train-results" },
    numbers,
    el("div", { class: "train-curves" }, figure("Loss", loss.node), figure("Accuracy on the held-out digits", accuracy.node)),
    el("details", {}, el("summary", {}, "The values as a table"), values),
    el("section", {}, el("h2", {}, "Held-out digits"), el("label", { class: "check" }, wrong, " only those that it is wrong about"), digits.node),
    el("section", {}, el("h2", {}, "The step"), about),
  );

  function draw({ known, guesses, running }, info, compiled) {
    device.hidden = info === null || info.device.available;
    if (!device.hidden) replace(device, missing(info.device), " The graph, the rewrites and the kernels of the training step can be read all the same.");
    say(words, known, running);
    progress.value = known.target > 0 ? known.done / known.target : 0;
    error.hidden = known.error === null;
    if (error.textContent !== (known.error ?? "")) replace(error, known.error);
    results.hidden = known.facts === null;
    if (results.hidden) return;
    replace(numbers, figures(known));
    const ends = { first: known.losses[0]?.[0], target: known.target };
    loss.draw(known.losses, { ...ends, mean: true });
    accuracy.draw(known.scores, { ...ends, top: 1 });
    replace(values, table(known));
    digits.draw(guesses);
    replace(about, plan(known, compiled));
  }

  return { nodes: [device, error, el("div", { class: "train-progress" }, words, progress), results], wrong, draw };
}

/** How far it is. A number that changes ten times a second is not read out. */
function say(words, { state, done, target }, running) {
  const text = running && state === "none" ? WORDS.compiling : WORDS[state];
  const said = target > 0 ? `${text}: step ${done} of ${target}` : text;
  words.setAttribute("aria-live", running ? "off" : "polite");
  if (words.textContent !== said) words.textContent = said;
}

function figure(title, drawing) {
  return el("figure", {}, el("figcaption", {}, title), drawing);
}
