// The graph as a picture to keep: SVG as text, PNG as a file. All of it, in the colours of the page.

import { svg } from "./dom.js";
import { draw, lookOf, way } from "./draw.js";
import { PHASES } from "./nodes.js";

const MARGIN = 24;
const SHARP = 2; // pixels of a PNG for one of the picture
const MOST = 8192; // pixels of a PNG's longer side
const AREA = 48e6; // pixels of a PNG
const FORBIDDEN = /(?![\t\n\r])\p{Cc}|[\u{FFFE}\u{FFFF}]/gu; // that a name may hold and XML may not

function bordered(scene) {
  const [left, top, right, bottom] = scene.bounds();
  return [left - MARGIN, top - MARGIN, right + MARGIN, bottom + MARGIN];
}

/** The picture as SVG. */
export function svgOf(scene, colours) {
  if (scene === null) throw new Error("there is no graph yet");
  const [left, top, right, bottom] = bordered(scene);
  const [w, h] = [right - left, bottom - top].map(Math.ceil);
  const root = svg("svg", { width: w, height: h, viewBox: `${Math.floor(left)} ${Math.floor(top)} ${w} ${h}`, "font-family": colours.mono });
  root.append(svg("rect", { x: left, y: top, width: w, height: h, fill: colours.paper }));
  for (const frame of scene.frames) root.append(frameOf(frame, colours));
  for (let e = 0; e < scene.from.length; e++) if (scene.edgeAlive[e]) root.append(edgeOf(scene, e, colours));
  for (let i = 0; i < scene.count; i++) if (scene.alive[i]) root.append(boxOf(scene, i, colours));
  return new XMLSerializer().serializeToString(root).replace(FORBIDDEN, "\u{FFFD}");
}

function frameOf({ x, y, w, h, text }, { fused }) {
  return svg(
    "g",
    {},
    svg("rect", { x, y, width: w, height: h, rx: 10, fill: fused.soft, stroke: fused.line, "stroke-width": 1.25 }),
    svg("text", { x: x + 14, y: y + 24, fill: fused.ink, "font-size": 13, "font-weight": 600 }, `▪ ${text[0]}`),
  );
}

function edgeOf(scene, e, { phases }) {
  const parts = [];
  const number = (value) => Math.round(value * 10) / 10;
  const say = (letter) => (...values) => parts.push(letter + values.map(number).join(" "));
  way({ moveTo: say("M"), lineTo: say("L"), bezierCurveTo: say("C") }, scene, e);
  const phase = scene.phase[scene.to[e]];
  const dash = PHASES[phase].dash.join(" ") || null;
  return svg("path", { d: parts.join(""), fill: "none", stroke: phases[phase].line, "stroke-width": 1.2, "stroke-dasharray": dash, opacity: scene.long[e] ? 0.3 : 0.85 });
}

function boxOf(scene, i, colours) {
  const { panel, ink, ink2, ink3 } = colours;
  const [x, y, width, height] = [scene.x[i], scene.y[i], scene.w[i], scene.h[i]];
  const look = lookOf(scene, i, colours);
  const { label, extra, note } = scene.texts[i];
  const line = y + (note ? 17 : 23);
  const leaf = scene.leaf[i] && !look.collapsed;
  const frame = { width, height, rx: leaf ? height / 2 : 6, fill: leaf ? panel : look.soft, stroke: look.line, "stroke-dasharray": look.dash.join(" ") || null };
  return svg(
    "g",
    { "stroke-width": scene.result[i] || look.collapsed ? 2.4 : 1.3 },
    (look.collapsed ? [4, 0] : [0]).map((away) => svg("rect", { x: x + away, y: y + away, ...frame })),
    svg("text", { x: x + 8, y: line, fill: look.ink, "font-size": 12 }, look.symbol),
    svg("text", { x: x + 22, y: line, fill: ink, "font-size": 12.5 }, svg("tspan", { "font-weight": 600 }, label), extra && svg("tspan", { fill: ink2, dx: 7 }, extra)),
    note && svg("text", { x: x + 22, y: y + 31, fill: ink3, "font-size": 10.5 }, note),
  );
}

/** The picture as a PNG, as sharp as its size allows. */
export function pngOf(scene, colours) {
  if (scene === null) throw new Error("there is no graph yet");
  const seen = bordered(scene);
  const [w, h] = [seen[2] - seen[0], seen[3] - seen[1]];
  const scale = Math.min(SHARP, MOST / Math.max(w, h), Math.sqrt(AREA / (w * h)));
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: Math.max(1, Math.round(w * scale)), height: Math.max(1, Math.round(h * scale)) });
  const nobody = new Set();
  const look = { colours, selected: -1, hovered: -1, matches: null, before: nobody, after: nobody, fresh: nobody, gone: nobody, appear: 1 };
  draw(canvas.getContext("2d"), scene, { scale, x: seen[0], y: seen[1], seen }, look, 1);
  return new Promise((resolve, reject) => canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("the picture is too large for this browser"))), "image/png"));
}
