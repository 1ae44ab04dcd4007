// The small bars in the table's cells: a value against its ceiling, and a cost by phase.

// One scale for the bars of all rows, from zero (or below) to beyond the highest ceiling.
const BAR = (() => {
  const found = ARMS.flatMap((arm) => (arm.metric ? [arm.metric] : []));
  const means = found.map(([value]) => value);
  const ceilings = BOARDS.map((board) => board.ceiling[PRIMARY]).filter((value) => typeof value === "number");
  const low = Math.min(0, ...means);
  const high = Math.max(...means, ...ceilings, low + 0.1);
  // An interval over two seeds may be wider than tau's whole range: it is cut, and must not squeeze the other rows.
  const most = 0.12 * (high - low);
  const under = Math.min(0.02, ...found.map((ends) => (ends[1] ?? ends[0]) - low));
  const over = Math.max(0.02, ...found.map((ends) => (ends[2] ?? ends[0]) - high));
  return { low: low < 0 || under < 0 ? low - Math.min(most, Math.max(0, -under)) : low, high: high + Math.min(most, over), width: 128, height: 16 };
})();

function bar([mean, low, high], ceiling) {
  const to = (value) => 1 + Math.min(1, Math.max(0, (value - BAR.low) / (BAR.high - BAR.low))) * (BAR.width - 2);
  const middle = BAR.height / 2;
  const [from, until] = [to(Math.min(0, mean)), to(Math.max(0, mean))];
  return s(
    "svg",
    { class: "bar", width: BAR.width, height: BAR.height, "aria-hidden": "true", focusable: "false" },
    s("line", { class: "bar-rail", x1: 1, x2: BAR.width - 1, y1: middle, y2: middle }),
    s("rect", { class: "bar-mean", x: from, y: middle - 4, width: Math.max(0.5, until - from), height: 8 }),
    low === null ? "" : s("line", { class: "bar-interval", x1: to(low), x2: to(high), y1: middle, y2: middle }),
    s("line", { class: "bar-point", x1: to(mean), x2: to(mean), y1: middle - 4, y2: middle + 4 }),
    typeof ceiling === "number"
      ? s("line", { class: "bar-ceiling", x1: to(ceiling), x2: to(ceiling), y1: 0, y2: BAR.height })
      : "",
  );
}

const MOST_FLOPS = Math.max(1, ...ARMS.map((arm) => arm.cost?.[0] ?? 0));
function costBar(phases, total) {
  const width = 72;
  let x = 0;
  const parts = phases.map((flops, i) => {
    const size = (flops / MOST_FLOPS) * width;
    const part = s("rect", { class: `phase-${i % 5}`, x, y: 3, width: Math.max(0, size - 0.5), height: 8 });
    x += size;
    return part;
  });
  return s("svg", { class: "cost-bar", width, height: 14, "aria-hidden": "true", focusable: "false" }, total ? parts : "");
}
