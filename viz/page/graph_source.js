// What the graph pane shows for a state of the page: which scene, at which step, and how its boxes are grouped. Answers and layouts are kept.

import { many } from "./amounts.js";
import { Film, still } from "./film.js";
import { plan, Scene } from "./graph_scene.js";
import { makeLayouts } from "./layouts.js";
import { filmsOf } from "./rewrites_films.js";
import { graphStage, PROGRAM } from "./stages.js";

const MANY = 1500; // drawn nodes from which kernels start collapsed
const KEPT = 24; // laid-out scenes

/** The step at which a stage ends in a scene. */
function endOf(scene, stage) {
  const at = PROGRAM.indexOf(stage);
  if (at < 0) return scene.steps.length;
  return scene.steps.findLastIndex((step) => PROGRAM.indexOf(step.stage) <= at) + 1;
}

/**
 * @param {object} context store, compiler and nodes of the page
 * @param {(text: string, small: boolean) => number} measure width of text in pixels
 */
export function makeSource(context, measure) {
  const { compiler, nodes } = context;
  const films = filmsOf(context);
  const layouts = makeLayouts();
  let answers = new Map();
  let scenes = new Map();
  let collapsed = new Set();
  let decided = new Set();

  function asked(kind, params) {
    const mine = answers;
    const key = `${kind} ${JSON.stringify(params)}`;
    if (!mine.has(key)) {
      const answer = compiler.request(kind, params).then((told) => {
        nodes.tell(told.rows ?? []);
        return told;
      });
      mine.set(key, answer);
      answer.catch(() => mine.delete(key));
    }
    return mine.get(key);
  }

  /** The scene's film and what names its groups; which step. */
  async function chosen({ stage, scene, step, compiled }) {
    const drawn = graphStage(stage);
    const whole = PROGRAM.includes(drawn);
    if (compiled !== null && (whole || scene !== null)) {
      const told = await films.scene(drawn, whole ? 0 : scene);
      return { key: `${told.film} ${told.scene}`, scene: told, step: step ?? endOf(told, drawn), group: null, names: [] };
    }
    const told = await asked("graph", { stage: drawn });
    const key = `graph ${drawn} ${told.graphs.length}`;
    const made = still(told.graphs, nodes);
    return { key, scene: made.scene, step: 0, group: told.graphs[0]?.kernel === null ? null : made.group, names: told.graphs, modules: told.modules };
  }

  function grouping({ group, names }, modules, closed) {
    return {
      groupOf: (slot, row) => (group ? `kernel ${group[slot]}` : moduleGroup(row, closed)),
      cluster: group ? (slot) => group[slot] : null,
      clusters: names.length,
      titles: (name, count) => titleOf(name, count, names, modules),
    };
  }

  /** Many boxes: kernels begin as one box each. */
  function decide(choice, folded) {
    if (decided.has(choice.key) || !choice.group) return;
    decided.add(choice.key);
    const drawn = choice.scene.start.slots.filter(([, id]) => !folded || (nodes.get(id).flags & 3) === 0).length;
    if (drawn > MANY) choice.names.forEach((_, i) => collapsed.add(`kernel ${i}`));
  }

  return {
    /** The scene for a state, laid out, at its step; null where there is no program yet. */
    async scene(state) {
      if (state.opened === null) return null;
      const mine = scenes;
      const choice = await chosen(state);
      decide(choice, state.folded);
      const key = `${choice.key} ${state.folded} ${[...collapsed].sort().join(" ")}`;
      if (!mine.has(key)) {
        const made = build(choice, state);
        mine.set(key, made);
        made.catch(() => mine.delete(key));
        if (mine.size > KEPT) mine.delete(mine.keys().next().value);
      }
      return { scene: await mine.get(key), step: choice.step };
    },
    /** Collapse a group, or open it; null opens all. */
    toggle(group) {
      if (group === null) collapsed.clear();
      else if (!collapsed.delete(group)) collapsed.add(group);
    },
    collapsed: () => collapsed,
    /** Another program, or the same compiled: nothing known before holds. */
    reset() {
      answers = new Map();
      scenes = new Map();
      collapsed = new Set();
      decided = new Set();
    },
  };

  async function build(choice, { folded }) {
    const closed = new Set(collapsed);
    const film = new Film(choice.scene);
    const modules = choice.modules ?? (await asked("graph", { stage: "tensor" })).modules;
    const how = { ...grouping(choice, modules, closed), folded, collapsed: closed, measure };
    const planned = plan(film, nodes, how);
    const began = performance.now();
    const laid = await layouts.lay(planned.graph);
    const scene = new Scene(film, nodes, how, planned, laid);
    scene.took = performance.now() - began;
    return scene;
  }
}

/** What a node of a module collapses into: its outermost collapsed module, by phase so that no box is above and below another. */
function moduleGroup(row, collapsed) {
  if (!row?.module) return null;
  const parts = row.module.split(".");
  for (let i = 1; i < parts.length; i++) {
    const outer = `module ${row.phase} ${parts.slice(0, i).join(".")}`;
    if (collapsed.has(outer)) return outer;
  }
  return `module ${row.phase} ${row.module}`;
}

/** What is written on a group's box or frame: a title and a note. */
function titleOf(group, count, names, modules) {
  const nodesText = many(count, "node");
  const kernel = /^kernel (\d+)$/u.exec(group);
  if (kernel) {
    const { name, phases } = names[Number(kernel[1])];
    return [name, [nodesText, ...phases].join(" · ")];
  }
  const [, phase, path] = /^module (\d) (.*)$/su.exec(group);
  return [modules?.[path] ? `${path}: ${modules[path]}` : path, `${["forward", "backward", "update"][phase]} · ${nodesText}`];
}
