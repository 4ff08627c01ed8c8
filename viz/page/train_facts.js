// What the Train pane says in words and numbers: times, the values as a table, and the plan of a step.

import { percent, seconds, short } from "./amounts.js";
import { el } from "./dom.js";
import { phaseOf } from "./nodes.js";

const ROWS = 25; // of the table

/** The latest numbers, as the parts of a description list. */
export function figures({ losses, scores, step_seconds: step, host_seconds: host, device_seconds: device, samples_per_second: rate }) {
  const last = (points) => (points.length > 0 ? short(points.at(-1)[1]) : "–");
  const parts = [host ? `Python ${seconds(host)}` : null, device ? `GPU ${seconds(device)}` : null].filter(Boolean).join(", ");
  return [
    entry("Loss", last(losses)),
    entry("Accuracy", scores.length > 0 ? percent(scores.at(-1)[1]) : "–"),
    entry("A step", step ? seconds(step) : "–", parts),
    entry("Samples a second", rate ? Math.round(rate).toLocaleString("en") : "–"),
  ];
}

function entry(name, value, more = "") {
  return el("div", {}, el("dt", {}, name), el("dd", {}, value, more && el("small", {}, more)));
}

/** Losses and scores as a table: each score, or steps evenly apart. */
export function table({ losses, scores }) {
  const stride = Math.max(1, Math.ceil(losses.length / ROWS));
  const known = new Map(scores);
  const rows = losses.filter(([step], at) => at % stride === 0 || known.has(step) || at === losses.length - 1);
  return el(
    "table",
    { class: "values" },
    el("caption", { class: "visually-hidden" }, "Loss and held-out accuracy"),
    el("thead", {}, el("tr", {}, ["Step", "Loss", "Accuracy"].map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, rows.map(([step, loss]) => el("tr", {}, el("td", {}, step), el("td", {}, loss.toFixed(4)), el("td", {}, known.has(step) ? known.get(step).toFixed(4) : "")))),
  );
}

/**
 * The plan of a step: its fingerprint, whether it is the one that the other panes show, and its kernels.
 * @param {object} known of the training
 * @param {object|null} compiled of the open program
 */
export function plan({ facts, kernels }, compiled) {
  if (facts === null) return null;
  const same = compiled?.fingerprint === facts.fingerprint;
  const megabytes = (facts.bytes / 2 ** 20).toFixed(1);
  return [
    el("p", {}, `${facts.model}: ${facts.parameters.toLocaleString("en")} parameters, ${facts.optimizer}, batches of ${facts.batch} from ${facts.rows.toLocaleString("en")} rows, ${facts.held} held out.`),
    el("p", {}, `${facts.uops} nodes in ${facts.kernels} kernels, ${megabytes} MiB, compiled in ${seconds(facts.compile_seconds)}, on ${facts.backend}.`),
    el("p", {}, "Plan ", el("code", { title: facts.fingerprint }, facts.fingerprint.slice(0, 12)), same ? ": the one that the other panes show." : "."),
    el("ol", { class: "train-kernels" }, (kernels ?? []).map(kernel)),
  ];
}

function kernel({ name, phases }) {
  const fused = phases.length > 1;
  const sign = fused ? "▪" : phaseOf(phases[0]).symbol;
  return el("li", {}, el("code", {}, name), el("span", { class: ["tag", fused ? "fused" : phases[0]] }, `${sign} ${phases.join(" + ")}`));
}
