// Which rules fired how often: a table that can be sorted, and whose rows choose a rule to follow.

import { many } from "./amounts.js";
import { el, replace } from "./dom.js";

/**
 * @param {{choose: (rule: string|null) => void}} on called with the rule of a row that was pressed, null where it was let go
 * @returns {{element: HTMLElement, show: (times: Map<string, number>, rules: object) => void, mark: (rule: string|null) => void}}
 */
export function makeTable({ choose }) {
  let sort = { by: "times", down: true };
  let rows = [];
  const buttons = new Map();
  const head = el("tr", {}, column("rule", "Rule"), column("times", "Times"));
  const body = el("tbody", {});
  const caption = el("caption", {});
  const element = el("table", { class: "rewrites-table" }, caption, el("thead", {}, head), body);

  function column(by, title) {
    const arrow = el("span", { class: "arrow", "aria-hidden": "true" });
    const button = el("button", { type: "button", class: "sort", onclick: () => order(by) }, title, arrow);
    const cell = el("th", { scope: "col", class: by }, button);
    buttons.set(by, { cell, arrow });
    return cell;
  }

  function order(by) {
    sort = { by, down: sort.by === by ? !sort.down : by === "times" };
    draw();
  }

  function draw() {
    const sign = sort.down ? -1 : 1;
    const byName = (a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
    rows.sort((a, b) => (sort.by === "times" ? sign * (a.times - b.times) || byName(a, b) : sign * byName(a, b)));
    for (const [by, { cell, arrow }] of buttons) {
      if (by === sort.by) cell.setAttribute("aria-sort", sort.down ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
      arrow.textContent = by !== sort.by ? "" : sort.down ? "▾" : "▴";
    }
    replace(body, rows.map(({ row }) => row));
  }

  return {
    element,
    show(times, rules) {
      const most = Math.max(1, ...times.values());
      const total = [...times.values()].reduce((sum, count) => sum + count, 0);
      caption.textContent = `${many(total, "rewrite")} by ${many(times.size, "rule")}`;
      rows = [...times].map(([name, count]) => {
        const press = () => choose(button.getAttribute("aria-pressed") === "true" ? null : name);
        const button = el("button", { type: "button", class: "rule", "aria-pressed": "false", title: rules[name]?.text ?? "", onclick: press }, name);
        const bar = el("span", { class: "bar", "aria-hidden": "true" });
        bar.style.setProperty("--part", count / most);
        return { name, times: count, button, row: el("tr", {}, el("td", {}, button), el("td", { class: "times" }, bar, count.toLocaleString("en"))) };
      });
      draw();
    },
    mark(rule) {
      for (const { name, button } of rows) button.setAttribute("aria-pressed", String(name === rule));
    },
  };
}
