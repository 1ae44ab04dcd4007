// The leaderboard's columns: what each shows of an arm, and by what it sorts.

const VIEW = { sort: "primary", direction: -1, baseline: "", metric: "", truth: "metrics", limit: 150, open: new Set() };

let chosenVerdicts = []; // of each metric of JUDGED, by arm, against the baseline that was chosen in this page

// The verdict on one of the metrics of JUDGED.
function verdictOf(arm, judged = 0) {
  if (VIEW.baseline) return chosenVerdicts[judged]?.get(arm) ?? null;
  const found = arm.verdicts?.[judged];
  if (!found) return null;
  const [against, word, reason, difference, probability, p, equalP, pText] = found;
  return { against, word, reason: DATA.reasons[reason], difference, probability, p, equalP, pText };
}
const isBaseline = (arm) =>
  !arm.trivial && (VIEW.baseline ? arm.name === VIEW.baseline : arm.name === arm.on.baseline);

const WORDS = {
  better: ["better", "▲"],
  worse: ["worse", "▼"],
  "practically equal": ["equal", "≈"],
  "can't tell": ["unsure", "○"],
  "no verdict": ["unsure", "–"],
};
function verdictMark(verdict) {
  if (!verdict.word) return h("span", { class: "quiet-text" }, `not computed, more than ${MOST_SEEDS} seeds`);
  const [name, symbol] = WORDS[verdict.word] ?? ["unsure", "○"];
  const mark = h("span", { class: "symbol", "aria-hidden": "true" }, symbol);
  return h("span", { class: name }, mark, ` ${verdict.word.replace("'", "’")}`);
}

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
const RANK = { better: 4, "practically equal": 3, "can't tell": 2, worse: 1, "no verdict": 0 };
const probabilityWords = (p) => (p === null ? NOTHING : p > 0.9995 ? "> 0.999" : p < 0.0005 ? "< 0.001" : fixed(p, 3));

// What is said of one metric against the baseline: the difference, how likely the arm is better, the word.
function verdictColumns(judged, group, prefix, label) {
  const digits = digitsOf(JUDGED[judged].metric);
  return [
    {
      id: `${prefix}difference`,
      group,
      label: `${label}less baseline`,
      title: "paired difference to the baseline, with its interval",
      first: -1,
      sort: (arm) => mean(verdictOf(arm, judged)?.difference),
      cell: (arm) => estimateCell(verdictOf(arm, judged)?.difference, digits, { sign: true }),
      exact: (arm) => ({ "data-values": JSON.stringify(verdictOf(arm, judged).difference) }),
      judged,
    },
    {
      id: `${prefix}probability`,
      group,
      label: "P(better)",
      title: "the chance that its mean over seeds is above the baseline's; adjusted for nothing",
      first: -1,
      sort: (arm) => verdictOf(arm, judged)?.probability ?? null,
      cell: (arm) => probabilityWords(verdictOf(arm, judged)?.probability ?? null),
      exact: (arm) => ({ "data-probability": verdictOf(arm, judged).probability }),
      judged,
    },
    {
      id: `${prefix}verdict`,
      group,
      label: "verdict",
      title: "against the baseline, with the adjusted p",
      first: -1,
      left: true,
      sort: (arm) => {
        const verdict = verdictOf(arm, judged);
        const within = JUDGED[judged].high + 1; // a difference never outweighs a word
        return verdict ? 2 * within * (RANK[verdict.word] ?? 2) + verdict.difference[0] : isBaseline(arm) ? 4 * within : null;
      },
      cell: (arm) => {
        const verdict = verdictOf(arm, judged);
        if (!verdict) return h("span", { class: "none" }, isBaseline(arm) ? "baseline" : NOTHING);
        const says = verdict.reason ? h("span", { class: "p" }, verdict.reason) : h("span", { class: "p" }, `p ${verdict.pText}`);
        return [verdictMark(verdict), verdict.word ? " " : "", verdict.word ? says : ""];
      },
      exact: (arm) => ({ "data-p": verdictOf(arm, judged).p, "data-equal-p": verdictOf(arm, judged).equalP }),
      judged,
    },
  ];
}

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
