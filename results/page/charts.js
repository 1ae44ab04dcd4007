// Learning curves and the scatter of estimates against the truth.

// A legend whose entries single out one series: colour alone never tells series apart.
function legend(names, drawing) {
  let chosen = null;
  const pick = (index) => (event) => {
    chosen = chosen === index ? null : index;
    for (const series of drawing.querySelectorAll("[data-series]")) {
      const faded = chosen !== null && Number(series.dataset.series) !== chosen;
      series.classList.toggle("faded", faded);
      if (!faded && chosen !== null) series.parentNode.append(series);
    }
    for (const button of event.currentTarget.parentNode.children)
      button.setAttribute("aria-pressed", String(Number(button.dataset.index) === chosen));
  };
  const buttons = names.map(({ index, text, dash }) =>
    h("button", { type: "button", class: "series", "aria-pressed": "false", "data-index": index, onclick: pick(index) },
      s("svg", { width: 18, height: 10, "aria-hidden": "true" },
        dash === undefined
          ? s("circle", { cx: 9, cy: 5, r: 4, style: `fill:${colour(index)}` })
          : s("line", { x1: 0, x2: 18, y1: 5, y2: 5, style: `stroke:${colour(index)};stroke-width:2`, "stroke-dasharray": dash || null })),
      ` ${text}`),
  );
  return h("div", { class: "legend", role: "group", "aria-label": "Single out one series" }, buttons);
}

function scatterChart(run, details, width) {
  if (!details.scatter) return null;
  const [truthIndex, packed, low, high, leaves, first] = details.scatter;
  detailsOf(run);
  const [packedTruth, truthLow, truthHigh, size] = allDetails.truths[truthIndex];
  const truth = unquantise(packedTruth, truthLow, truthHigh);
  const estimates = unquantise(packed, low, high);
  const leafOf = unpack(leaves).map((leaf) => leaf + first);
  const tau = run.metrics[DATA.metrics.indexOf(PRIMARY)];
  const title = `Estimates against truth, ${PRIMARY} ${fixed(tau, 3)}`;
  const { drawing, toX, toY } = axes({
    width,
    height: Math.round(Math.min(420, 0.8 * width + 40)),
    x: { domain: padded([truthLow, truthHigh]), label: "stand-alone test accuracy %" },
    y: { domain: padded([low, high]), label: "supernet’s estimate, accuracy %" },
    label: title,
  });
  const points = new Map();
  leafOf.forEach((leaf, i) => {
    if (!points.has(leaf)) points.set(leaf, []);
    points.get(leaf).push(`M${toX(truth[i]).toFixed(1)} ${toY(estimates[i]).toFixed(1)}h0`);
  });
  const names = [...points.keys()].sort((a, b) => a - b);
  const group = s("g", { class: "points" });
  for (const leaf of names)
    group.append(s("path", { d: points.get(leaf).join(""), style: `stroke:${colour(Math.max(0, leaf))}`, "data-series": leaf }));
  drawing.append(group);
  const thinned = truth.length < size ? ` ${whole(truth.length)} of ${whole(size)} architectures are drawn.` : "";
  return h(
    "figure",
    {},
    h("figcaption", {}, h("strong", {}, "Estimate against truth"), ` ${PRIMARY} = ${fixed(tau, 3)} over ${whole(size)} architectures.${thinned}`),
    drawing,
    names.length > 1 ? legend(names.map((leaf) => ({ index: leaf, text: leaf < 0 ? "no leaf" : `leaf ${leaf}` })), drawing) : "",
  );
}

const DASHES = ["", "6 3", "2 3", "8 3 2 3", "10 4"];

function curvesChart(details, width) {
  const series = [];
  const walk = (node, depth) => {
    const inner = series.filter((one) => one.inner).length;
    const name = depth === 0 ? "whole space" : node.leaf === undefined || node.leaf === null ? `node ${inner}` : `leaf ${node.leaf}`;
    if (node.curve[0].length) series.push({ name, depth, steps: node.curve[0], losses: node.curve[1], leaf: node.leaf, inner: Boolean(node.children) });
    (node.children ?? []).forEach((child) => walk(child, depth + 1));
  };
  walk(details.tree, 0);
  const losses = series.flatMap((one) => one.losses).filter((loss) => loss !== null);
  if (!losses.length) return null;
  const steps = series.flatMap((one) => one.steps);
  const { drawing, toX, toY } = axes({
    width,
    height: Math.round(Math.min(420, 0.8 * width + 40)),
    x: { domain: [0, Math.max(...steps)], label: "training step of the arm’s path" },
    y: { domain: padded(losses), label: "training loss" },
    label: "Learning curves of all nodes of the split tree",
  });
  const names = series.map((one, index) => {
    // Leaves keep the colour that they have in the tree and the scatter.
    const inTree = one.inner || one.leaf === null || one.leaf === undefined ? 7 : one.leaf;
    const dash = DASHES[(one.inner ? one.depth + 1 : Math.floor(inTree / 8)) % DASHES.length];
    let d = "";
    let pen = "M";
    one.steps.forEach((step, i) => {
      if (one.losses[i] === null) pen = "M";
      else {
        d += `${pen}${toX(step).toFixed(1)} ${toY(one.losses[i]).toFixed(1)}`;
        pen = "L";
      }
    });
    drawing.append(s("path", { class: "curve", d, style: `stroke:${colour(inTree)}`, "stroke-dasharray": dash || null, "data-series": index }));
    return { index, shade: inTree, text: one.name, dash };
  });
  const keys = legend(names, drawing);
  keys.querySelectorAll("line").forEach((line, i) => line.style.setProperty("stroke", colour(names[i].shade)));
  return h(
    "figure",
    {},
    h("figcaption", {}, h("strong", {}, "Learning curves"), " Training loss of single batches, at most 60 points a node."),
    drawing,
    names.length > 1 ? keys : "",
  );
}
