// The page's state: one object, changed by patches; whoever depends on some of its keys is told once a change.

/**
 * A store. `on(keys, run)` calls `run(state, changed)` after a patch that changes one of the keys; `changed` is the set of keys that did.
 * @param {object} state the first state; it is replaced, never mutated
 */
export function makeStore(state) {
  const watchers = new Set();
  let queue = null;

  function deliver() {
    while (queue.length > 0) {
      const changed = queue.shift();
      for (const watcher of [...watchers]) {
        if (watcher.keys.some((key) => changed.has(key))) tell(watcher, changed);
      }
    }
    queue = null;
  }

  /** What one watcher throws is reported, and keeps nothing from the others. */
  function tell(watcher, changed) {
    try {
      watcher.run(state, changed);
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  }

  return {
    /** The state as it is. Not to be changed: use `set`. */
    get state() {
      return state;
    },
    /** Change some keys. Patches that watchers make are delivered after this one. */
    set(patch) {
      const changed = new Set(Object.keys(patch).filter((key) => !Object.is(state[key], patch[key])));
      if (changed.size === 0) return;
      state = Object.freeze({ ...state, ...patch });
      if (queue !== null) {
        queue.push(changed);
        return;
      }
      queue = [changed];
      deliver();
    },
    /** Watch some keys; returns what ends it. */
    on(keys, run) {
      const watcher = { keys, run };
      watchers.add(watcher);
      return () => watchers.delete(watcher);
    },
  };
}
