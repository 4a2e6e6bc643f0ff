// How figures and states are written. What is not known is a dash, never a 0.

export const UNKNOWN = "–";

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

const isKnown = (value) => value !== null && value !== undefined;

// A count.
export function count(value) {
  if (!isKnown(value)) return UNKNOWN;
  return Math.abs(value) < 100_000 ? whole.format(value) : short.format(value);
}

// A figure per second: one decimal where it is small.
export function rate(value) {
  if (!isKnown(value)) return UNKNOWN;
  if (value > 0 && value < 10) return tenth.format(value);
  return count(value);
}

export function percent(value) {
  return isKnown(value) ? `${tenth.format(value * 100)} %` : UNKNOWN;
}

export function bytes(value) {
  if (!isKnown(value)) return UNKNOWN;
  const units = ["B", "KiB", "MiB", "GiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${tenth.format(value)} ${units[unit]}`;
}

// A time span: the two largest units.
export function span(seconds) {
  if (!isKnown(seconds)) return UNKNOWN;
  if (seconds < 10) return `${tenth.format(seconds)} s`;
  const parts = [["d", 86_400], ["h", 3_600], ["min", 60], ["s", 1]];
  let left = Math.round(seconds);
  const words = [];
  for (const [unit, size] of parts) {
    const units = Math.floor(left / size);
    left -= units * size;
    if (units > 0) words.push(`${units} ${unit}`);
  }
  return words.slice(0, 2).join(" ");
}

// A word of a command line. Names come from outside, and a shell must take each as one word.
export function word(name) {
  return /^[\w.:@%+=/][\w.:@%+=/-]*$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`;
}

// How long ago a time was, by the node's own clock.
export function ago(time, asOf) {
  if (!time || !asOf) return UNKNOWN;
  return `${span(Math.max(0, (Date.parse(asOf) - Date.parse(time)) / 1000))} ago`;
}

// States by word and by shape; their colour only repeats it.
const STATES = {
  running: ["●", "ok"],
  busy: ["▶", "ok"],
  ready: ["●", "ok"],
  up: ["●", "ok"],
  closed: ["●", "ok"],
  starting: ["○", "warn"],
  draining: ["▼", "warn"],
  troubled: ["▲", "warn"],
  stalled: ["■", "bad"],
  stopped: ["✕", "bad"],
  down: ["✕", "bad"],
  open: ["■", "bad"],
  "not ready": ["✕", "bad"],
  unknown: ["?", "dim"],
};

export const shape = (state) => (STATES[state] ?? STATES.unknown)[0];
export const tone = (state) => (STATES[state] ?? STATES.unknown)[1];

// An element with text, never with markup: names come from outside.
export function element(tag, text, attributes = {}) {
  const made = document.createElement(tag);
  if (text !== null && text !== undefined) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

// Writes only what has changed.
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
