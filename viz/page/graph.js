// The graph pane: the graph of the stage, or of a step of its film, on a canvas to move in; what is selected there is the page's `node`.

import { followPointers, makeCamera, still } from "./camera.js";
import { el } from "./dom.js";
import { colours, draw } from "./draw.js";
import { followKeys, listKeys } from "./graph_keys.js";
import { makeSource } from "./graph_source.js";
import { makeTools } from "./graph_tools.js";
import { makeMinimap } from "./minimap.js";
import { pngOf, svgOf } from "./picture.js";
import { makeSearch } from "./search.js";
import { graphStage } from "./stages.js";
import { makeTip, spoken } from "./graph_words.js";

const FADE = 220; // milliseconds in which nodes come and go
const READABLE = 0.6; // scale at which a graph too large for the pane is first shown
const FITTING = 0.3; // scale from which a whole graph is worth seeing at first
const TITLE = 20; // pixels of a frame that are its title
const NOBODY = Object.freeze(new Set());
const NOTHING = Object.freeze({ selected: -1, hovered: -1, matches: null, before: NOBODY, after: NOBODY, fresh: NOBODY, gone: NOBODY });

/**
 * Mounts the pane. Returns the graph as other panes use it, see `made`.
 * @param {HTMLElement} element fills its place
 * @param {object} context store, compiler, nodes and, where there are, keys and notice of the page
 */
export function mount(element, context) {
  const canvas = el("canvas", { class: "graph-canvas", tabindex: 0, role: "application", "aria-label": "Graph", "aria-describedby": "graph-said" });
  const pane = new Pane(element, canvas, context);
  const said = el("p", { id: "graph-said", class: "visually-hidden", role: "status" });
  const empty = el("p", { class: "graph-empty empty" }, "The graph appears here as soon as a program has run.");
  const tip = makeTip();
  const minimap = makeMinimap(pane.camera, () => pane.byHand());
  const search = makeSearch(pane, context);
  const tools = makeTools(pane, context, search);
  element.append(canvas, tools.element, tools.zoom, minimap.element, tip.element, empty, said);
  pane.parts = { said, empty, tip, minimap, search, tools };
  followKeys(canvas, pane, context);
  if (context.keys) listKeys(context.keys);
  pane.follow();
  return pane.made();
}

/** Everything the pane knows: the scene, the camera, what stands out. */
class Pane {
  constructor(element, canvas, context) {
    const { store, compiler, nodes, notice } = context;
    Object.assign(this, { element, canvas, store, compiler, nodes, notice });
    this.pen = canvas.getContext("2d");
    this.source = makeSource(context, letterWidths(element));
    this.camera = makeCamera(canvas, () => this.paint());
    this.look = { colours: colours(element), appear: 1, ...NOTHING };
    this.scene = null;
    this.group = null; // the collapsed group that is selected: it is no node
    this.auto = true; // the camera shows what there is, until it is moved by hand
    this.listeners = new Set();
    this.times = { layout: 0, step: 0, frame: 0 };
    this.turn = 0; // of what is asked for
    this.done = 0; // of what is shown
    this.frame = 0;
    this.fading = 0;
  }

  /** Watch the page. */
  follow() {
    const { store, canvas } = this;
    followPointers(canvas, this.camera, {
      click: (x, y) => this.click(x, y),
      hover: (x, y) => this.hover(x, y),
      leave: () => this.hover(-1, -1),
      moved: () => this.byHand(),
    });
    canvas.addEventListener("dblclick", () => this.fit());
    new ResizeObserver(() => this.resized()).observe(canvas);
    store.on(["opened", "compiled"], () => this.source.reset());
    store.on(["opened", "compiled", "stage", "scene", "step", "folded"], (_, changed) => this.refresh(changed));
    store.on(["node", "highlight"], (_, changed) => this.marked(changed.has("node")));
    store.on(["theme"], () => {
      this.look.colours = colours(this.element);
      this.paint();
    });
    this.refresh(new Set(["opened"]));
  }

  resized() {
    if (this.auto && this.scene !== null) this.first(this.camera.set);
    else this.paint();
  }

  /** Someone has moved the camera: it stays where it is put. */
  byHand() {
    this.auto = false;
    this.parts.tip.hide();
  }

  paint() {
    if (this.frame === 0) this.frame = requestAnimationFrame((now) => this.render(now));
  }

  render(now) {
    this.frame = 0;
    const began = performance.now();
    const { canvas, camera, look, scene } = this;
    const ratio = devicePixelRatio || 1;
    const [w, h] = camera.size().map((side) => Math.round(side * ratio));
    if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
    if (scene === null) return this.pen.clearRect(0, 0, w, h);
    look.appear = Math.min(1, (now - this.fading) / FADE);
    if (look.appear === 1) look.fresh = look.gone = NOBODY;
    else this.paint();
    draw(this.pen, scene, { scale: camera.scale, x: camera.x, y: camera.y, seen: camera.seen() }, look, ratio);
    this.parts.minimap.draw(scene, look.colours);
    this.times.frame = performance.now() - began;
  }

  /** Show what the page's state says. */
  async refresh(changed) {
    const mine = ++this.turn;
    let shown;
    try {
      shown = await this.source.scene(this.store.state);
    } catch (error) {
      if (mine !== this.turn) return;
      this.done = mine;
      if (error.kind !== "Stopped") this.notice?.(`The graph cannot be shown: ${error.message}`, { kind: "error", key: "graph" });
      return;
    }
    if (mine !== this.turn) return;
    this.parts.empty.hidden = shown !== null;
    if (shown === null) this.scene = null;
    else if (shown.scene === this.scene) this.step(shown.step);
    else this.change(shown);
    if (this.scene !== null && this.auto && (changed.has("stage") || changed.has("opened") || changed.has("compiled"))) this.first(this.camera.fly);
    await this.#follow(changed);
    if (mine === this.turn) this.drawn();
  }

  /** Another step of the same scene. */
  step(step) {
    const { scene, look } = this;
    const began = performance.now();
    const before = scene.alive.slice();
    scene.seek(step);
    this.times.step = performance.now() - began;
    if (still()) return;
    const changedTo = (alive) => new Set([...before.keys()].filter((i) => before[i] !== scene.alive[i] && scene.alive[i] === alive));
    look.fresh = changedTo(1);
    look.gone = changedTo(0);
    this.fading = performance.now();
  }

  /** Another scene: what is selected, or what was in the middle, stays where it is on the screen if the scene has it. */
  change({ scene, step }) {
    const old = this.scene;
    const held = old && this.#anchor(old);
    scene.seek(step);
    this.scene = scene;
    this.times.layout = scene.took;
    Object.assign(this.look, NOTHING);
    const box = held ? this.#boxOf(scene, held) : -1;
    if (box < 0 || this.auto) {
      this.auto = true;
      this.first(old === null || box < 0 ? this.camera.set : this.camera.fly);
    } else {
      const { scale } = this.camera;
      this.camera.set(scale, scene.x[box] + scene.w[box] / 2 - held.px / scale, scene.y[box] + scene.h[box] / 2 - held.py / scale);
    }
  }

  /** What is to stay in its place: a node or a group, and where it is on the canvas. */
  #anchor(scene) {
    const [w, h] = this.camera.size();
    const middle = this.camera.toWorld(w / 2, h / 2);
    const box = this.look.selected >= 0 ? this.look.selected : scene.nearest(...middle);
    if (box < 0) return null;
    const [px, py] = this.camera.toScreen(scene.x[box] + scene.w[box] / 2, scene.y[box] + scene.h[box] / 2);
    const seen = px > 0 && py > 0 && px < w && py < h;
    return { id: scene.id[box], group: scene.groupOf(box), px: seen ? px : w / 2, py: seen ? py : h / 2 };
  }

  #boxOf(scene, { id, group }) {
    const box = scene.find(id);
    if (box >= 0 || group === null) return box;
    const collapsed = scene.groups.indexOf(group);
    return collapsed >= 0 ? collapsed : (scene.frames.find((frame) => frame.group === group)?.members[0] ?? -1);
  }

  /** The view of a scene that nobody has moved: all of it, or its beginning where all would be too small to see. */
  first(move) {
    const box = this.scene.bounds();
    const whole = this.camera.scaleOf(box);
    if (whole >= FITTING) return this.camera.fit(box, move);
    const scale = Math.max(FITTING, this.camera.scaleOf(box, READABLE, true));
    const [w, h] = this.camera.size();
    const across = (box[2] - box[0]) * scale < w;
    const middle = across ? (box[0] + box[2]) / 2 : this.scene.frames.length > 0 ? box[0] + (w / 2 - 24) / scale : this.scene.top();
    this.camera.centre(middle, box[1] + (h / 2 - 64) / scale, scale, move);
  }

  /** A selected node of another stage: go on with what it became, or came from, here. */
  async #follow(changed) {
    const { store, scene } = this;
    const { node, stage, opened } = store.state;
    if (scene !== null && node !== null && (changed.has("stage") || changed.has("scene")) && scene.find(node) < 0) {
      const mine = this.turn;
      const { ids, rows } = await this.compiler.request("follow", { id: node, stage: graphStage(stage) }).catch(() => ({ ids: [], rows: [] }));
      this.nodes.tell(rows ?? []);
      const found = ids.find((id) => scene.find(id) >= 0);
      if (mine === this.turn && opened === store.state.opened && node === store.state.node && found !== undefined) store.set({ node: found });
    }
    this.marked(false);
  }

  /** The selection or the highlight has changed; `show` brings a selected node into view. */
  marked(show) {
    const { scene, look, store } = this;
    if (scene === null) return;
    const { node, highlight } = store.state;
    if (node !== null) this.group = null;
    look.selected = node !== null ? scene.find(node) : this.group !== null ? scene.groups.indexOf(this.group) : -1;
    const boxes = (ids, ever) => new Set((ids ?? []).map((id) => scene.find(id, ever)).filter((box) => box >= 0));
    look.after = boxes(highlight?.after, false);
    look.before = boxes(highlight?.before, true);
    if (!show && !("dragged" in this.canvas.dataset)) this.reveal([...look.after, ...look.before], this.camera.scale);
    if (show && look.selected >= 0) this.reveal([look.selected]);
    this.parts.said.textContent = look.selected >= 0 ? spoken(scene, look.selected) : "";
    this.paint();
  }

  /** Pan to the first of some boxes, unless one of them is seen. */
  reveal(boxes, scale = Math.max(this.camera.scale, FITTING)) {
    const { scene, camera } = this;
    const [left, top, right, bottom] = camera.seen();
    const seen = (i) => scene.x[i] + scene.w[i] > left && scene.x[i] < right && scene.y[i] + scene.h[i] > top + 56 / camera.scale && scene.y[i] < bottom;
    if (boxes.length === 0 || boxes.some(seen)) return;
    camera.centre(scene.x[boxes[0]] + scene.w[boxes[0]] / 2, scene.y[boxes[0]] + scene.h[boxes[0]] / 2, scale);
  }

  click(px, py) {
    const { scene, camera } = this;
    if (scene === null) return;
    const at = camera.toWorld(px, py);
    const box = scene.at(...at);
    const frame = box < 0 ? scene.frameAt(...at, TITLE / camera.scale) : null;
    if (box >= 0 && scene.groups[box] !== null) this.toggle(scene.groups[box]);
    else if (frame !== null) this.toggle(frame.group);
    else this.select(box);
  }

  /** Select a box, or none (-1). */
  select(box) {
    const { scene, store } = this;
    const node = box >= 0 && scene.groups[box] === null ? scene.id[box] : null;
    this.group = box >= 0 ? scene.groups[box] : null;
    if (store.state.node === node) this.marked(true);
    else store.set({ node });
  }

  hover(px, py) {
    const { scene, camera, look, parts } = this;
    if (scene === null) return;
    const at = camera.toWorld(px, py);
    const box = px < 0 ? -1 : scene.at(...at);
    this.canvas.classList.toggle("graph-points", box >= 0 || (px >= 0 && scene.frameAt(...at, TITLE / camera.scale) !== null));
    if (box >= 0) parts.tip.show(scene, box, px, py, this.canvas);
    else parts.tip.hide();
    if (box === look.hovered) return;
    look.hovered = box;
    this.paint();
  }

  /** Collapse a group into one box, or open it. */
  toggle(group) {
    this.source.toggle(group);
    this.group = group;
    if (this.store.state.node !== null && this.source.collapsed().has(group)) this.store.set({ node: null });
    this.refresh(new Set(["collapsed"]));
  }

  /** Collapse or open all groups of the scene. */
  toggleAll(close) {
    const { scene } = this;
    if (scene === null) return;
    if (!close) this.source.toggle(null);
    else for (let i = 0; i < scene.count; i++) if (scene.groups[i] === null && scene.groupOf(i) !== null) this.source.collapsed().add(scene.groupOf(i));
    this.auto = true;
    this.refresh(new Set(["stage"]));
  }

  fit() {
    this.auto = true;
    if (this.scene !== null) this.camera.fit(this.scene.bounds());
  }

  drawn() {
    this.done = this.turn;
    this.canvas.setAttribute("aria-label", this.scene === null ? "Graph" : `Graph of the stage ${this.store.state.stage}: ${this.scene.living} boxes. Arrow keys go along its edges.`);
    this.parts.tools.draw(this.scene);
    this.parts.search.again();
    for (const listener of this.listeners) listener();
    this.paint();
  }

  /**
   * The graph as other panes use it: `show(stage)`, `seek(scene, step)`, `select(id)`, `centre(id)`, `fit()`; `svg()` text and `png()` a Blob;
   * `count()` boxes that are drawn; `rectOf(id)` left, top, width and height in pixels of the page, or null; `on(fn)` after each change of what
   * is shown, returns what ends it.
   */
  made() {
    const { store } = this;
    const box = (id) => this.scene?.find(id) ?? -1;
    const made = {
      show: (stage) => store.set({ stage, scene: null, step: null }),
      seek: (scene, step) => store.set({ scene, step }),
      select: (id) => store.set({ node: id }),
      centre: (id) => this.middle(box(id)),
      fit: () => this.fit(),
      svg: () => svgOf(this.scene, this.look.colours),
      png: () => pngOf(this.scene, this.look.colours),
      count: () => this.scene?.living ?? 0,
      rectOf: (id) => this.rectOf(box(id)),
      on: (listener) => {
        this.listeners.add(listener);
        return () => this.listeners.delete(listener);
      },
    };
    globalThis.annealGraph = forTools(this, made);
    return made;
  }

  middle(box) {
    if (box >= 0) this.camera.centre(this.scene.x[box] + this.scene.w[box] / 2, this.scene.y[box] + this.scene.h[box] / 2, Math.max(this.camera.scale, FITTING));
  }

  rectOf(box) {
    if (box < 0) return null;
    const [x, y] = this.camera.toScreen(this.scene.x[box], this.scene.y[box]);
    const { left, top } = this.canvas.getBoundingClientRect();
    return [left + x, top + y, this.scene.w[box] * this.camera.scale, this.scene.h[box] * this.camera.scale];
  }
}

/** `window.annealGraph`, for tests and tools: what is drawn where, and how long that took. */
function forTools(pane, made) {
  return {
    ...made,
    /** Milliseconds that the last scene took to be laid out, the last step to be taken, the last frame to be drawn. */
    times: () => ({ ...pane.times }),
    /** What is drawn: node (or -1), group (or null), text, place on the page. */
    boxes: () =>
      [...(pane.scene?.texts.keys() ?? [])]
        .filter((i) => pane.scene.alive[i])
        .map((i) => ({ id: pane.scene.id[i], group: pane.scene.groups[i], text: pane.scene.texts[i], phase: pane.scene.phase[i], rect: pane.rectOf(i) })),
    /** The edges that live, as pairs of boxes. */
    edges: () => [...(pane.scene?.from.keys() ?? [])].filter((e) => pane.scene.edgeAlive[e]).map((e) => [pane.scene.from[e], pane.scene.to[e]]),
    frames: () => (pane.scene?.frames ?? []).map(({ group, text, x, y }) => ({ group, text, place: pane.camera.toScreen(x, y) })),
    look: () => ({ selected: pane.look.selected, matches: pane.look.matches?.size ?? null, before: [...pane.look.before], after: [...pane.look.after] }),
    camera: () => ({ scale: pane.camera.scale, x: pane.camera.x, y: pane.camera.y }),
    /** Whether what is asked for is shown. */
    ready: () => pane.done === pane.turn && pane.look.appear === 1,
    position: () => pane.scene?.film.position ?? null,
    graph: () => pane.scene?.film.graph() ?? null,
    row: (id) => pane.nodes.get(id),
  };
}

/** Widths of text: every letter of the canvas's type is as wide as the next. */
function letterWidths(element) {
  const context = document.createElement("canvas").getContext("2d");
  const family = getComputedStyle(element).getPropertyValue("--mono") || "monospace";
  const wide = [600, 400].map((weight, i) => {
    context.font = `${weight} ${i ? 10.5 : 12.5}px ${family}`;
    return context.measureText("mmmmmmmmmm").width / 10;
  });
  return (text, small) => text.length * wide[small ? 1 : 0];
}
