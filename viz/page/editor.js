// The program: the examples, the text, which part of it is compiled, what it printed, and what is wrong with it.

import { el, replace } from "./dom.js";
import { keyName } from "./keys.js";
import { exampleOf } from "./share.js";
import { exampleProgram } from "./start.js";

const PARTS = [["forward", "Forward", "The outputs of the program"], ["backward", "Backward", "With the gradients of the loss"], ["step", "Step", "A whole training step"]];
const OWN = "";

/** Mounts the pane; returns `{focus, compile}`. */
export async function mount(element, context) {
  const { store, session } = context;
  const compile = () => {
    const { source, asked, info } = store.state;
    return session.show({ ...carried(session, source), source, part: asked, name: exampleOf(info, store.state)?.name ?? ownName(store.state) });
  };
  const code = await place(element, context, compile);
  const head = el("div", { class: "program-head" }, examples(context), parts(context), button(store, compile));
  element.prepend(head);
  element.append(below(context, code));

  store.on(["source"], ({ source }) => code.text(source));
  store.on(["jump"], ({ jump }) => {
    if (jump === null) return;
    code.show(jump);
    context.reveal("program");
    store.set({ jump: null });
  });
  code.text(store.state.source);
  return { focus: code.focus, compile };
}

/** Modules that came with the file stay with it while it is edited. */
function carried(session, source) {
  const { files, launched, source: before } = session.shown ?? {};
  return files === undefined ? {} : { files, launched: launched === true && before === source };
}

function ownName({ name, info }) {
  return info?.examples.some((example) => example.name === name) ? "program" : name;
}

async function place(element, { store }, submit) {
  const host = el("div", { class: "code" });
  element.append(host);
  const told = {
    label: "Program, in Python",
    change: (source) => store.set({ source }),
    cursor: (line) => store.set({ line }),
    submit,
    leave: () => element.querySelector(".compile").focus(),
  };
  try {
    const { makeMirror } = await import("./code_mirror.js");
    return makeMirror(host, told);
  } catch {
    const { makePlain } = await import("./code_plain.js");
    const bare = el("div", { class: "code-plain" });
    host.replaceWith(bare);
    return makePlain(bare, told);
  }
}

function examples({ store, session }) {
  const select = el("select", { class: "select", "aria-label": "Example", onchange: () => choose(select.value) });
  const choose = (name) => {
    if (name !== OWN) session.show(exampleProgram(store.state.info, name));
  };
  const draw = ({ info, source, name }) => {
    const known = info?.examples ?? [];
    if (select.options.length !== known.length + 1) {
      replace(
        select,
        known.map((example) => el("option", { value: example.name, title: example.doc }, `${example.name}: ${example.title}`)),
        el("option", { value: OWN }, info === null ? "…" : "Your own program"),
      );
    }
    select.value = exampleOf(info, { source, name })?.name ?? OWN;
  };
  store.on(["info", "source", "name"], draw);
  draw(store.state);
  return select;
}

function parts({ store, session }) {
  const group = el("div", { class: "parts", role: "radiogroup", "aria-label": "Part that is compiled" });
  const choose = (part) => {
    const { source, name } = store.state;
    session.show({ ...carried(session, source), source, name, part });
    group.querySelector(`[data-part="${part}"]`)?.focus();
  };
  group.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const open = [...group.querySelectorAll("button:not(:disabled)")];
    open[(open.indexOf(document.activeElement) + step + open.length) % open.length]?.click();
  });
  for (const [part, title, doc] of PARTS) {
    group.append(el("button", { type: "button", role: "radio", class: "part", title: doc, data: { part }, onclick: () => choose(part) }, title));
  }
  const draw = ({ opened, part }) => {
    const there = opened?.parts ?? (part ? [part] : []);
    const buttons = [...group.children];
    for (const one of buttons) {
      one.disabled = !there.includes(one.dataset.part);
      one.setAttribute("aria-checked", String(one.dataset.part === part));
      one.tabIndex = one.dataset.part === part ? 0 : -1;
    }
    if (!buttons.some((one) => one.tabIndex === 0 && !one.disabled)) buttons.filter((one) => !one.disabled).slice(0, 1).forEach((one) => (one.tabIndex = 0));
  };
  store.on(["opened", "part"], draw);
  draw(store.state);
  return group;
}

function button(store, compile) {
  const one = el("button", { type: "button", class: "button primary compile", onclick: compile, "aria-keyshortcuts": "Control+Enter Meta+Enter" }, "Compile");
  const draw = ({ source, error }) => {
    one.classList.toggle("edited", source !== store.state.ran || error !== null);
    one.title = `${keyName("Mod+Enter")}: run the program and compile what its last line says`;
  };
  store.on(["source", "ran", "error"], draw);
  draw(store.state);
  return one;
}

/** Under the text: what is wrong, what was printed, what is shown. */
function below({ store }, code) {
  const wrong = el("div", { class: "wrong", role: "alert" });
  const printed = el("pre", { class: "printed", tabindex: "0", "aria-label": "Printed by the program" });
  const value = el("p", { class: "value" });
  const draw = ({ opened, error }) => {
    replace(wrong, error ? failure(error, code, opened !== null) : []);
    wrong.hidden = error === null;
    printed.textContent = (error?.printed || (error === null ? opened?.printed : "")) ?? "";
    printed.hidden = printed.textContent === "";
    replace(value, error === null && opened !== null ? shown(opened) : []);
    value.hidden = value.childNodes.length === 0;
    code.mark(error);
  };
  store.on(["opened", "error"], draw);
  draw(store.state);
  return el("div", { class: "below" }, wrong, printed, value);
}

function failure({ kind, message, line, hint, frames = [] }, code, before) {
  const at = (number, text) => {
    const jump = () => {
      code.show(number);
      code.focus();
    };
    return el("button", { type: "button", class: "link", onclick: jump }, text);
  };
  const calls = frames.length > 1 ? frames.map(({ file, line: number, name, text }) => call(file, number, name, text, at)) : [];
  return [
    el("p", {}, el("strong", {}, kind), line ? [" in ", at(line, `line ${line}`)] : null),
    el("pre", {}, message),
    hint && el("p", { class: "hint" }, hint),
    before && el("p", { class: "hint" }, "The graph still shows the program before."),
    calls.length > 0 && el("details", {}, el("summary", {}, `${calls.length} calls led there`), el("ol", {}, calls)),
  ];
}

function call(file, line, name, text, at) {
  const where = file === "program.py" ? at(line, `line ${line}`) : `${file}, line ${line}`;
  return el("li", {}, where, ` in ${name}: `, el("code", {}, (text ?? "").trim()));
}

function shown({ value, outputs, note }) {
  const first = outputs.slice(0, 3).map(({ name, dtype, shape }) => `${name ? `${name}: ` : ""}${dtype} ${shape.length > 0 ? `(${shape.join(", ")})` : "scalar"}`);
  const rest = outputs.length > 3 ? `, and ${outputs.length - 3} more` : "";
  const several = outputs.length > 1 && el("span", { class: "mono" }, `: ${first.join(", ")}${rest}`);
  return [note && el("strong", {}, `${note} `), value, several];
}
