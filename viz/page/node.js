import { el } from "./dom.js";

/** Mounts the pane. */
export function mount(element) {
  element.append(el("p", { class: "empty" }, "This pane is being made."));
}
