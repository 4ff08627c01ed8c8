/**
 * Sets the theme before anything is drawn: what was chosen, else what the system likes.
 *
 * A classic script of the head (a module would run after the first paint). `page/main.js` goes on from `data-theme`.
 */
(() => {
  let chosen = null;
  try {
    chosen = JSON.parse(localStorage.getItem("anneal.theme"));
  } catch {
    // Storage is forbidden or holds something else: the theme of the system.
  }
  const dark = chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "dark" : "light";
})();
