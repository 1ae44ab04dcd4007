// What each part of a split cost and brought: a bar a term, from where the one before it ended, down to the difference.

const PARTS = DATA.explained; // [name, what it is] in the order of the path; calibration is a part of the one before it

function partsPanel(arm) {
  if (!arm.decomposition) return "";
  return h(
    "div",
    { class: "parts" },
    h("h2", { class: "small" }, `Why, beside no split: ${PRIMARY}`),
    waterfall(arm),
    plainTable(["part", "mean", "interval", "what it is"], PARTS.map(([name, meaning], i) =>
      h("tr", {},
        h("th", { scope: "row" }, name),
        h("td", {}, fixed(arm.decomposition[i][0], 3, true)),
        h("td", { class: "ci" }, range(arm.decomposition[i][1], arm.decomposition[i][2], 3, true)),
        h("td", {}, meaning)))),
  );
}

function waterfall(arm) {
  const terms = arm.decomposition.filter((_, i) => !PARTS[i][2]);
  const names = PARTS.filter((part) => !part[2]).map(([name]) => name);
  let at = 0;
  const bars = terms.map(([value, low, high], i) => {
    const start = i === terms.length - 1 ? 0 : at; // the last is their sum, from zero again
    at = start + value;
    return { name: names[i], value, start, end: at, low: low === null ? null : start + low, high: high === null ? null : start + high };
  });
  const ends = bars.flatMap((bar) => [bar.start, bar.end, bar.low ?? bar.end, bar.high ?? bar.end]);
  const [low, high] = [Math.min(0, ...ends), Math.max(0, ...ends)];
  const [width, left, line, top] = [460, 150, 24, 6];
  const to = (value) => left + ((value - low) / (high - low || 1)) * (width - left - 70);
  const drawing = s(
    "svg",
    { class: "waterfall", width, height: top * 2 + line * bars.length, role: "img", "aria-label": `Parts of the difference of ${arm.name} to no split` },
    s("line", { class: "bar-rail", x1: to(0), x2: to(0), y1: 0, y2: top * 2 + line * bars.length }),
  );
  bars.forEach((bar, i) => {
    const middle = top + line * (i + 0.5);
    const [from, until] = [Math.min(to(bar.start), to(bar.end)), Math.max(to(bar.start), to(bar.end))];
    const words = `${bar.name}: ${fixed(bar.value, 3, true)}`;
    drawing.append(
      s("g", {},
        s("title", {}, words),
        s("text", { x: left - 8, y: middle + 4, "text-anchor": "end" }, bar.name),
        s("rect", { class: bar.value < 0 ? "loss" : "gain", x: from, y: middle - 7, width: Math.max(1, until - from), height: 14 }),
        bar.low === null ? "" : s("line", { class: "bar-interval", x1: to(bar.low), x2: to(bar.high), y1: middle, y2: middle }),
        s("text", { x: Math.max(to(bar.high ?? bar.end), until) + 6, y: middle + 4 }, fixed(bar.value, 3, true))),
    );
  });
  return drawing;
}
