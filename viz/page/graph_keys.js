// Moving through the graph by keys, while its canvas has the focus.

const PAN = 80; // pixels

/** Listen to the keys of the canvas. */
export function followKeys(canvas, pane, context) {
  const zoom = (factor) => {
    pane.byHand();
    pane.camera.zoom(factor);
  };
  const pan = (dx, dy) => {
    pane.byHand();
    pane.camera.pan(dx * PAN, dy * PAN);
  };
  const keys = {
    "f": () => pane.fit(),
    "0": () => pane.fit(),
    "+": () => zoom(1.25),
    "=": () => zoom(1.25),
    "-": () => zoom(0.8),
    "c": () => collapse(pane),
    "Enter": () => open(pane, context),
    " ": () => open(pane, context),
    "ArrowUp": () => along(pane, false),
    "ArrowDown": () => along(pane, true),
    "ArrowLeft": () => aside(pane, -1),
    "ArrowRight": () => aside(pane, 1),
    "Shift+ArrowUp": () => pan(0, 1),
    "Shift+ArrowDown": () => pan(0, -1),
    "Shift+ArrowLeft": () => pan(1, 0),
    "Shift+ArrowRight": () => pan(-1, 0),
    "Home": () => end(pane, -1),
    "End": () => end(pane, 1),
  };
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || pane.scene === null) return;
    const run = keys[event.shiftKey && event.key.startsWith("Arrow") ? `Shift+${event.key}` : event.key];
    if (run === undefined) return;
    event.preventDefault();
    run();
  });
}

/** The box that keys go on from: the selected one; where there is none, the one nearest to the middle is selected first. */
function begun(pane) {
  if (pane.look.selected >= 0) return pane.look.selected;
  const [w, h] = pane.camera.size();
  pane.select(pane.scene.nearest(...pane.camera.toWorld(w / 2, h / 2)));
  return -1;
}

/** Along an edge: the neighbour that stands most nearly above or below. */
function along(pane, down) {
  const box = begun(pane);
  if (box < 0) return;
  const { scene } = pane;
  const middle = (i) => scene.x[i] + scene.w[i] / 2;
  const [best] = scene.beside(box, down).sort((a, b) => Math.abs(middle(a) - middle(box)) - Math.abs(middle(b) - middle(box)) || a - b);
  if (best !== undefined) pane.select(best);
}

function aside(pane, side) {
  const box = begun(pane);
  if (box < 0) return;
  const next = pane.scene.next(box, side);
  if (next >= 0) pane.select(next);
}

/** The topmost or the lowest box. */
function end(pane, side) {
  const { scene } = pane;
  let best = -1;
  for (let i = 0; i < scene.count; i++) if (scene.alive[i] && (best < 0 || (scene.y[i] - scene.y[best]) * side > 0)) best = i;
  if (best >= 0) pane.select(best);
}

function open(pane, { store, reveal }) {
  const box = begun(pane);
  if (box < 0) return;
  if (pane.scene.groups[box] !== null) pane.toggle(pane.scene.groups[box]);
  else {
    reveal?.("inspect");
    store.set({ pane: "node" });
  }
}

function collapse(pane) {
  const box = begun(pane);
  const group = box < 0 ? null : pane.scene.groupOf(box);
  if (group !== null) pane.toggle(group);
}

/** The keys in the page's help. */
export function listKeys(keys) {
  const add = (shown, text) => keys.add({ key: null, shown, group: "In the graph", text });
  add("↑ ↓", "To an operand, to a reader");
  add("← →", "To the next box in the layer");
  add("Enter", "Details of the box; opens a collapsed one");
  add("c", "Collapse or open the module or kernel");
  add("f", "Show all");
  add("+ -", "Zoom; also the wheel, or two fingers");
  add("Shift ↑ ↓ ← →", "Move the picture");
}
