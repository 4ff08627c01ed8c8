// Numbers with units, as the panes write them.

const STEPS = ["", "k", "M", "G", "T"];

/** A count in at most four digits: `1,437`, `12.3 k`, `4.7 M`. A size that is an expression in symbols stays text. */
export function count(value) {
  if (typeof value !== "number") return String(value);
  if (value < 10_000) return value.toLocaleString("en");
  const step = Math.min(Math.floor(Math.log10(value) / 3), STEPS.length - 1);
  return `${digits(value / 1000 ** step)} ${STEPS[step]}`;
}

/** Bytes: `512 B`, `8.19 kB`. */
export function bytes(value) {
  if (typeof value !== "number") return `${value} B`;
  if (value < 1000) return `${value} B`;
  const step = Math.min(Math.floor(Math.log10(value) / 3), STEPS.length - 1);
  return `${digits(value / 1000 ** step)} ${STEPS[step]}B`;
}

/** Seconds: `18.2 µs`, `1.04 ms`, `2.1 s`. */
export function seconds(value) {
  if (value >= 1) return `${digits(value)} s`;
  if (value >= 1e-3) return `${digits(value * 1e3)} ms`;
  return `${digits(value * 1e6)} µs`;
}

function digits(value) {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** A shape as Python has it: `(64, 10)`, `(3,)`, `()`. */
export function shape(dims) {
  return `(${dims.join(", ")}${dims.length === 1 ? "," : ""})`;
}

/** An element: a number in at most seven digits, or a word such as NaN. */
export function element(value) {
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value)) return String(value);
  const size = Math.abs(value);
  return size >= 1e-3 && size < 1e6 ? String(Number(value.toPrecision(5))) : value.toExponential(3);
}

/** A number in three digits, for where there is little room. */
export function short(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  return size >= 1e4 || size < 1e-3 ? value.toExponential(1) : String(Number(value.toPrecision(3)));
}

/** A part of all: `97.2%`. */
export function percent(part) {
  return `${Number((100 * part).toFixed(1))}%`;
}

/** How many there are of something: `1 kernel`, `7 kernels`; `more` is the plural of a word that needs one of its own. */
export function many(number, word, more = `${word}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? word : more}`;
}
