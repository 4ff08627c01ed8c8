// The keyboard: one table of keys, which help shows and one listener follows.

import { keep, recall } from "./memory.js";

const TYPED = "input:not([type=range],[type=checkbox],[type=radio],[type=button]), textarea, select, [contenteditable=true], .code";

/**
 * The page's keys.
 * @returns {{add: (binding: {key: string|null, shown?: string, group: string, text: string, run?: (event: KeyboardEvent) => void, when?: () => boolean}) => void,
 *   list: () => object[], single: boolean}} `key` as KeyboardEvent.key has it, "Mod+" before it for Ctrl or Cmd; null for a key that is only listed
 */
export function makeKeys() {
  const bindings = [];
  let single = recall("keys", true) !== false;

  function pressed(event) {
    if (event.defaultPrevented || event.isComposing || document.querySelector("dialog[open]")) return;
    const chord = `${event.ctrlKey || event.metaKey ? "Mod+" : ""}${event.key}`;
    const plain = !chord.startsWith("Mod+");
    if (event.altKey || (plain && event.key !== "Escape" && (!single || typing(event)))) return;
    const binding = bindings.find(({ key, when }) => key === chord && (when?.() ?? true));
    if (binding === undefined) return;
    event.preventDefault();
    binding.run(event);
  }

  addEventListener("keydown", pressed);
  return {
    add: (binding) => void bindings.push(binding),
    list: () => [...bindings],
    /** Whether keys without Ctrl or Cmd do anything: who speaks to the computer switches them off. Escape always works. */
    get single() {
      return single;
    },
    set single(value) {
      single = value;
      keep("keys", value);
    },
  };
}

/** Whether the keys of an event are text: the focus, also the one inside a shadow root's host, is where text is written. */
function typing(event) {
  return event.composedPath().some((node) => node instanceof Element && node.matches(TYPED));
}

/** What a key is called on this machine. */
export function keyName(key) {
  const mod = /Mac|iP(ad|hone)/u.test(navigator.userAgent) ? "⌘" : "Ctrl";
  const names = { Escape: "Esc", ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", " ": "Space" };
  return key.replace("Mod+", `${mod} `).replace(/(\w+)$/u, (word) => names[word] ?? word);
}
