// What is told of one kernel beside its text: what goes in and out, what it costs, what is fused, why it ends where it ends.

import { bytes, count, many, shape } from "./amounts.js";
import { el } from "./dom.js";
import { PHASES, phaseOf } from "./nodes.js";

/** A phase's mark: symbol and name, in its colour. */
export function phaseTag(name) {
  const { symbol } = phaseOf(name);
  return el("span", { class: ["tag", name] }, symbol, " ", name);
}

/** The symbols of a kernel's phases, the fused mark last. */
export function symbols(kernel) {
  const marks = kernel.phases.map((name) => {
    const { symbol } = phaseOf(name);
    return el("span", { class: `kernels-symbol ${name}`, "aria-hidden": "true" }, symbol);
  });
  if (kernel.phases.length > 1) marks.push(el("span", { class: "kernels-symbol fused", "aria-hidden": "true" }, "▪"));
  return marks;
}

/** A kernel's phases in words. */
export function phaseWords(kernel) {
  return kernel.phases.join(" and ") + (kernel.phases.length > 1 ? ", fused" : "");
}

/** What one kernel costs. */
export function costs(kernel) {
  const threads = product(kernel.workgroups) * product(kernel.workgroup_size);
  const rows = [
    ["Workgroups", `${kernel.workgroups.join(" × ")} of ${kernel.workgroup_size.join(" × ")} threads`, `${count(threads)} threads in all`],
    ["Moved", bytes(kernel.bytes), "read and written, each element once"],
    ["Computed", `${count(kernel.flops)} flops`, "arithmetic operations"],
  ];
  if (kernel.intensity !== null) rows.push(["Intensity", `${kernel.intensity.toFixed(2)} flops a byte`, kernel.intensity < 4 ? "limited by memory on most devices" : ""]);
  return el(
    "dl",
    { class: "kernels-costs" },
    rows.map(([name, value, note]) => [el("dt", {}, name), el("dd", { title: note || null }, value)]),
  );
}

function product(sizes) {
  return sizes.reduce((a, b) => a * b, 1);
}

/** What goes in and out, as a table. */
export function buffers(kernel) {
  const rows = [...kernel.inputs.map((value) => ["reads", value]), ...kernel.outputs.map((value) => ["writes", value])];
  return el(
    "table",
    { class: "kernels-buffers" },
    el("thead", {}, el("tr", {}, ["", "Value", "Type", "Bytes"].map((title, i) => el("th", { scope: "col", class: i === 3 ? "number" : null }, title || el("span", { class: "visually-hidden" }, "Direction"))))),
    el("tbody", {}, rows.map(([way, value]) => buffer(way, value))),
  );
}

function buffer(way, value) {
  const from = value.maker === null ? "given to the program" : `made by ${value.maker}`;
  const to = value.readers.length > 0 ? `read by ${value.readers.join(", ")}` : "read by no kernel";
  return el(
    "tr",
    { title: `${from}; ${to}` },
    el("td", {}, way === "reads" ? "→" : "←", el("span", { class: "visually-hidden" }, way)),
    el("td", {}, el("span", { class: "mono kernels-value" }, value.name), " ", el("span", { class: "muted" }, value.role)),
    el("td", { class: "mono" }, `${value.dtype} ${shape(value.shape)}`),
    el("td", { class: "number" }, bytes(value.bytes)),
  );
}

/** What is fused: the operations of each phase, equal neighbours counted. */
export function fused(kernel) {
  const groups = PHASES.map(({ name }) => [name, kernel.ops.filter((_, i) => kernel.op_phases[i] === name)]).filter(([, ops]) => ops.length > 0);
  return el(
    "div",
    { class: "kernels-fused" },
    groups.map(([name, ops]) => el("div", { class: "kernels-ops" }, phaseTag(name), el("p", { class: "mono" }, runs(ops).join(", ")))),
  );
}

function runs(ops) {
  const found = [];
  for (const op of ops) {
    if (found.at(-1)?.op === op) found.at(-1).times += 1;
    else found.push({ op, times: 1 });
  }
  return found.map(({ op, times }) => (times > 1 ? `${times} × ${op}` : op));
}

const SCOPES = { inline: "computed in place", group: "shared by a workgroup", global: "stored in a buffer" };

/** Why each boundary stands. */
export function boundaries(kernel) {
  if (kernel.boundaries.length === 0) return el("p", { class: "muted" }, "Nothing had to be decided: every value is computed where it is read.");
  return el(
    "ul",
    { class: "kernels-boundaries" },
    kernel.boundaries.map(({ value, scope, reason, name }) =>
      el(
        "li",
        {},
        el("p", {}, el("span", { class: "mono" }, name ?? value), " ", el("span", { class: ["tag", scope === "inline" ? null : "fused"] }, SCOPES[scope])),
        reason ? el("p", { class: "muted" }, reason) : null,
      ),
    ),
  );
}

/** The plan as a whole. */
export function plan(compiled, copy) {
  const { stats, target, fingerprint } = compiled;
  const rows = [
    ["Kernels", `${stats.kernels}, ${stats.kernels_fused} of them for several phases`],
    ["Memory at its peak", `${bytes(stats.peak_bytes)}, of which ${bytes(stats.temporary_bytes)} for values between kernels`],
    ["Buffers", buffersOf(compiled.kernels)],
    ["Made from", `${many(stats.uops, "node")} in ${many(stats.rewrites, "rewrite")}`],
    ["Target", Object.entries(target).map(([name, value]) => `${name.replaceAll("_", " ")} ${value === true ? "yes" : value === false ? "no" : count(value)}`).join(", ")],
  ];
  return el(
    "dl",
    { class: "kernels-costs" },
    rows.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]),
    el("dt", {}, "Fingerprint"),
    el("dd", { class: "kernels-print" }, el("code", { title: fingerprint }, fingerprint.slice(0, 16), "…"), copy),
  );
}

function buffersOf(kernels) {
  const names = { input: new Set(), output: new Set(), temporary: new Set() };
  for (const value of kernels.flatMap((kernel) => [...kernel.inputs, ...kernel.outputs])) names[value.role].add(value.name);
  return `${many(names.input.size, "input")}, ${many(names.output.size, "output")}, ${many(names.temporary.size, "value")} between kernels`;
}
