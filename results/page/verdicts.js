// Verdicts against the baseline: the study's own, or those against the arm that was chosen in this page.

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
