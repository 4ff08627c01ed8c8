// What stands around the panes: the landing header, the bar's tools, what the page is busy with, and the foot.

import { copyText } from "./copying.js";
import { el, replace } from "./dom.js";
import { keep, recall } from "./memory.js";

/** Three lines that say what this is, until they are closed. */
export function mountLanding(element) {
  if (recall("landing") === false) return;
  const close = () => {
    keep("landing", false);
    replace(element);
    document.getElementById("graph").focus({ focusVisible: false }); // not on a list of choices, which would take single keys for itself
  };
  element.setAttribute("role", "region");
  element.setAttribute("aria-label", "What this is");
  replace(
    element,
    el(
      "div",
      {},
      el("p", {}, "anneal is a tensor compiler in pure Python, and this is the real one: the same package, running in this tab."),
      el("p", {}, "Follow a program to its GPU kernels, stage by stage, each rewrite with the rule that made it; then run and train it on your GPU."),
      el("p", {}, "Pick an example or write your own. Nothing you write leaves this machine. ", readMore()),
    ),
    el("button", { type: "button", class: "button quiet", "aria-label": "Close this introduction", onclick: close }, "×"),
  );
}

/** Where the project can be read about: on GitHub Pages the address says which repository this is; elsewhere its file is named. */
function readMore() {
  const owner = /^([\w-]+)\.github\.io$/u.exec(location.hostname)?.[1];
  const repository = location.pathname.split("/")[1];
  if (owner === undefined || !repository) return ["More in the project's ", el("code", {}, "README.md"), "."];
  return [el("a", { href: `https://github.com/${owner}/${repository}#readme`, rel: "noopener" }, "Read more"), "."];
}

/** What the page waits for, with the button that ends it. */
export function mountBusy(element, { store }, stop) {
  const what = el("span", { class: "what" });
  const button = el("button", { type: "button", class: "button danger", title: "End the program that runs, and start a new compiler", onclick: stop }, "Stop");
  const spinner = el("span", { class: "spinner", "aria-hidden": "true" });
  const draw = ({ busy }) => {
    if (busy === null) replace(element);
    else {
      what.textContent = `${busy}…`;
      if (!element.contains(button)) replace(element, spinner, what, button);
    }
  };
  store.on(["busy"], draw);
  draw(store.state);
}

const phone = matchMedia("(max-width: 639px)");

/** Which of program, graph and inspector is shown where there is no room for all. */
export function mountSwitch(element) {
  const buttons = [...element.querySelectorAll("button")];
  const show = (side) => {
    if (side === "graph" && !phone.matches) return; // it is there already
    document.body.dataset.side = side;
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.side === side));
  };
  for (const button of buttons) button.addEventListener("click", () => show(button.dataset.side));
  show(document.body.dataset.side);
  return show;
}

/** Python, the package, the GPU, and what the plan is called. */
export function mountFoot(element, { store, notice }) {
  const draw = ({ info, compiled }) => {
    const parts = [];
    if (info !== null) {
      parts.push(el("span", { title: `Source ${info.source_hash}` }, `anneal ${info.version || info.source_hash.slice(0, 8)}`), el("span", { class: "only-wide" }, `Python ${info.python}`), device(info.device, notice));
    }
    if (compiled !== null) {
      const total = compiled.stages.reduce((sum, { milliseconds }) => sum + (milliseconds ?? 0), 0);
      parts.push(el("span", { class: "push only-wide" }, `compiled in ${Math.round(total)} ms`), fingerprint(compiled.fingerprint, notice));
    }
    replace(element, parts);
  };
  store.on(["info", "compiled"], draw);
  draw(store.state);
}

function device(found, notice) {
  if (found.available) return el("span", { title: found.message ?? "" }, `GPU: ${found.description ?? "WebGPU"}`);
  const why = () => notice(missing(found), { key: "device", stays: true });
  return el("button", { type: "button", class: "warn", onclick: why }, "No WebGPU: everything but running works");
}

/** What to say where there is no device. */
export function missing(found) {
  return [found.message ?? "This browser has no WebGPU.", found.remedy].filter(Boolean).join(" ");
}

function fingerprint(text, notice) {
  const copy = () => copyText(text, "The plan's fingerprint is copied.", notice);
  return el("button", { type: "button", class: "mono only-wide", title: `The plan's fingerprint ${text}: the same natively. Click to copy`, onclick: copy }, text.slice(0, 12));
}
