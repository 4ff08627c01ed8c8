// What the graph marks for a rewrite: the node that matched, and what the rule made.

/** The nodes to mark for a step of a film. */
export function marksOf({ before, after, at, add = [], is = [] }) {
  const now = is.find(([slot]) => slot === at)?.[1];
  const made = [after, now, ...add.map(([, id]) => id)].filter((id) => id !== null && id !== undefined);
  return { before: before === null ? [] : [before], after: [...new Set(made)] };
}

/**
 * @param {{store: object}} context
 * @param {object} films as `filmsOf` gives them
 */
export function makeMarks({ store }, films) {
  let mine = null; // the highlight that was set here last

  return {
    /** Mark the rewrite at a place of a track; where there is none, what was marked here is let go. */
    async show(found) {
      const { compiled, stage } = store.state;
      if (found === null || found.begins) {
        if (mine !== null && store.state.highlight === mine) store.set({ highlight: null });
        mine = null;
        return;
      }
      let wanted;
      try {
        wanted = marksOf((await films.scene(stage, found.scene)).steps[found.step - 1]);
      } catch {
        return; // the graph says what is wrong
      }
      const now = store.state;
      const there = (now.scene ?? 0) === found.scene && now.step === found.step && now.pane === "rewrites";
      if (!there || now.compiled !== compiled || now.stage !== stage || alike(wanted, now.highlight)) return;
      mine = wanted;
      store.set({ highlight: wanted });
    },
  };
}

function alike(a, b) {
  return b !== null && String(a.before) === String(b.before) && String(a.after) === String(b.after);
}
