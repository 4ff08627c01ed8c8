// The whole graph, small, in a corner: a frame shows what is seen, and is dragged to see other parts.

import { el } from "./dom.js";
import { PHASES } from "./nodes.js";

const BROAD = [190, 130];
const TALL = [74, 380];
const EDGE = 4;

/** The map; `moved` is called when someone drags it. */
export function makeMinimap(camera, moved) {
  const canvas = el("canvas", { class: "graph-map", "aria-hidden": "true", hidden: true });
  const pen = canvas.getContext("2d");
  const picture = document.createElement("canvas");
  let drawn = null; // what `picture` shows
  let whole = [0, 0, 1, 1];

  const sides = () => [whole[2] - whole[0], whole[3] - whole[1]];

  /** The size of the map: like the graph's, within bounds; a graph that is very tall is drawn broader than it is. */
  function shape() {
    const [w, h] = sides();
    const room = h > 2.5 * w ? [TALL[0], Math.min(TALL[1], camera.size()[1] - 150)] : BROAD;
    const scale = Math.min(room[0] / w, room[1] / h);
    return [Math.round(Math.max(40, w * scale)), Math.round(Math.max(40, h * scale))];
  }

  function blocks(scene, colours, [w, h], ratio) {
    Object.assign(picture, { width: w * ratio, height: h * ratio });
    const context = picture.getContext("2d");
    const [wide, high] = sides();
    const [sx, sy] = [((w - 2 * EDGE) * ratio) / wide, ((h - 2 * EDGE) * ratio) / high];
    context.setTransform(sx, 0, 0, sy, EDGE * ratio - whole[0] * sx, EDGE * ratio - whole[1] * sy);
    context.fillStyle = colours.fused.soft;
    for (const frame of scene.frames) context.fillRect(frame.x, frame.y, frame.w, frame.h);
    for (let phase = 0; phase < PHASES.length; phase++) {
      context.fillStyle = colours.phases[phase].line;
      for (let i = 0; i < scene.count; i++) {
        if (scene.alive[i] && scene.phase[i] === phase) context.fillRect(scene.x[i], scene.y[i], Math.max(scene.w[i], 1 / sx), Math.max(scene.h[i], 1 / sy));
      }
    }
  }

  const go = (event) => {
    const box = canvas.getBoundingClientRect();
    const [wide, high] = sides();
    const part = (value, size) => (value - EDGE) / (size - 2 * EDGE);
    const at = [whole[0] + part(event.clientX - box.left, box.width) * wide, whole[1] + part(event.clientY - box.top, box.height) * high];
    camera.centre(...at, camera.scale, camera.set);
    moved();
  };
  canvas.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    canvas.setPointerCapture(event.pointerId);
    go(event);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (canvas.hasPointerCapture(event.pointerId)) go(event);
  });

  return {
    element: canvas,
    draw(scene, colours) {
      whole = scene.bounds();
      const seen = camera.seen();
      canvas.hidden = seen[0] <= whole[0] && seen[1] <= whole[1] && seen[2] >= whole[2] && seen[3] >= whole[3];
      if (canvas.hidden) return;
      const ratio = devicePixelRatio || 1;
      const [w, h] = shape();
      const key = `${w} ${h} ${ratio} ${scene.film.position} ${colours.paper}`;
      if (drawn?.scene !== scene || drawn.key !== key) {
        drawn = { scene, key };
        blocks(scene, colours, [w, h], ratio);
        Object.assign(canvas, { width: w * ratio, height: h * ratio });
        Object.assign(canvas.style, { width: `${w}px`, height: `${h}px` });
      }
      frame(pen, picture, colours, [w, h], ratio, seen, whole);
    },
  };
}

function frame(pen, picture, colours, [w, h], ratio, seen, whole) {
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.fillStyle = colours.panel;
  pen.fillRect(0, 0, w * ratio, h * ratio);
  pen.drawImage(picture, 0, 0);
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  const place = (value, k, size) => Math.max(1, Math.min(size - 1, EDGE + ((value - whole[k]) / (whole[k + 2] - whole[k])) * (size - 2 * EDGE)));
  const [left, top, right, bottom] = [place(seen[0], 0, w), place(seen[1], 1, h), place(seen[2], 0, w), place(seen[3], 1, h)];
  pen.strokeStyle = colours.focus;
  pen.lineWidth = 1.5;
  pen.strokeRect(left, top, Math.max(3, right - left), Math.max(3, bottom - top));
}
