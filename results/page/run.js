// The view of one run.

function section(title, ...content) {
  const parts = content.flat().filter(Boolean);
  return parts.length ? h("section", {}, h("h2", {}, title), parts) : "";
}

const scrolling = (label, content) => h("div", { class: "scroll plain", role: "region", tabindex: "0", "aria-label": label }, content);

function neighbours(run) {
  const runs = ARMS.filter((arm) => arm.board === run.arm.board).flatMap(runsOf);
  const at = runs.indexOf(run);
  return [runs[at - 1], runs[at + 1]];
}

function runNavigation(run) {
  const [previous, next] = neighbours(run);
  const link = (other, rel, words) =>
    other ? h("a", { href: addressOf(other), rel, title: `${other.arm.name}, ${seedOf(other)}` }, words) : h("span", { class: "none" }, words);
  return h("nav", { class: "runs", "aria-label": "Runs" }, h("a", { href: "#", class: "back" }, "← Leaderboard"), h("span", {}, link(previous, "prev", "‹ previous run"), link(next, "next", "next run ›")));
}

function keyNumbers(run) {
  const of = (name) => run.selection[DATA.selection.indexOf(name)];
  const tau = run.metrics[DATA.metrics.indexOf(PRIMARY)];
  const ceiling = run.arm.on.ceiling[PRIMARY];
  const total = sum(run.ledger.map((line) => line?.[0] ?? 0));
  const pairs = [
    [PRIMARY, fixed(tau, 3), typeof ceiling === "number" ? `ceiling ${fixed(ceiling, 3)}` : ""],
    ["honest test %", fixed(of("test"), 2), `regret ${fixed(of("regret"), 2)}`],
    ["leaves", whole(run.leaves), ""],
    ["FLOPs", si(total), ""],
  ];
  return h("dl", { class: "numbers" }, pairs.map(([name, value, note]) => h("div", {}, h("dt", {}, name), h("dd", {}, value, note ? h("small", {}, note) : ""))));
}

function ledgerTable(run) {
  const total = [0, 1, 2].map((column) => sum(run.ledger.map((line) => line?.[column] ?? 0)));
  const [kind, limit] = run.arm.on.budget;
  const line = (name, values, share) =>
    h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, values[0] === null ? NOTHING : si(values[0])), h("td", {}, share), h("td", {}, whole(values[1])), h("td", {}, whole(values[2])), h("td", {}, seconds(values[3])));
  const lines = DATA.phases.flatMap((phase, i) => {
    const values = run.ledger[i];
    if (!values) return [];
    if (phase === "measurement") return line("measurement, not charged", [null, null, null, values[3]], NOTHING);
    return line(phaseWords(phase), values, total[0] ? percent(values[0] / total[0], 1) : NOTHING);
  });
  const charged = run.ledger.filter((values, i) => values && DATA.phases[i] !== "measurement").map((values) => values[3]);
  const time = charged.includes(null) ? null : sum(charged);
  const words = (value) => (kind === "flops" ? `${si(value)} FLOPs` : `${whole(value)} ${kind}`);
  const foot = h("tfoot", {}, line("sum", [...total, time], total[0] ? "100%" : NOTHING));
  const table = plainTable(["phase", "FLOPs", "share", "steps", "examples", "seconds"], lines);
  table.append(foot);
  const memory = run.peak === null ? "" : ` Peak memory ${whole(run.peak)} MiB.`;
  return [
    scrolling("Budget", table),
    h("p", { class: "hint" }, `Spent ${words(run.spent)} of a limit of ${words(limit)} (${percent(run.spent / limit, 1)}).${memory}`),
  ];
}

function selectionTable(run, details) {
  const of = (name, digits = 2) => fixed(run.selection[DATA.selection.indexOf(name)], digits);
  const board = run.arm.on;
  const parts = [h("p", {}, "The honest choice, by validation images alone, is ", h("code", {}, run.architecture),
    run.leaves > 1 ? ` from leaf ${run.leaf}` : "", `: test accuracy ${of("test")}%, regret ${of("regret")}.`)];
  if (details) {
    const lines = details.leaves.map(([architecture, estimate, loss, population, test, kept], leaf) =>
      h("tr", { class: leaf === run.leaf ? "base" : null },
        h("th", { scope: "row" }, h("span", { class: "swatch", style: `background:${colour(leaf)}`, "aria-hidden": "true" }), `leaf ${leaf}`,
          leaf === run.leaf ? h("span", { class: "tag" }, "✓ honest choice") : "", kept ? "" : h("span", { class: "tag" }, "dropped")),
        h("td", { class: "left words" }, leafWords(board, details.tree, leaf)),
        h("td", { class: "left" }, h("code", {}, architecture)),
        h("td", {}, fixed(estimate, 2)), h("td", {}, fixed(loss, 3)), h("td", {}, whole(population)), h("td", {}, fixed(test, 2))));
    const table = plainTable(["leaf", "operations kept", "its choice", "estimate %", "loss", "population", "test % *"], lines);
    table.querySelectorAll("thead th").forEach((cell, i) => cell.classList.toggle("left", i === 1 || i === 2));
    parts.push(scrolling("Leaves", table));
  }
  parts.push(h("p", { class: "hint" }, `* Reads the ground truth: the best of the leaves’ choices (oracle) has ${of("oracle")}%. One random architecture a leaf gives an oracle ${of("leaf_floor")}% (leaf floor), K random ones of the space ${of("best_of_k")}% (best of K).`));
  return parts;
}

function runMetrics(run, details) {
  const lines = DATA.metrics.flatMap((name, i) =>
    run.metrics[i] === null || run.metrics[i] === undefined ? [] :
      h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, fixed(run.metrics[i], digitsOf(name))),
        h("td", {}, fixed(run.arm.on.ceiling[name], digitsOf(name))), details ? h("td", {}, fixed(details.validation[name], digitsOf(name))) : ""));
  return scrolling("Metrics", plainTable(["metric", "this run", "ceiling, mean", ...(details ? ["by validation truth"] : [])], lines));
}

// A configuration as nested definitions; its parts stand in a pool.
function configTree(value) {
  if (value === null || typeof value !== "object") return h("code", {}, value === null ? "none" : String(value));
  if (Array.isArray(value)) return h("code", {}, JSON.stringify(value));
  return h("dl", { class: "config" }, Object.keys(value).sort().map((key) => h("div", {}, h("dt", {}, key), h("dd", {}, configTree(value[key])))));
}
function unpooled(config, depth) {
  if (depth && config !== null && typeof config === "object")
    return Object.fromEntries(Object.entries(config).map(([key, value]) => [key, unpooled(value, depth - 1)]));
  return allDetails.parts[config];
}
function configSections(details) {
  const config = unpooled(details.config, 2);
  if (config === null || typeof config !== "object") return [configTree(config)];
  return Object.keys(config).sort().map((key) => h("details", { open: key === "arm" }, h("summary", {}, key), configTree(config[key])));
}

function figures(run, details) {
  const room = Math.min(1180, document.documentElement.clientWidth - 40);
  const width = Math.max(280, Math.min(560, room >= 900 ? (room - 40) / 2 : room));
  return [scatterChart(run, details, width), curvesChart(details, width)].filter(Boolean);
}

function missingDetails(run) {
  const command = `splitbench leaderboard DIR --format html --arm ${/^[\w.=+-]+$/.test(run.arm.name) ? run.arm.name : `'${run.arm.name.replaceAll("'", "'\\''")}'`}`;
  return h("p", { class: "notice" }, "This page has a limited size, and the split tree, affinities, curves and scatter plot of this run are not in it. ", h("code", {}, command), " makes one that holds those of this arm.");
}

function drawRun(run) {
  const details = detailsOf(run);
  const board = run.arm.on;
  const place = [`${board.space} on ${board.dataset}`, run.arm.trainer, run.arm.complete ? "" : `incomplete arm: ${runsWords(run.arm)}`];
  const view = document.getElementById("run");
  const unsplit = details && !details.tree.children;
  view.replaceChildren(
    runNavigation(run),
    h("h1", { id: "run-title", tabindex: "-1" }, run.arm.name, h("span", { class: "seed" }, seedOf(run))),
    h("p", { class: "sub" }, `${board.study}: ${place.filter(Boolean).join(" · ")}`, run.arm.oracle ? h("span", { class: "tag" }, "† oracle control, reads the ground truth") : ""),
    keyNumbers(run),
    details ? "" : missingDetails(run),
    details ? section("Split tree", unsplit ? h("p", {}, "Not split: one supernet is trained on the whole space.") : "",
      scrolling("Split tree", drawTree(run, details))) : "",
    details ? section("Estimates and training", h("div", { class: "figures" }, figures(run, details))) : "",
    section("Selection", selectionTable(run, details)),
    section("Budget", ledgerTable(run)),
    details ? section("Affinities", affinityIntroduction(details), affinitySections(run, details)) : "",
    section("Metrics", runMetrics(run, details)),
    details ? section("Configuration", configSections(details)) : "",
  );
}

function affinityIntroduction(details) {
  const scored = (node) => Object.keys(node.scores ?? {}).length > 0 || (node.children ?? []).some(scored);
  return scored(details.tree)
    ? h("p", { class: "hint" }, "Dissimilarity of each pair of operations, in a stronger colour where larger, ± its standard error. Operations stand in the groups that the partitioner made.")
    : h("p", { class: "hint" }, "No criterion scored the operations of this run.");
}
