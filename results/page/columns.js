// The leaderboard's columns: what each shows of an arm, and by what it sorts.

const VIEW = { sort: "primary", direction: -1, baseline: "", metric: "", truth: "metrics", limit: 150, open: new Set() };

function estimateCell(estimate, digits, { sign = false, bracket = true } = {}) {
  if (!estimate) return [h("span", { class: "none" }, NOTHING)];
  const [mean, low, high] = estimate;
  const interval = range(low, high, digits, sign);
  return [fixed(mean, digits, sign), bracket && interval ? [" ", h("span", { class: "ci" }, interval)] : ""];
}

function primaryCell(arm) {
  if (!arm.metric) return [h("span", { class: "none" }, NOTHING)];
  const ceiling = arm.on.ceiling[PRIMARY];
  const [mean, low, high] = arm.metric;
  const words = low === null ? "" : `, 95% interval ${fixed(low, 3)} to ${fixed(high, 3)}`;
  return [
    h("span", { class: "value" }, fixed(mean, 3)),
    hidden(`${words}${typeof ceiling === "number" ? `, ceiling ${fixed(ceiling, 3)}` : ""}`),
    h("span", { title: `${fixed(mean, 3)}${words}${typeof ceiling === "number" ? `; ceiling ${fixed(ceiling, 3)}` : ""}` },
      bar(arm.metric, ceiling)),
  ];
}

function runsWords(arm) {
  if (arm.trivial) return NOTHING;
  if (!arm.complete) return `${arm.found} of ${arm.expected} runs`;
  return arm.draws > 1 ? `${arm.seeds} × ${arm.draws}` : String(arm.seeds);
}

const mean = (estimate) => estimate?.[0] ?? null;
const selection = (name) => (arm) => arm.selection[DATA.selection.indexOf(name)];

function selectionColumn(id, label, title, first = -1) {
  return {
    id,
    label,
    title,
    first,
    group: id === "test" || id === "regret" ? "honest choice, test %" : "reads the ground truth, test %",
    sort: (arm) => mean(selection(id)(arm)),
    cell: (arm) => estimateCell(selection(id)(arm), 2, { bracket: false }),
    tip: (arm) => range(...(selection(id)(arm)?.slice(1) ?? []), 2),
  };
}

const COLUMNS = [
  { id: "arm", group: "", label: "arm", first: 1, sort: (arm) => arm.name.toLowerCase(), cell: null },
  {
    id: "primary",
    group: "ranking",
    label: PRIMARY,
    title: "mean over seeds, its interval and the noise ceiling",
    first: -1,
    sort: (arm) => mean(arm.metric),
    cell: primaryCell,
  },
  {
    id: "of_ceiling",
    group: "ranking",
    label: "of ceiling",
    title: "share of the noise ceiling",
    first: -1,
    sort: (arm) => mean(arm.of_ceiling),
    cell: (arm) => (arm.of_ceiling ? percent(arm.of_ceiling[0]) : NOTHING),
    tip: (arm) => (arm.of_ceiling?.[1] == null ? "" : `${percent(arm.of_ceiling[1])} to ${percent(arm.of_ceiling[2])}`),
  },
  ...verdictColumns(0, "ranking", "", ""),
  {
    id: "metric",
    group: "ranking",
    label: () => VIEW.metric + (VIEW.truth === "validation" ? " (validation)" : ""),
    title: "the metric that was chosen above, with its interval",
    first: () => (lowerIsBetter(VIEW.metric) ? 1 : -1),
    sort: (arm) => mean(arm[VIEW.truth][DATA[VIEW.truth].indexOf(VIEW.metric)]),
    cell: (arm) => estimateCell(arm[VIEW.truth][DATA[VIEW.truth].indexOf(VIEW.metric)], digitsOf(VIEW.metric)),
  },
  {
    id: "chance",
    group: "ranking",
    label: "less chance",
    title: `${PRIMARY} less that of random edges and groups of the same sizes, with its p`,
    first: -1,
    sort: (arm) => mean(arm.chance?.[2]),
    cell: (arm) =>
      arm.chance
        ? [fixed(arm.chance[2][0], 3, true), " ", h("span", { class: "p" }, `p ${arm.chance[4]}`)]
        : h("span", { class: "none" }, NOTHING),
    tip: (arm) =>
      arm.chance ? `${range(arm.chance[2][1], arm.chance[2][2], 3, true)}; sizes ${arm.chance[0]}; control ${DATA.controls[arm.chance[1]].join(", ")}` : "",
  },
  ...DATA.explained.slice(0, -1).map(([name, meaning], i) => ({
    id: `part-${i}`,
    group: "parts of the difference to no split",
    label: name,
    title: meaning,
    first: -1,
    sort: (arm) => mean(arm.decomposition?.[i]),
    cell: (arm) => estimateCell(arm.decomposition?.[i], 3, { sign: true, bracket: false }),
    tip: (arm) => range(...(arm.decomposition?.[i]?.slice(1) ?? []), 3, true),
  })),
  selectionColumn("test", "test %", "ground-truth test accuracy of the honest choice, made by validation images alone"),
  ...verdictColumns(1, "honest choice, test %", "test-", ""),
  selectionColumn("regret", "regret", "best test accuracy of the space less that", 1),
  selectionColumn("oracle", "oracle", "best of the leaves' choices by the ground truth: not a result, a bound"),
  selectionColumn("leaf_floor", "leaf floor", "what an oracle gets from one random architecture a leaf"),
  selectionColumn("best_of_k", "best of K", "expected best of K random architectures, K leaves"),
  {
    id: "flops",
    group: "cost of a run",
    label: "FLOPs",
    title: "mean over runs, and its parts by phase",
    first: 1,
    sort: (arm) => arm.cost?.[0] ?? null,
    cell: (arm) =>
      arm.cost
        ? [si(arm.cost[0]), costBar(arm.cost[3].map((phase) => phase?.[0] ?? 0), arm.cost[0])]
        : h("span", { class: "none" }, NOTHING),
    tip: (arm) =>
      (arm.cost?.[3] ?? [])
        .map((phase, i) => (phase?.[0] ? `${phaseWords(DATA.phases[i])} ${percent(phase[0] / arm.cost[0], 1)}` : ""))
        .filter(Boolean)
        .join(", "),
  },
  {
    id: "seconds",
    group: "cost of a run",
    label: "seconds",
    title: "mean over runs, without measurement",
    first: 1,
    sort: (arm) => arm.cost?.[1] ?? null,
    cell: (arm) => seconds(arm.cost?.[1]),
  },
  {
    id: "runs",
    group: "cost of a run",
    label: "runs",
    title: "seeds, or seeds × draws",
    first: -1,
    sort: (arm) => (arm.trivial ? null : arm.found),
    cell: runsWords,
  },
];
const COLUMN = Object.fromEntries(COLUMNS.map((column) => [column.id, column]));
const labelOf = (column) => (typeof column.label === "function" ? column.label() : column.label);
const firstOf = (column) => (typeof column.first === "function" ? column.first() : column.first);

// Columns in which no arm has anything are left out.
function shownColumns() {
  return COLUMNS.filter((column) => {
    if (["arm", "primary", "difference", "probability", "verdict", "runs", "metric"].includes(column.id))
      return column.id !== "metric" || VIEW.metric !== "";
    return ARMS.some((arm) => column.sort(arm) !== null);
  });
}
