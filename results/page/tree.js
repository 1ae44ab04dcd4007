// The split tree of a run: which operations went where, on which edge.

const TREE = { letter: 7, line: 17, gap: 18, link: 40, letters: 40 };

function wrapped(words, letters) {
  const lines = [""];
  for (const word of words) {
    const longer = lines.at(-1) ? `${lines.at(-1)}, ${word}` : word;
    if (longer.length > letters && lines.at(-1)) lines.push(word);
    else lines[lines.length - 1] = longer;
  }
  return lines.map((line) => (line.length > letters + 6 ? `${line.slice(0, letters + 5)}…` : line));
}

const keptWords = (board, edge, operations) => operations.map((operation) => operationName(board, edge, operation));

// The lines of a node's block: a strip shows an edge's candidates, those that are kept filled.
function nodeLines(board, node, root, run, leaves) {
  const lines = [];
  if (node === root) lines.push({ text: "whole space", strong: true });
  else
    for (const [edge, operations] of Object.entries(node.kept)) {
      lines.push({ text: edgeName(board, edge), strip: root.kept[edge].map((operation) => operations.includes(operation)) });
      for (const text of wrapped(keptWords(board, edge, operations), TREE.letters)) lines.push({ text, strong: true });
    }
  if (node.children) lines.push({ text: `${whole(node.steps)} steps, split on ${splitWords(board, node)}`.slice(0, 44), quiet: true });
  else {
    const leaf = leaves[node.leaf];
    const name = node.leaf === null ? "leaf" : `leaf ${node.leaf}`;
    lines.push({ text: `${name} · ${whole(node.steps)} steps`, quiet: true });
    if (leaf) lines.push({ text: `${whole(leaf[3])} of the population`, quiet: true });
    if (leaf && !leaf[5]) lines.push({ text: "dropped before the end", quiet: true });
    if (node.leaf === run.leaf && root.children) lines.push({ text: "honest choice", chosen: true });
  }
  return lines;
}

function splitWords(board, node) {
  const names = node.edges.map((edge) => edgeName(board, edge));
  return names.length > 2 ? `${names.length} edges` : names.join(" and ");
}

function drawTree(run, details) {
  const board = run.arm.on;
  const root = details.tree;
  const blocks = [];
  const links = [];
  let bottom = 4;
  const columns = []; // the width of each depth
  const place = (node, depth) => {
    const lines = nodeLines(board, node, root, run, details.leaves);
    const block = { node, lines, depth, height: lines.length * TREE.line };
    blocks.push(block);
    columns[depth] = Math.max(columns[depth] ?? 0, ...lines.map(lineWidth));
    const below = (node.children ?? []).map((child) => place(child, depth + 1));
    if (below.length) {
      const first = below[0];
      const last = below.at(-1);
      block.middle = (first.middle + last.middle) / 2;
      for (const child of below) links.push([block, child]);
    } else {
      block.middle = bottom + block.height / 2;
    }
    bottom = Math.max(bottom, block.middle + block.height / 2 + (below.length ? 0 : TREE.gap));
    return block;
  };
  place(root, 0);
  const top = Math.min(0, ...blocks.map((block) => block.middle - block.height / 2 - 4));
  const starts = columns.map((_, depth) => sum(columns.slice(0, depth)) + depth * TREE.link);
  for (const block of blocks) block.x = starts[block.depth];
  const width = starts.at(-1) + columns.at(-1);
  const height = bottom - top;
  const label = root.children
    ? `Split tree with ${details.leaves.length} leaves; the table of leaves below says the same in words`
    : "Split tree with a single node: not split";
  return s(
    "svg",
    { class: "tree", width, height, viewBox: `0 ${top} ${width} ${height}`, role: "img", "aria-label": label },
    links.map(([from, to]) => {
      const [x, until] = [from.x + columns[from.depth] + 2, to.x - 4];
      return s("path", { class: "link", d: `M${x} ${from.middle}C${(x + until) / 2} ${from.middle} ${(x + until) / 2} ${to.middle} ${until} ${to.middle}` });
    }),
    blocks.map(drawBlock),
  );
}

const textWidth = (text) => TREE.letter * text.length;
const stripSquare = (strip) => (strip.length > 12 ? 5 : 8);
const lineWidth = ({ text, strip, chosen }) =>
  14 + textWidth(text) + (chosen ? 16 : 0) + (strip ? 10 + strip.length * (stripSquare(strip) + 2) : 0);

function drawBlock({ node, lines, x, middle, height }) {
  const top = middle - height / 2;
  const rail = node.children ? "var(--rule-strong)" : colour(node.leaf ?? 0);
  return s(
    "g",
    {},
    s("rect", { x, y: top, width: 3, height, style: `fill:${rail}` }),
    lines.map((line, i) => {
      const y = top + i * TREE.line + 12;
      const classes = line.chosen ? "chosen" : line.strong ? "strong" : "quiet";
      const text = s("text", { class: classes, x: x + 11, y }, line.chosen ? `✓ ${line.text}` : line.text);
      const size = stripSquare(line.strip ?? []);
      const from = x + 11 + textWidth(line.text) + 8;
      const strip = (line.strip ?? []).map((kept, j) =>
        s("rect", { class: kept ? "kept" : "gone", x: from + j * (size + 2) + 0.5, y: y - 8.5, width: size, height: 8 }),
      );
      return [text, strip];
    }),
  );
}

// The operations of a leaf in words: only the edges on which it differs from the whole space.
function leafWords(board, root, leaf) {
  const path = (node) => {
    if (!node.children) return node.leaf === leaf ? [node] : null;
    for (const child of node.children) {
      const found = path(child);
      if (found) return [node, ...found];
    }
    return null;
  };
  const nodes = path(root) ?? [];
  const kept = Object.assign({}, ...nodes.slice(1).map((node) => node.kept));
  const words = Object.entries(kept).map(([edge, operations]) => `${edgeName(board, edge)}: ${keptWords(board, edge, operations).join(", ")}`);
  return words.join("; ") || "all";
}
