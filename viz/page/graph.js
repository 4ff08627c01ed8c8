// The graph pane: the graph of the stage, or of a step of its film, on a canvas to move in; what is selected there is the page's `node`.

import { followPointers, makeCamera } from "./camera.js";
import { el } from "./dom.js";
import { colours, draw } from "./draw.js";
import { makeSource } from "./graph_source.js";

const FADE = 200; // milliseconds in which nodes come and go
const READABLE = 0.62; // scale at which a graph too large to fit is first shown
const FITTING = 0.3; // scale from which a fitted graph is worth seeing

const NOBODY = Object.freeze(new Set());

/**
 * Mounts the pane. Returns the graph as other panes use it.
 * @param {HTMLElement} element fills its place
 * @param {object} context store, compiler, nodes, keys, notice of the page
 */
export function mount(element, context) {
  const { store, nodes } = context;
  const canvas = el("canvas", { class: "graph-canvas", tabindex: 0, role: "application", "aria-label": "Graph of the program", "aria-describedby": "graph-said" });
  const said = el("p", { id: "graph-said", class: "visually-hidden", role: "status" });
  const empty = el("p", { class: "graph-empty empty" }, "The graph appears here.");
  element.append(canvas, said, empty);
  const pen = canvas.getContext("2d");
  const letters = letterWidths(element);
  const source = makeSource(context, letters);
  const camera = makeCamera(canvas, () => paint());
  const look = { colours: colours(element), selected: -1, hovered: -1, matches: null, before: NOBODY, after: NOBODY, fresh: NOBODY, gone: NOBODY, appear: 1 };
  let scene = null;
  let turn = 0;
  let frame = 0;

  function paint() {
    if (frame === 0) frame = requestAnimationFrame(render);
  }

  function render() {
    frame = 0;
    const ratio = devicePixelRatio || 1;
    const [w, h] = camera.size().map((side) => Math.round(side * ratio));
    if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
    if (scene === null) return;
    draw(pen, scene, { scale: camera.scale, x: camera.x, y: camera.y, seen: camera.seen() }, look, ratio);
  }

  async function refresh() {
    const mine = ++turn;
    let shown = null;
    try {
      shown = await source.scene(store.state);
    } catch (error) {
      if (mine === turn && error.kind !== "Stopped") context.notice?.(`The graph cannot be shown: ${error.message}`, { kind: "error", key: "graph" });
      return;
    }
    if (mine !== turn) return;
    empty.hidden = shown !== null;
    if (shown === null) return;
    const other = scene !== shown.scene;
    scene = shown.scene;
    scene.seek(shown.step);
    if (other) start();
    mark();
    paint();
  }

  function start() {
    camera.fit(scene.bounds());
  }

  function mark() {
    look.selected = scene.find(store.state.node);
    look.before = new Set((store.state.highlight?.before ?? []).map((id) => scene.find(id, true)).filter((i) => i >= 0));
    look.after = new Set((store.state.highlight?.after ?? []).map((id) => scene.find(id)).filter((i) => i >= 0));
  }

  followPointers(canvas, camera, {
    click(px, py) {
      const i = scene?.at(...camera.toWorld(px, py)) ?? -1;
      store.set({ node: i >= 0 && scene.id[i] >= 0 ? scene.id[i] : null });
    },
    hover(px, py) {
      const i = scene?.at(...camera.toWorld(px, py)) ?? -1;
      if (i === look.hovered) return;
      look.hovered = i;
      paint();
    },
    leave() {
      look.hovered = -1;
      paint();
    },
  });
  new ResizeObserver(paint).observe(canvas);
  store.on(["opened", "compiled"], () => source.reset());
  store.on(["opened", "compiled", "stage", "scene", "step", "folded"], refresh);
  store.on(["node", "highlight"], () => {
    if (scene === null) return;
    mark();
    paint();
  });
  store.on(["theme"], () => {
    look.colours = colours(element);
    paint();
  });
  refresh();
  return {
    fit: () => scene && camera.fit(scene.bounds()),
    count: () => (scene ? scene.alive.reduce((sum, a) => sum + a, 0) : 0),
    select: (id) => store.set({ node: id }),
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
