// Lays graphs out beside the page, so that the page never waits for it. `{ticket, graph}` in, `{ticket, laid}` or `{ticket, failed}` out.

import { layout } from "./page/layout.js";

self.onmessage = ({ data: { ticket, graph } }) => {
  try {
    const laid = layout(graph);
    const { x, y, layer, start, points, long, frames } = laid;
    self.postMessage({ ticket, laid }, [x, y, layer, start, points, long, frames].map((array) => array.buffer));
  } catch (error) {
    self.postMessage({ ticket, failed: String(error) });
  }
};
