// The training as the page knows it: what the worker tells while it goes on, and what can be asked of it.

const SHOWN = 20; // held-out rows

/** Before anything is trained. `losses` and `scores` are pairs of step and value. */
function nothing() {
  return { state: "none", model: "", done: 0, target: 0, lr: null, losses: [], scores: [], facts: null, kernels: null, error: null };
}

/**
 * The training of a tab.
 * @param {object} compiler answers requests, and tells events `train`
 * @param {() => void} changed called when something is to be drawn anew
 */
export function makeTraining(compiler, changed) {
  let known = nothing();
  let guesses = null; // the answer of `predict`, or {message}
  let running = false;
  let guessing = false;
  let wanted = false; // how the last guesses are wanted

  compiler.on("restarted", () => {
    known = nothing();
    guesses = null;
    changed();
  });
  compiler.on("train", (told) => {
    take(told);
    changed(told.accuracy !== null);
  });

  function take(told) {
    if (told.state === "compiling" || told.state === "none") {
      known = nothing();
      guesses = null;
    }
    const first = told.done - told.losses.length + 1;
    told.losses.forEach((value, at) => known.losses.push([first + at, value]));
    if (told.accuracy !== null) known.scores.push([told.done, told.accuracy]);
    const { losses, scores, facts, kernels } = known;
    known = { ...known, ...told, losses, scores, facts: told.facts ?? facts, kernels: told.kernels ?? kernels };
  }

  async function start(params) {
    running = true;
    known.error = null;
    changed();
    try {
      take(await compiler.request("train", params));
    } catch (failure) {
      const ended = failure.kind === "Stopped"; // the worker was ended, and all in it
      known = { ...(ended ? nothing() : known), state: ended ? "none" : "failed", error: failure.message };
    }
    running = false;
    changed(true);
  }

  async function ask(params) {
    try {
      const told = await compiler.request("train_set", params);
      if (told.lr !== null) known.lr = told.lr;
      if (told.state === "none") take(told);
    } catch (failure) {
      known.error = failure.message;
    }
    changed();
  }

  /** What the network says of held-out rows by now; `wrong` leaves out those that it is right about. */
  async function guess(wrong) {
    wanted = wrong;
    if (guessing || known.done === 0) return;
    guessing = true;
    let asked;
    do {
      asked = wanted;
      try {
        guesses = await compiler.request("predict", { count: SHOWN, wrong: asked });
      } catch (failure) {
        guesses = failure.kind === "Stopped" ? null : { message: failure.message };
      }
    } while (asked !== wanted && guesses?.message === undefined);
    guessing = false;
    changed();
  }

  return {
    start,
    guess,
    stop: () => ask({ stop: true }),
    reset: () => ask({ reset: true }),
    /** Another rate, which holds from the next step on. */
    rate: (lr) => (known.state === "none" || known.state === "failed" ? null : ask({ lr })),
    get known() {
      return known;
    },
    get guesses() {
      return guesses;
    },
    get running() {
      return running;
    },
  };
}
