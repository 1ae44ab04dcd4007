// Affinities of a node's edges as heat maps: dissimilarities with their standard errors.

function matrixOf([operations, groups, cut, repetitions, values, errors]) {
  const n = operations.length;
  const full = values.length === n * (n - 1);
  const at = new Map();
  let next = 0;
  for (let i = 0; i < n; i++) {
    for (let j = full ? 0 : i + 1; j < n; j++) {
      if (i === j) continue;
      at.set(`${i},${j}`, next);
      if (!full) at.set(`${j},${i}`, next);
      next++;
    }
  }
  const cell = (i, j) => (i === j ? null : { value: values[at.get(`${i},${j}`)], error: errors[at.get(`${i},${j}`)] });
  return { operations, groups, cut, repetitions, cell, values };
}

// One power of ten for a matrix, so that its cells are short; none where values are near 1.
function scaleOf(values) {
  const most = Math.max(...values.map((value) => Math.abs(value ?? 0)));
  const power = most > 0 ? Math.floor(Math.log10(most)) : 0;
  const shift = power >= -1 && power <= 2 ? 0 : power;
  return { shift, digits: Math.max(0, 2 - (power - shift)), most, least: Math.min(...values.map((value) => value ?? 0), 0) };
}

const SUPERSCRIPT = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };
const powerWords = (power) => `10${[...String(power)].map((character) => SUPERSCRIPT[character]).join("")}`;

// A long name breaks after an underscore, if anywhere.
const breakable = (name) => name.split(/(?<=_)/).flatMap((part, i) => (i ? [h("wbr"), part] : [part]));

function heatMap(board, edge, score, split) {
  const matrix = matrixOf(score);
  const { shift, digits, most, least } = scaleOf(matrix.values);
  const shown = (value) => fixed(value === null ? null : value / 10 ** shift, digits);
  // Operations stand group by group, so that a good split shows as light blocks on the diagonal.
  const group = (operation) => matrix.groups.findIndex((members) => members.includes(operation));
  const order = matrix.operations
    .map((operation, i) => ({ i, operation, group: group(operation) }))
    .sort((a, b) => a.group - b.group || a.operation - b.operation);
  const starts = (place) => place > 0 && order[place].group !== order[place - 1].group;
  const name = (one) => operationName(board, edge, one.operation);
  const cells = (one) =>
    order.map((other, place) => {
      const found = matrix.cell(one.i, other.i);
      const edgeClass = starts(place) ? "starts" : null;
      if (!found || found.value === null) return h("td", { class: edgeClass }, hidden("same"));
      const share = most > least ? (found.value - least) / (most - least) : 0;
      const words = `${name(one)} and ${name(other)}: ${shown(found.value)}` + (found.error === null ? "" : ` ± ${shown(found.error)}`);
      return h(
        "td",
        { class: edgeClass, style: `--share:${(100 * share).toFixed(0)}%`, title: words },
        shown(found.value),
        found.error === null ? "" : h("small", {}, `±${shown(found.error)}`),
      );
    });
  const rows = order.map((one, place) =>
    h("tr", { class: starts(place) ? "starts" : null }, h("th", { scope: "row" }, name(one)), cells(one)),
  );
  const heads = order.map((one, place) => h("th", { scope: "col", class: starts(place) ? "starts" : null }, h("span", {}, breakable(name(one)))));
  const facts = [
    shift ? `values × ${powerWords(shift)}` : "",
    `cut ${shown(matrix.cut)}`,
    matrix.repetitions > 1 ? `${whole(matrix.repetitions)} repetitions` : "",
  ];
  const title = h("caption", {}, h("strong", {}, edgeName(board, edge)), split ? h("span", { class: "tag" }, "split here") : "",
    h("span", { class: "quiet-text" }, facts.filter(Boolean).join(" · ")));
  return h("div", { class: "scroll plain", role: "region", tabindex: "0", "aria-label": `Affinity of ${edgeName(board, edge)}` },
    h("table", { class: "heat" }, title, h("thead", {}, h("tr", {}, h("td", {}), heads)), h("tbody", {}, rows)));
}

// Every node that was scored, from the root down.
function affinitySections(run, details) {
  const board = run.arm.on;
  const found = [];
  const walk = (node, words) => {
    const edges = Object.keys(node.scores ?? {}).sort((a, b) => node.edges?.includes(+b) - node.edges?.includes(+a) || a - b);
    if (edges.length) found.push({ node, words, edges });
    for (const child of node.children ?? []) {
      const own = Object.entries(child.kept).map(([edge, kept]) => `${edgeName(board, edge)}: ${keptWords(board, edge, kept).join(", ")}`);
      walk(child, [words, own.join("; ")].filter(Boolean).join(" → "));
    }
  };
  walk(details.tree, "");
  return found.map(({ node, words, edges }, i) => {
    const box = h("div", { class: "heats" });
    const fill = () => box.children.length || box.append(...edges.map((edge) => heatMap(board, edge, node.scores[edge], node.edges?.includes(+edge))));
    if (!i) fill();
    const summary = words || "whole space";
    return h("details", { open: !i, ontoggle: fill }, h("summary", {}, summary), box);
  });
}
