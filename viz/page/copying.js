// Text to the clipboard.

/**
 * Copies a text, and says so, or that the browser does not allow it.
 * @param {(text: string, options: object) => void} notice
 * @param {string} said what is said where it is copied
 */
export async function copyText(text, said, notice) {
  try {
    await navigator.clipboard.writeText(text);
    notice(said, { key: "copied" });
  } catch {
    notice("The browser does not let this page copy. Select the text and copy it by hand.", { kind: "error", key: "copied" });
  }
}
