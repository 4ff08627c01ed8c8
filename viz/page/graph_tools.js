// The tools above the graph: search, what is folded, what is collapsed, zoom.

import { many } from "./amounts.js";
import { el } from "./dom.js";

/** The tools. `draw(scene)` shows what they say of a scene. */
export function makeTools(pane, { store }, search) {
  const fold = el("input", { type: "checkbox", id: "graph-fold", onchange: () => store.set({ folded: fold.checked }) });
  const button = (text, label, title, onclick) => el("button", { type: "button", class: "button quiet", "aria-label": label, title, onclick }, text);
  const groups = button("Collapse", "Collapse modules or kernels", "One box for each module or kernel", () => pane.toggleAll(pane.source.collapsed().size === 0));
  const count = el("output", { class: "graph-count muted", "aria-live": "off" });
  const zoomed = (factor) => () => {
    pane.byHand();
    pane.camera.zoom(factor);
  };
  const element = el(
    "div",
    { class: "graph-tools" },
    search.element,
    el("label", { class: "graph-fold", title: "Show constants and index arithmetic in the boxes that read them" }, fold, "Fold"),
    groups,
    count,
  );
  const zoom = el(
    "div",
    { class: "graph-zoom" },
    button("−", "Zoom out", "Zoom out (−)", zoomed(0.8)),
    button("Fit", "Show the whole graph", "Show all (f)", () => pane.fit()),
    button("+", "Zoom in", "Zoom in (+)", zoomed(1.25)),
  );
  store.on(["folded"], () => (fold.checked = store.state.folded));
  fold.checked = store.state.folded;

  return {
    element,
    zoom,
    draw(scene) {
      const any = scene !== null && (pane.source.collapsed().size > 0 || [...scene.groups.keys()].some((i) => scene.groupOf(i) !== null));
      groups.hidden = !any;
      const open = pane.source.collapsed().size > 0;
      groups.textContent = open ? "Open all" : "Collapse";
      groups.setAttribute("aria-label", open ? "Open all modules and kernels" : "Collapse modules or kernels");
      count.textContent = scene === null ? "" : counted(scene);
    },
  };
}

/** How many boxes are drawn, and how many nodes they stand for. */
function counted(scene) {
  let nodes = 0;
  for (const id of scene.film.ids) if (id >= 0) nodes += 1;
  const boxes = scene.living;
  return boxes === nodes ? many(nodes, "node") : `${many(nodes, "node")} in ${many(boxes, "box", "boxes")}`;
}
