// Light and dark: what the system likes until the user chooses, then that.

import { keep, recall } from "./memory.js";

/** The theme the page starts with; `page/theme.js` has put it on the root already. */
export function currentTheme() {
  return document.documentElement.dataset.theme === "dark" ? "dark" : "light";
}

/** Keeps the root, the state and the system together. Returns what switches. */
export function followTheme(store) {
  store.on(["theme"], ({ theme }) => (document.documentElement.dataset.theme = theme));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", ({ matches }) => {
    if (recall("theme") === null) store.set({ theme: matches ? "dark" : "light" });
  });
  return () => {
    const theme = store.state.theme === "dark" ? "light" : "dark";
    keep("theme", theme);
    store.set({ theme });
  };
}
