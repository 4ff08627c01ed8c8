// A scene on a canvas: blocks of colour from far, operation names nearer, everything from near; only what is seen.

import { PHASES } from "./nodes.js";

const WORDS = 0.2; // scale from which boxes have a word
const FULL = 0.5; // scale from which boxes have all their text
const ROUND = 6;
const FAINT = 0.3; // of an edge that runs behind boxes
const CROWD = 250; // such edges in sight, from which they are fainter still

/** The colours of the page, as they are in its theme. */
export function colours(element) {
  const style = getComputedStyle(element);
  const value = (name) => style.getPropertyValue(`--${name}`).trim();
  const phase = (name) => ({ line: value(name), ink: value(`${name}-ink`), soft: value(`${name}-soft`) });
  return {
    paper: value("sunken"),
    panel: value("panel"),
    ink: value("ink"),
    ink2: value("ink-2"),
    ink3: value("ink-3"),
    line: value("line"),
    strong: value("line-strong"),
    accent: value("accent"),
    focus: value("focus"),
    good: value("good"),
    mark: value("mark"),
    mono: value("mono") || "monospace",
    phases: PHASES.map(({ name }) => phase(name)),
    fused: phase("fused"),
  };
}

/**
 * Draw a scene.
 * @param {CanvasRenderingContext2D} context of a canvas whose pixels are `ratio` to a CSS pixel
 * @param {Scene} scene
 * @param {{scale: number, x: number, y: number, seen: number[]}} view
 * @param {object} look `colours`, and what stands out: `selected`, `hovered` (boxes or -1), `matches` (set of boxes or null), `before`, `after`
 *   (sets of boxes), `appear` (0 to 1) with `fresh` and `gone` (sets)
 */
export function draw(context, scene, view, look, ratio) {
  const pen = { context, scene, view, look, colours: look.colours, boxes: visible(scene, view.seen, look) };
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.fillStyle = look.colours.paper;
  context.fillRect(0, 0, context.canvas.width, context.canvas.height);
  const k = view.scale * ratio;
  context.setTransform(k, 0, 0, k, -view.x * k, -view.y * k);
  context.lineCap = "round";
  frames(pen);
  edges(pen);
  if (view.scale < WORDS) blocks(pen);
  else for (const i of pen.boxes) box(pen, i);
  emphasis(pen);
  context.globalAlpha = 1;
}

function visible(scene, [left, top, right, bottom], look) {
  const list = [];
  for (let i = 0; i < scene.count; i++) {
    if (!scene.alive[i] && !look.gone.has(i) && !look.before.has(i)) continue;
    if (scene.x[i] <= right && scene.x[i] + scene.w[i] >= left && scene.y[i] <= bottom && scene.y[i] + scene.h[i] >= top) list.push(i);
  }
  return list;
}

function frames({ context, scene, view, colours }) {
  const [left, top, right, bottom] = view.seen;
  for (const { x, y, w, h, text } of scene.frames) {
    if (x > right || x + w < left || y > bottom || y + h < top) continue;
    context.fillStyle = colours.fused.soft;
    context.strokeStyle = colours.fused.line;
    context.lineWidth = Math.max(1.25, 1 / view.scale);
    rounded(context, x, y, w, h, 10);
    context.globalAlpha = 0.5;
    context.fill();
    context.globalAlpha = 1;
    context.stroke();
    const size = Math.min(Math.max(13, 11 / view.scale), 28, (1.5 * w) / (text[0].length + 4));
    if (size * view.scale < 5) continue;
    context.fillStyle = colours.fused.ink;
    context.textBaseline = "middle";
    context.textAlign = "left";
    context.font = `600 ${size}px ${colours.mono}`;
    context.fillText(`▪ ${text[0]}`, x + 14, y + 24);
    const wide = context.measureText(`▪ ${text[0]}  `).width;
    context.font = `${size * 0.85}px ${colours.mono}`;
    if (view.scale > FULL && wide + context.measureText(text[1]).width + 20 < w) context.fillText(text[1], x + 14 + wide, y + 24);
  }
}

/** The way of an edge, without stroking it. From far its points are joined by lines. */
export function way(path, scene, e, curved = true) {
  const { points, start } = scene;
  let p = 2 * start[e];
  const end = 2 * start[e + 1];
  path.moveTo(points[p], points[p + 1]);
  for (p += 2; p < end; p += 2) {
    const [ax, ay, bx, by] = [points[p - 2], points[p - 1], points[p], points[p + 1]];
    if (!curved || ax === bx) path.lineTo(bx, by);
    else {
      const reach = by > ay ? Math.min((by - ay) / 2, 90) : 60;
      path.bezierCurveTo(ax, ay + reach, bx, by - reach, bx, by);
    }
  }
}

/** Whether any of an edge may be in a rectangle. */
function touches({ points, start }, e, [left, top, right, bottom]) {
  let [x0, y0, x1, y1] = [Infinity, Infinity, -Infinity, -Infinity];
  for (let p = 2 * start[e]; p < 2 * start[e + 1]; p += 2) {
    x0 = Math.min(x0, points[p]);
    x1 = Math.max(x1, points[p]);
    y0 = Math.min(y0, points[p + 1]);
    y1 = Math.max(y1, points[p + 1]);
  }
  return x0 <= right && x1 >= left && y0 <= bottom && y1 >= top;
}

function edges({ context, scene, view, look, colours }) {
  const near = view.scale >= WORDS;
  const groups = new Map();
  for (let e = 0; e < scene.from.length; e++) {
    if (!scene.edgeAlive[e] || !touches(scene, e, view.seen)) continue;
    const key = scene.phase[scene.to[e]] * 2 + scene.long[e];
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(e);
  }
  const dimmed = look.matches !== null || look.selected >= 0 ? 0.55 : 0.85;
  context.lineWidth = Math.max(1.2, 0.7 / view.scale);
  for (const [key, list] of groups) {
    const faint = Math.max(0.05, Math.min(FAINT, (FAINT * CROWD) / list.length));
    context.beginPath();
    for (const e of list) way(context, scene, e, near);
    context.strokeStyle = colours.phases[key >> 1].line;
    context.globalAlpha = dimmed * (key & 1 ? faint : near ? 1 : 0.6);
    context.setLineDash(near ? PHASES[key >> 1].dash : []);
    context.stroke();
  }
  context.setLineDash([]);
  context.globalAlpha = 1;
}

/** From far: boxes as blocks of colour, all of a phase at once. */
function blocks({ context, scene, look, colours, boxes, view }) {
  const least = 2 / view.scale;
  for (let phase = 0; phase < PHASES.length; phase++) {
    for (const dim of [true, false]) {
      context.beginPath();
      for (const i of boxes) {
        if (scene.phase[i] !== phase || !scene.alive[i] || dim !== (look.matches !== null && !look.matches.has(i))) continue;
        context.rect(scene.x[i], scene.y[i], Math.max(scene.w[i], least), Math.max(scene.h[i], least));
      }
      context.globalAlpha = dim ? 0.18 : 0.9;
      context.fillStyle = colours.phases[phase].line;
      context.fill();
    }
  }
  context.globalAlpha = 1;
}

function rounded(context, x, y, w, h, r) {
  context.beginPath();
  context.roundRect(x, y, w, h, r);
}

function box(pen, i) {
  const { context, scene, look, colours, view } = pen;
  const phase = lookOf(scene, i, colours);
  context.globalAlpha = alpha(scene, look, i);
  context.lineWidth = scene.result[i] || phase.collapsed ? 2.4 : 1.3;
  context.strokeStyle = phase.line;
  context.setLineDash(phase.dash);
  for (const away of phase.collapsed ? [4, 0] : [0]) {
    context.fillStyle = scene.leaf[i] && !phase.collapsed ? colours.panel : phase.soft;
    rounded(context, scene.x[i] + away, scene.y[i] + away, scene.w[i], scene.h[i], scene.leaf[i] && !phase.collapsed ? scene.h[i] / 2 : ROUND);
    context.fill();
    context.stroke();
  }
  context.setLineDash([]);
  if (view.scale < FULL) word(pen, i, phase);
  else text(pen, i, phase);
  context.globalAlpha = 1;
}

/** How a box looks: a kernel is gold, everything else has its phase's colour, dashes and symbol; what is collapsed looks like several boxes. */
export function lookOf(scene, i, colours) {
  const { dash, symbol } = PHASES[scene.phase[i]];
  const collapsed = scene.groups[i] !== null;
  return scene.fused[i] ? { ...colours.fused, dash: [], symbol: "▪", collapsed } : { ...colours.phases[scene.phase[i]], dash, symbol, collapsed };
}

function alpha(scene, look, i) {
  if (!scene.alive[i]) return look.gone.has(i) ? 0.75 * (1 - look.appear) + 0.25 * look.before.has(i) : 0.45;
  if (look.matches !== null && !look.matches.has(i)) return 0.25;
  return look.fresh.has(i) ? 0.2 + 0.8 * look.appear : 1;
}

/** One word, as large as the box allows. */
function word({ context, scene, colours: { mono } }, i, phase) {
  const { op } = scene.texts[i];
  const size = Math.min(24, (1.55 * scene.w[i]) / Math.max(3, op.length));
  context.font = `600 ${size}px ${mono}`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillStyle = phase.ink;
  context.fillText(op, scene.x[i] + scene.w[i] / 2, scene.y[i] + scene.h[i] / 2, scene.w[i] - 6);
}

function text({ context, scene, look, colours }, i, phase) {
  const { label, extra, note } = scene.texts[i];
  const [x, y] = [scene.x[i], scene.y[i]];
  const room = scene.w[i] - 30;
  context.textAlign = "left";
  context.textBaseline = "middle";
  context.font = `12px ${colours.mono}`;
  context.fillStyle = phase.ink;
  context.fillText(phase.symbol, x + 8, y + (note ? 13 : 19));
  context.font = `600 12.5px ${colours.mono}`;
  context.fillStyle = colours.ink;
  const wide = context.measureText(label).width;
  const line = y + (note ? 13 : 19);
  context.fillText(clipped(context, label, room), x + 22, line);
  if (extra && wide + 12 < room) {
    context.font = `12px ${colours.mono}`;
    context.fillStyle = colours.ink2;
    context.fillText(clipped(context, extra, room - wide - 7), x + 22 + wide + 7, line);
  }
  if (look.before.has(i)) {
    context.fillStyle = colours.ink2;
    context.fillRect(x + 20, line - 0.5, Math.min(room, wide) + 4, 1.4);
  }
  if (!note) return;
  context.font = `10.5px ${colours.mono}`;
  context.fillStyle = colours.ink3;
  context.fillText(clipped(context, note, room), x + 22, y + 28);
}

function clipped(context, words, room) {
  if (context.measureText(words).width <= room) return words;
  const letter = context.measureText("m").width;
  return `${words.slice(0, Math.max(1, Math.floor(room / letter) - 1))}…`;
}

/** What stands out: neighbours, the rewrite, matches, the pointer, the selection. */
function emphasis(pen) {
  const { scene, look, colours } = pen;
  const main = look.selected >= 0 ? look.selected : look.hovered;
  if (main >= 0) neighbours(pen, main);
  if (look.matches !== null) for (const i of look.matches) ring(pen, i, colours.strong, 2, [], 3);
  for (const i of look.before) badge(pen, i, colours.ink2, "−", [3, 3]);
  for (const i of look.after) if (scene.alive[i]) badge(pen, i, colours.good, "+", []);
  if (look.hovered >= 0 && look.hovered !== look.selected) ring(pen, look.hovered, colours.ink2, 1.5, [], 3);
  if (look.selected >= 0) ring(pen, look.selected, colours.focus, 2.5, [], 4);
}

function neighbours(pen, main) {
  const { context, scene, view, colours } = pen;
  const beside = new Set();
  for (let e = 0; e < scene.from.length; e++) {
    if (!scene.edgeAlive[e] || (scene.from[e] !== main && scene.to[e] !== main)) continue;
    const other = scene.from[e] === main ? scene.to[e] : scene.from[e];
    beside.add(other);
    context.beginPath();
    way(context, scene, e);
    context.lineWidth = Math.max(2.4, 1.8 / view.scale);
    context.strokeStyle = colours.phases[scene.phase[scene.to[e]]].ink;
    context.setLineDash(PHASES[scene.phase[scene.to[e]]].dash);
    context.stroke();
    context.setLineDash([]);
  }
  for (const i of beside) ring(pen, i, colours.phases[scene.phase[i]].ink, 1.8, [], 2);
}

function ring({ context, scene, view }, i, colour, width, dash, away) {
  const grow = Math.max(away, 2 / view.scale);
  rounded(context, scene.x[i] - grow, scene.y[i] - grow, scene.w[i] + 2 * grow, scene.h[i] + 2 * grow, ROUND + grow);
  context.lineWidth = Math.max(width, width / view.scale);
  context.strokeStyle = colour;
  context.setLineDash(dash.map((d) => d * Math.max(1, 1 / view.scale)));
  context.stroke();
  context.setLineDash([]);
}

function badge(pen, i, colour, sign, dash) {
  const { context, scene, view, colours } = pen;
  ring(pen, i, colour, 2.2, dash, 3);
  const size = Math.max(9, 7 / view.scale);
  const [x, y] = [scene.x[i] + scene.w[i], scene.y[i]];
  context.beginPath();
  context.arc(x, y, size, 0, 2 * Math.PI);
  context.fillStyle = colour;
  context.fill();
  context.font = `700 ${size * 1.6}px ${colours.mono}`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillStyle = colours.panel;
  context.fillText(sign, x, y + size * 0.08);
}
