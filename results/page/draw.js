// Elements, numbers in words, and what all drawings share.

function make(namespace, tag, attributes, children) {
  const element = namespace ? document.createElementNS(namespace, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  // Text only ever enters the page as text, so names of arms cannot carry markup.
  element.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}
const h = (tag, attributes, ...children) => make(null, tag, attributes, children);
const s = (tag, attributes, ...children) => make("http://www.w3.org/2000/svg", tag, attributes, children);
const hidden = (text) => h("span", { class: "hidden" }, text);

const MINUS = "\u2212";
const NOTHING = "–";

// A number of 0 or more as Python's format writes it: toFixed rounds a double that lies exactly halfway up, Python to
// the even digit. Only odd multiples of 2^-(digits + 1) lie there.
function rounded(value, digits) {
  const text = value.toFixed(digits);
  const halfway = Math.abs((value * 2 ** (digits + 1)) % 2) === 1;
  if (!halfway || Number(text.at(-1)) % 2 === 0) return text;
  return ((Number(text.replace(".", "")) - 1) / 10 ** digits).toFixed(digits);
}

// Zero has no minus, as in the leaderboard's text.
function fixed(value, digits, sign = false) {
  if (value === null || value === undefined) return NOTHING;
  const text = rounded(Math.abs(value), digits);
  if (Number(text) === 0) return (sign ? "+" : "") + text;
  return (value < 0 ? MINUS : sign ? "+" : "") + text;
}
const digitsOf = (metric) => (/^(regret|selected)/.test(metric) ? 2 : 3);
const lowerIsBetter = (metric) => /^(regret|br@)/.test(metric);
const range = (low, high, digits, sign = false) =>
  low === null || low === undefined ? "" : `[${fixed(low, digits, sign)}, ${fixed(high, digits, sign)}]`;
// As results/inference/verdicts.py writes it: two digits of the exponent at least.
const pWords = (p) => (p >= 0.001 ? rounded(p, 3) : p.toExponential(1).replace(/\d$/, (last, at, text) => (/\d/.test(text[at - 1]) ? last : `0${last}`)));
const percent = (share, digits = 0) => (share === null ? NOTHING : `${fixed(100 * share, digits)}%`);
const whole = (value) => (value === null || value === undefined ? NOTHING : value.toLocaleString("en-US"));
const seconds = (value) =>
  value === null || value === undefined ? NOTHING : value >= 1000 ? whole(Math.round(value)) : value.toFixed(1);

// 4.997e10 as "49.97 G".
function si(value) {
  if (value === null || value === undefined) return NOTHING;
  const step = Math.min(6, Math.max(0, Math.floor(Math.log10(Math.max(1, Math.abs(value))) / 3)));
  if (Math.abs(value) < 1e5) return whole(Number(value.toPrecision(5)));
  return `${(value / 1000 ** step).toPrecision(4)}\u202f${["", "k", "M", "G", "T", "P", "E"][step]}`;
}
const budgetWords = ([kind, limit]) =>
  kind === "flops" ? `${si(limit).replace(/\.?0+(?=\s)/u, "")}FLOPs` : `${whole(limit)} ${kind}`;
const phaseWords = (phase) => phase.replaceAll("_", "-");

const colour = (index) => `var(--series-${index % 8})`;

// Round values that cover low to high, about so many.
function ticks(low, high, about) {
  const rough = (high - low || 1) / about;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) found.push(i * step);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return found.map((value) => ({ value, text: fixed(value, digits) }));
}

// Axes of a chart with a light grid; gives the drawing and the scales.
function axes({ width, height, x, y, label }) {
  const box = { left: 48, right: width - 10, top: 10, bottom: height - 40 };
  const scale = ([low, high], from, to) => (value) => from + ((value - low) / (high - low || 1)) * (to - from);
  const toX = scale(x.domain, box.left, box.right);
  const toY = scale(y.domain, box.bottom, box.top);
  const grid = [
    ...ticks(...y.domain, 5).map(({ value, text }) => [
      s("line", { class: "grid", x1: box.left, x2: box.right, y1: toY(value), y2: toY(value) }),
      s("text", { class: "tick", x: box.left - 8, y: toY(value) + 4, "text-anchor": "end" }, text),
    ]),
    ...ticks(...x.domain, Math.max(4, Math.floor(width / 80))).map(({ value, text }) => [
      s("line", { class: "mark", x1: toX(value), x2: toX(value), y1: box.bottom, y2: box.bottom + 4 }),
      s("text", { class: "tick", x: toX(value), y: box.bottom + 18, "text-anchor": "middle" }, text),
    ]),
    s("line", { class: "mark", x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom }),
    s("text", { class: "axis", x: (box.left + box.right) / 2, y: height - 4, "text-anchor": "middle" }, x.label),
    s(
      "text",
      { class: "axis", "text-anchor": "middle", transform: `translate(11 ${(box.top + box.bottom) / 2}) rotate(-90)` },
      y.label,
    ),
  ];
  const drawing = s("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label }, grid);
  return { drawing, toX, toY, box };
}

function padded(values, share = 0.04) {
  const low = Math.min(...values);
  const high = Math.max(...values);
  const pad = (high - low || Math.abs(high) || 1) * share;
  return [low - pad, high + pad];
}
