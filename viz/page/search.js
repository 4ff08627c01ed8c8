// The search above the graph: what is found is marked, the rest dimmed; Enter goes from one to the next.

import { el } from "./dom.js";
import { graphStage } from "./stages.js";

const PAUSE = 160; // milliseconds without typing after which is searched
const HINT = "Words, or op:mul, dtype:float32, shape:64,10, name:w, module:hidden, phase:backward, rule:add_zero";

/** The search box. `again()` marks what was found in another scene. */
export function makeSearch(pane, { store, compiler, nodes }) {
  const field = el("input", { type: "search", class: "input", placeholder: "Search", "aria-label": "Search the graph", title: `${HINT} (/)`, autocomplete: "off", spellcheck: "false" });
  const said = el("output", { class: "graph-found", role: "status" });
  const go = (label, sign, by) => el("button", { type: "button", class: "button quiet", "aria-label": label, title: label, disabled: true, onclick: () => move(by) }, sign);
  const back = go("Previous match (Shift Enter)", "↑", -1);
  const on = go("Next match (Enter)", "↓", 1);
  let timer = 0;
  let turn = 0;
  let ids = null; // what was found, null while nothing is searched
  let asked = ""; // of which stage and with which words
  let program = null; // of which program
  let boxes = [];
  let at = -1;

  const wanted = () => {
    const { stage } = store.state;
    return { stage: graphStage(stage), query: field.value.trim() };
  };
  const known = ({ stage, query }) => asked === `${stage} ${query}` && program === store.state.opened;

  async function find() {
    clearTimeout(timer);
    const mine = ++turn;
    const { stage, query } = wanted();
    asked = `${stage} ${query}`;
    program = store.state.opened;
    let problem = "";
    if (query === "") ids = null;
    else {
      try {
        const answer = await compiler.request("find", { stage, query });
        nodes.tell(answer.rows ?? []); // also when it is late: they come once
        if (mine !== turn) return;
        ids = answer.ids;
      } catch (error) {
        if (mine !== turn || error.kind === "Stopped") return;
        ids = [];
        problem = error.message;
      }
    }
    at = -1;
    mark(problem);
  }

  function mark(problem = "") {
    const { scene, look } = pane;
    if (scene === null) return;
    boxes = [...new Set((ids ?? []).flatMap((id) => scene.holders.get(id) ?? []))].sort((a, b) => scene.y[a] - scene.y[b] || scene.x[a] - scene.x[b]);
    look.matches = ids === null ? null : new Set(boxes);
    said.textContent = ids === null ? "" : problem || (boxes.length === 0 ? "none" : at < 0 ? `${boxes.length} found` : `${at + 1} of ${boxes.length}`);
    said.title = problem;
    said.classList.toggle("graph-problem", problem !== "");
    back.disabled = on.disabled = boxes.length === 0;
    pane.paint();
  }

  function move(by) {
    if (boxes.length === 0) return;
    at = at < 0 ? (by > 0 ? 0 : boxes.length - 1) : (at + by + boxes.length) % boxes.length;
    pane.select(boxes[at]);
    pane.middle(boxes[at]);
    mark();
  }

  field.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(find, PAUSE);
  });
  field.addEventListener("keydown", async (event) => {
    if (event.key === "Escape") {
      field.value = "";
      find();
      pane.canvas.focus();
    } else if (event.key === "Enter") {
      if (!known(wanted())) await find();
      move(event.shiftKey ? -1 : 1);
    } else return;
    event.preventDefault();
  });
  return {
    element: el("div", { class: "graph-search", role: "search" }, field, said, back, on),
    again() {
      if (field.value.trim() !== "" && !known(wanted())) find();
      else if (ids !== null) {
        at = Math.min(at, boxes.length - 1);
        mark();
      }
    },
  };
}
