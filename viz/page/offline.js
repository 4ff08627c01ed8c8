// Lets the page open without a network after the first visit, by way of viz/service-worker.js.

/**
 * Registers the service worker where it is of use: on a host, not on `anneal viz`, which is there whenever its page is.
 * To be called once the page stands, for the worker then fetches the whole site (a browser that has just fetched it asks only whether it changed).
 *
 * @param {() => void} updated called when a newer version was fetched for another tab, so this page is of an older one
 * @returns {Promise<boolean>} whether it is registered; without it everything works but for opening the page offline
 */
export async function register(updated = () => undefined) {
  const workers = navigator.serviceWorker; // undefined where the address is not secure
  if (!workers) return false;
  try {
    const manifest = await fetch(new URL("../manifest.json", import.meta.url), { cache: "no-cache" });
    if (!manifest.ok || manifest.headers.get("server") === "anneal") return false;
    workers.addEventListener("message", ({ data }) => {
      if (data?.updated) updated();
    });
    await workers.register(new URL("../service-worker.js", import.meta.url), { updateViaCache: "none" });
    return true;
  } catch {
    return false;
  }
}
