// What of a picture is seen: a scale and a place, moved by wheel, drag, pinch and keys.
//
// Places of the picture are in world pixels (zoom 1), places of the canvas in CSS pixels from its corner.

const LEAST = 0.002;
const MOST = 4;
const MARGIN = 28;
const TOOLS = 64; // pixels at the top that tools cover
const CLICK = 5; // pixels a pointer may move while it clicks
const FLIGHT = 220; // milliseconds

/** Whether movement for its own sake is unwanted. */
export const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** A camera of a canvas; `moved` is called after each change. */
export function makeCamera(canvas, moved) {
  const view = { scale: 1, x: 0, y: 0 };
  let flight = 0;
  const put = (scale, x, y) => {
    Object.assign(view, { scale, x, y });
    moved();
  };
  const set = (scale, x, y) => {
    cancelAnimationFrame(flight);
    put(scale, x, y);
  };
  const size = () => [canvas.clientWidth || 1, canvas.clientHeight || 1];

  /** Go there in a short while, or at once where movement is unwanted. */
  function fly(scale, x, y) {
    if (still()) return set(scale, x, y);
    cancelAnimationFrame(flight);
    const [w, h] = size();
    const middle = ({ scale: s, x: left, y: top }) => [s, left + w / s / 2, top + h / s / 2];
    const [from, to, began] = [middle(view), middle({ scale, x, y }), performance.now()];
    const go = (now) => {
      const t = Math.min(1, Math.max(0, (now - began) / FLIGHT));
      const part = t * t * (3 - 2 * t);
      const s = from[0] * (to[0] / from[0]) ** part;
      const at = [1, 2].map((k) => from[k] + (to[k] - from[k]) * part);
      put(s, at[0] - w / s / 2, at[1] - h / s / 2);
      if (t < 1) flight = requestAnimationFrame(go);
    };
    flight = requestAnimationFrame(go);
  }
  return {
    get scale() {
      return view.scale;
    },
    get x() {
      return view.x;
    },
    get y() {
      return view.y;
    },
    set,
    size,
    /** Left, top, right and bottom of what is seen, in the world. */
    seen() {
      const [w, h] = size();
      return [view.x, view.y, view.x + w / view.scale, view.y + h / view.scale];
    },
    toWorld: (px, py) => [view.x + px / view.scale, view.y + py / view.scale],
    toScreen: (wx, wy) => [(wx - view.x) * view.scale, (wy - view.y) * view.scale],
    pan: (dx, dy) => set(view.scale, view.x - dx / view.scale, view.y - dy / view.scale),
    /** Zoom by a factor; what is at (px, py) of the canvas stays there. */
    zoom(factor, px = size()[0] / 2, py = size()[1] / 2) {
      const scale = Math.max(LEAST, Math.min(MOST, view.scale * factor));
      set(scale, view.x + px / view.scale - px / scale, view.y + py / view.scale - py / scale);
    },
    fly,
    /** The scale at which a rectangle is seen whole, no larger than `most`; the width alone with `across`. */
    scaleOf([left, top, right, bottom], most = 1, across = false) {
      const [w, h] = size();
      const high = across ? Infinity : (h - TOOLS - MARGIN) / Math.max(1, bottom - top);
      return Math.max(LEAST, Math.min(most, (w - 2 * MARGIN) / Math.max(1, right - left), high));
    },
    /** Show a rectangle, below the tools. */
    fit(box, move = fly, most = 1) {
      const [w, h] = size();
      const scale = this.scaleOf(box, most);
      move(scale, (box[0] + box[2] - w / scale) / 2, (box[1] + box[3] - (h + TOOLS - MARGIN) / scale) / 2);
    },
    /** Put a place of the world in the middle. */
    centre(wx, wy, scale = view.scale, move = fly) {
      const [w, h] = size();
      move(scale, wx - w / scale / 2, wy - h / scale / 2);
    },
  };
}

/**
 * Move a camera by pointers: wheel to zoom, drag to pan, two fingers to do both.
 * @param {{click: (x: number, y: number) => void, hover: (x: number, y: number) => void, leave: () => void, moved: () => void}} told `moved` after what a
 *   user did to the camera
 */
export function followPointers(canvas, camera, told) {
  const pointers = new Map();
  let travelled = 0;

  const place = (event) => {
    const { left, top } = canvas.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  };
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 16 : 1;
    camera.zoom(Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.0016)), ...place(event));
    told.moved();
  }, { passive: false });
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, place(event));
    if (pointers.size === 1) travelled = 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    const now = place(event);
    const before = pointers.get(event.pointerId);
    if (before === undefined) {
      told.hover(...now);
      return;
    }
    travelled += Math.hypot(now[0] - before[0], now[1] - before[1]);
    if (travelled > CLICK) drag(event.pointerId, before, now);
    pointers.set(event.pointerId, now);
  });

  function drag(pointer, before, now) {
    canvas.dataset.dragged = "";
    told.moved();
    camera.pan((now[0] - before[0]) / pointers.size, (now[1] - before[1]) / pointers.size);
    const other = [...pointers].find(([id]) => id !== pointer)?.[1];
    if (other === undefined) return;
    const apart = (point) => Math.max(10, Math.hypot(point[0] - other[0], point[1] - other[1]));
    camera.zoom(apart(now) / apart(before), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
  }

  const ended = (event) => {
    if (!pointers.delete(event.pointerId)) return;
    delete canvas.dataset.dragged;
    if (event.type === "pointerup" && pointers.size === 0 && travelled <= CLICK) told.click(...place(event));
  };
  canvas.addEventListener("pointerup", ended);
  canvas.addEventListener("pointercancel", ended);
  canvas.addEventListener("pointerleave", told.leave);
}
