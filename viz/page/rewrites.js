// The pane of the rewrites: every rewrite of the stage, forward and backward, with the rule that made it.

import { el, replace } from "./dom.js";
import { makeCard } from "./rewrites_card.js";
import { makeControls } from "./rewrites_controls.js";
import { filmOf, filmsOf } from "./rewrites_films.js";
import { makeMarks } from "./rewrites_marks.js";
import { makeTable } from "./rewrites_table.js";
import { makeTrack } from "./rewrites_track.js";
import { makeWords } from "./rewrites_words.js";

const EMPTY = {
  tensor: "The forward pass as the program built it: nothing has been rewritten yet.",
  backward: "No gradient rule fired: this program has no backward pass.",
  wgsl: "The text is written from the lowered kernels; no rule is needed for that.",
};
const ON = { tensor: ["backward", "simplified"], backward: ["simplified"], wgsl: ["lowered"] };
const TITLES = { backward: "How gradients are added", simplified: "How the program is simplified", lowered: "How kernels are lowered" };

/**
 * Mounts the pane.
 * @param {HTMLElement} element
 * @param {{store: object, compiler: object, nodes: object, keys: object}} context
 */
export function mount(element, context) {
  const { store, keys } = context;
  const films = filmsOf(context);
  const card = makeCard();
  const controls = makeControls({ go, step, scene, choose });
  const table = makeTable({ choose });
  const words = makeWords(context, draw);
  const marks = makeMarks(context, films);
  const empty = el("div", { class: "empty" });
  const content = el("div", { class: "rewrites" }, controls.element, card.element, el("section", { "aria-label": "Which rules fired how often" }, table.element));
  element.append(empty, content);

  let track = makeTrack(null, "tensor");
  let filled = null; // the compilation and stage that the pane is filled with
  let followed = null; // the rule that the arrows go along
  let pointed = false; // whether a finger or a mouse was used last, not the keyboard

  /** Where the page stands: null for the stage as a whole. */
  function position() {
    const { scene: number, step: taken, stage } = store.state;
    if (taken === null && number === null) return null;
    const scene = number ?? (filmOf(stage) === "program" ? 0 : null);
    const part = track.parts.find((one) => one.scene === scene);
    return part === undefined ? null : track.position(scene, taken ?? part.last);
  }

  function go(to) {
    const found = to === null ? null : track.at(to);
    store.set(found === null ? { scene: null, step: null, highlight: null } : { scene: found.scene, step: found.step });
  }

  /** One rewrite on or back, of the rule that is followed if one is; false where there is none. */
  function step(direction, rule = followed) {
    const next = track.next(position() ?? (direction > 0 ? -1 : track.length), direction, rule);
    if (next !== null) go(next);
    return next !== null;
  }

  function scene(direction) {
    const to = track.scene(position() ?? (direction > 0 ? null : track.length), direction);
    if (to !== null) go(to);
  }

  /** Follow one rule, or all again; the first place where it fired is shown unless one is shown. */
  function choose(rule) {
    followed = rule;
    const now = position();
    if (rule === null || (now !== null && track.at(now).rule === rule)) draw();
    else go(track.next(now ?? -1, 1, rule) ?? track.next(-1, 1, rule));
  }

  async function fill() {
    const { compiled, stage, pane } = store.state;
    if (pane !== "rewrites") return;
    const wanted = { compiled, stage };
    if (filled?.compiled === compiled && filled?.stage === stage) return;
    if (filled?.compiled !== compiled) words.forget();
    filled = wanted;
    followed = null;
    track = makeTrack(null, stage);
    if (compiled === null) say("How the program is rewritten is shown here once it is compiled.");
    else {
      say("Looking at what was rewritten…");
      try {
        const outline = await films.outline(stage);
        if (filled !== wanted) return;
        track = makeTrack(stage === "wgsl" ? null : outline, stage);
        if (track.rewrites === 0) say(EMPTY[stage] ?? "No rule fired in this stage.", ON[stage]);
        else open();
      } catch (error) {
        if (filled === wanted) say(error.message);
        if (filled === wanted) filled = null;
      }
    }
  }

  function say(text, stages = []) {
    controls.stop();
    content.hidden = true;
    empty.hidden = false;
    const others = stages.filter((name) => store.state.compiled?.stages.some((record) => record.name === name && record.rewrites > 0));
    const button = (name) => el("button", { type: "button", class: "button", onclick: () => store.set({ stage: name, scene: null, step: null, highlight: null }) }, TITLES[name]);
    replace(empty, el("p", {}, text), others.length > 0 ? el("p", { class: "row" }, others.map(button)) : null);
  }

  function open() {
    content.hidden = false;
    empty.hidden = true;
    const times = track.fired();
    controls.fill(track, times);
    table.show(times, store.state.info?.rules ?? {});
    draw();
    takeArrows();
  }

  /** Who has chosen the pane, or a stage, by hand goes on with the arrow keys here; on tabs that have the focus they would choose another tab. */
  function takeArrows() {
    if (pointed && !content.hidden && store.state.pane === "rewrites" && document.activeElement?.matches("[role=tab]")) controls.focus();
  }

  function draw() {
    if (content.hidden || store.state.pane !== "rewrites") return;
    const now = position();
    const found = now === null ? null : track.at(now);
    const known = words.of(track, found);
    controls.show(track, now, followed, now === null ? known.title : `${track.done(now)} of ${track.rewrites}: ${known.title}`);
    table.mark(followed ?? found?.rule ?? null);
    card.show(known);
    words.ask(found);
    marks.show(found);
  }

  function press(run) {
    return (event) => {
      controls.stop();
      run(event);
    };
  }

  const here = () => store.state.pane === "rewrites" && !content.hidden;
  const add = (key, text, run) => keys.add({ group: "Rewrites", key, text, run, when: here });
  add("ArrowRight", "One rewrite on; with Shift to where the same rule fires next", press((event) => along(1, event.shiftKey)));
  add("ArrowLeft", "One rewrite back; with Shift to where the same rule fired before", press((event) => along(-1, event.shiftKey)));
  add("Home", "To the beginning", press(() => go(0)));
  add("End", "To the end", press(() => go(track.length - 1)));
  add("[", "To the scene before", press(() => scene(-1)));
  add("]", "To the scene after", press(() => scene(1)));
  add("p", "Play, or pause", () => controls.play());

  function along(direction, alike) {
    const now = position();
    const rule = alike && now !== null ? track.at(now).rule : null;
    step(direction, rule ?? followed);
  }

  addEventListener("pointerdown", () => (pointed = true), true);
  addEventListener("keydown", () => (pointed = false), true);
  store.on(["compiled", "stage", "pane"], (state) => {
    if (state.pane !== "rewrites") controls.stop();
    fill();
    queueMicrotask(takeArrows);
  });
  store.on(["scene", "step", "pane", "info"], draw);
  fill();
}
