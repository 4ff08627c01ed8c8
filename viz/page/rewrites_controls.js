// What goes along the rewrites: slider, buttons, scenes, the rule that is followed, and playing.

import { many } from "./amounts.js";
import { el, replace } from "./dom.js";

const CALM = matchMedia("(prefers-reduced-motion: reduce)");
const PACE = 700; // milliseconds a rewrite
const CALM_PACE = 2000;

/**
 * @param {{go: (position: number|null) => void, step: (direction: number) => boolean, scene: (direction: number) => void, choose: (rule: string|null) => void}} on
 *   `step` goes one rewrite on and says whether there was one; `go(null)` shows the whole stage
 */
export function makeControls(on) {
  let timer = 0;
  const button = (label, sign, keys, run) => el("button", { type: "button", class: "button", "aria-label": label, title: `${label} (${keys})`, onclick: run }, sign);
  const play = button("Play", "▶", "p", () => (timer ? stop() : start()));
  const count = el("output", { class: "count" });
  const slider = el("input", { type: "range", min: 0, max: 0, step: 1, "aria-label": "Rewrites of the stage" });
  slider.addEventListener("input", () => by(() => on.go(Number(slider.value))));
  const rule = el("select", { class: "select" });
  rule.addEventListener("change", () => by(() => on.choose(rule.value === "" ? null : rule.value)));
  const scene = el("select", { class: "select scene" });
  scene.addEventListener("change", () => by(() => on.go(scene.value === "" ? null : Number(scene.value))));
  const scenes = el(
    "div",
    { class: "row" },
    button("Scene before", "‹", "[", () => by(() => on.scene(-1))),
    el("label", { class: "grow" }, el("span", { class: "visually-hidden" }, "Scene: one call of the rewriter"), scene),
    button("Scene after", "›", "]", () => by(() => on.scene(1))),
  );
  const first = button("To the beginning", "⇤", "Home", () => by(() => on.go(0)));
  const last = button("To the end", "⇥", "End", () => by(() => on.go(Number(slider.max))));
  const back = button("One rewrite back", "←", "←", () => by(() => on.step(-1)));
  const forth = button("One rewrite on", "→", "→", () => by(() => on.step(1)));
  const element = el(
    "div",
    { class: "rewrites-controls" },
    el("div", { class: "row" }, first, back, play, forth, last, count),
    slider,
    scenes,
    el("label", { class: "row" }, el("span", { class: "muted" }, "Follow"), rule),
  );

  function by(run) {
    stop();
    run();
  }

  function start() {
    play.textContent = "❚❚";
    play.setAttribute("aria-label", "Pause");
    play.title = "Pause (p)";
    if (on.step(1)) timer = setInterval(() => on.step(1) || stop(), CALM.matches ? CALM_PACE : PACE);
    else stop();
  }

  function stop() {
    clearInterval(timer);
    timer = 0;
    play.textContent = "▶";
    play.setAttribute("aria-label", "Play");
    play.title = "Play (p)";
  }

  document.addEventListener("visibilitychange", () => document.hidden && stop());

  return {
    element,
    stop,
    focus: () => slider.focus({ preventScroll: true }),
    /** Play or pause. */
    play: () => (timer ? stop() : start()),
    /** Another stage: its scenes and rules. */
    fill(track, times) {
      slider.max = Math.max(0, track.length - 1);
      replace(rule, el("option", { value: "" }, "every rule"), [...times].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, number]) => el("option", { value: name }, `${name} (${number})`)));
      scenes.hidden = track.parts.length < 2;
      const options = track.parts.map(({ scene: number, base }) => {
        const { title, times: calls, rules } = track.scenes[number];
        return el("option", { value: base }, `${number + 1}. ${title} · ${rules.length}${calls > 1 ? ` · ${calls} times` : ""}`);
      });
      replace(scene, el("option", { value: "" }, `all ${track.parts.length} scenes: the whole stage`), options);
    },
    /** Where the page stands: a position, or null for the stage as a whole. */
    show(track, position, followed, said) {
      slider.value = position ?? slider.max;
      slider.setAttribute("aria-valuetext", said);
      count.textContent = position === null ? many(track.rewrites, "rewrite") : `${track.done(position)} of ${track.rewrites}`;
      scene.value = position === null ? "" : String(track.at(position).part.base);
      rule.value = followed ?? "";
      first.disabled = back.disabled = position === 0;
    },
  };
}
