// What is known of a node, asked for once however many want to know it.

import { graphStage } from "./stages.js";

const last = new WeakMap();

/**
 * The answer to `node` for a node of the stage that is shown; its rows are told. Rejects with a Failure where the stage has no such node.
 * @param {{store: object, compiler: object, nodes: object}} context
 */
export function describe({ store, compiler, nodes }) {
  const { node, stage, opened, compiled } = store.state;
  const asked = { node, stage, opened, compiled };
  const before = last.get(compiler);
  if (before !== undefined && Object.keys(asked).every((key) => before.asked[key] === asked[key])) return before.answer;
  const answer = compiler.request("node", { id: node, stage: graphStage(stage) }).then((doc) => {
    nodes.tell(doc.rows); // also when it is late: they come once
    return doc;
  });
  last.set(compiler, { asked, answer });
  answer.catch(() => last.get(compiler).answer === answer && last.delete(compiler));
  return answer;
}
