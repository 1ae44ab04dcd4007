// What an opened arm shows: its runs, each with a link to its own page, and every metric.

function more(arm, span) {
  return h("tr", { class: "more" }, h("td", { colspan: span }, h("div", { class: "panel" }, runsPanel(arm), partsPanel(arm), metricsPanel(arm))));
}

function runsPanel(arm) {
  if (arm.rank_sum) return h("p", { class: "hint" }, "Ranks by the sum of two rankers’ ranks.");
  if (arm.trivial) return h("p", { class: "hint" }, "Ranks by a size of the stand-alone network, without any supernet.");
  const at = DATA.metrics.indexOf(PRIMARY);
  const [test, regret] = ["test", "regret"].map((name) => DATA.selection.indexOf(name));
  const lines = runsOf(arm).map((run) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, h("a", { href: addressOf(run) }, seedOf(run))),
      h("td", {}, fixed(run.metrics[at], 3)),
      h("td", {}, fixed(run.selection[test], 2)),
      h("td", {}, fixed(run.selection[regret], 2)),
    ),
  );
  const note = arm.complete ? "" : h("p", { class: "hint" }, `${runsWords(arm)}: nothing is averaged until all are there.`);
  return h(
    "div",
    {},
    h("h2", { class: "small" }, "Runs"),
    note,
    plainTable(["run", PRIMARY, "test %", "regret"], lines),
  );
}

function metricsPanel(arm) {
  if (!arm.complete) return "";
  const lines = DATA.metrics.flatMap((name, i) => {
    const estimate = arm.metrics[i];
    const digits = digitsOf(name);
    if (!estimate) return [];
    return h(
      "tr",
      {},
      h("th", { scope: "row" }, name),
      h("td", {}, fixed(estimate[0], digits)),
      h("td", { class: "ci" }, range(estimate[1], estimate[2], digits)),
      h("td", {}, fixed(arm.on.ceiling[name], digits)),
      h("td", {}, fixed(mean(arm.validation[DATA.validation.indexOf(name)]), digits)),
    );
  });
  return h("div", {}, h("h2", { class: "small" }, "All metrics"), plainTable(["metric", "mean", "interval", "ceiling", "by validation truth"], lines));
}

function plainTable(header, lines) {
  const heads = header.map((name) => h("th", { scope: "col" }, name));
  return h("table", { class: "plain" }, h("thead", {}, h("tr", {}, heads)), h("tbody", {}, lines));
}
