// The leaderboard's table: filtered, sorted, and drawn row by row as far as it is looked at.

const TABLE = document.getElementById("table");
const STEP = 300;

function matching() {
  const words = VIEW.text.toLowerCase().split(/\s+/).filter(Boolean);
  return ARMS.filter((arm) => {
    if (arm.trivial ? !VIEW.sizes : arm.oracle ? !VIEW.oracles : false) return false;
    if (!arm.complete && !VIEW.incomplete) return false;
    if (words.some((word) => !arm.name.toLowerCase().includes(word))) return false;
    return Object.entries(VIEW.only).every(
      ([name, value]) => !value || ATTRIBUTES[name](arm) === value || (name === "trainer" && arm.trivial),
    );
  });
}

// Incomplete arms and undefined values stay at the end, whichever the direction.
function sorted(arms) {
  const column = COLUMN[VIEW.sort];
  const keyed = arms.map((arm) => ({ arm, key: column.sort(arm) }));
  keyed.sort((a, b) => {
    if (a.arm.complete !== b.arm.complete) return b.arm.complete - a.arm.complete;
    if ((a.key === null) !== (b.key === null)) return a.key === null ? 1 : -1;
    if (a.key !== b.key && a.key !== null) return (a.key < b.key ? -1 : 1) * VIEW.direction;
    return a.arm.index - b.arm.index;
  });
  return together(keyed.map(({ arm }) => arm));
}

// Arms of one partition stand after the first of them.
function together(arms) {
  if (!arms.some((arm) => arm.finding)) return arms;
  const key = (arm) => `${arm.board}/${arm.trivial ? "size/" : ""}${findingOf(arm)}`;
  const first = new Map();
  arms.forEach((arm, place) => first.has(key(arm)) || first.set(key(arm), place));
  const place = new Map(arms.map((arm, i) => [arm, i]));
  return [...arms].sort((a, b) => first.get(key(a)) - first.get(key(b)) || place.get(a) - place.get(b));
}

function sortBy(id) {
  if (VIEW.sort === id) VIEW.direction = -VIEW.direction;
  else [VIEW.sort, VIEW.direction] = [id, firstOf(COLUMN[id])];
  drawTable();
  TABLE.querySelector(`th[data-column="${id}"] button`).focus({ preventScroll: true });
}

function head(columns) {
  const groups = [];
  for (const column of columns) {
    if (groups.at(-1)?.name === column.group) groups.at(-1).span++;
    else groups.push({ name: column.group, span: 1 });
  }
  const heading = (column) => {
    const direction = VIEW.sort === column.id ? (VIEW.direction > 0 ? "ascending" : "descending") : "none";
    const arrow = { ascending: "↑", descending: "↓", none: "" }[direction];
    return h(
      "th",
      { scope: "col", "aria-sort": direction, "data-column": column.id, class: `c-${column.id}` },
      h(
        "button",
        { type: "button", title: column.title, onclick: () => sortBy(column.id) },
        labelOf(column),
        h("span", { class: "arrow", "aria-hidden": "true" }, arrow),
      ),
    );
  };
  return h(
    "thead",
    {},
    h(
      "tr",
      { class: "groups" },
      groups.map((group, i) =>
        group.name
          ? h("th", { scope: "colgroup", colspan: group.span }, h("span", {}, group.name))
          : h("td", { class: i ? "" : "c-arm", colspan: group.span }),
      ),
    ),
    h("tr", { class: "labels" }, columns.map(heading)),
  );
}

function armCell(arm) {
  const open = VIEW.open.has(arm.index);
  const alike = arm.finding && `= ${arm.finding}`;
  const tags = [isBaseline(arm) && "baseline", arm.oracle && "† oracle control", arm.trivial && (arm.rank_sum ? "rank-sum" : "size"), alike];
  const context = contextOf(arm);
  return h(
    "th",
    { scope: "row", class: "c-arm" },
    h(
      "button",
      {
        type: "button",
        class: "arm",
        "aria-expanded": String(open),
        "data-arm": arm.index,
        onclick: () => toggle(arm),
      },
      h("span", { class: "chevron", "aria-hidden": "true" }, "›"),
      h("span", {}, h("span", { class: "name" }, arm.name),
        tags.filter(Boolean).map((tag) => [" ", h("span", { class: "tag" }, tag)])),
    ),
    context ? h("span", { class: "context" }, context) : "",
  );
}

function row(arm, columns) {
  const classes = [!arm.complete && "incomplete", arm.trivial && "trivial", arm.oracle && "oracle", isBaseline(arm) && "base"];
  return h(
    "tr",
    { class: classes.filter(Boolean).join(" ") || null, "data-row": arm.index },
    columns.map((column) =>
      column.cell
        ? h("td", { class: `c-${column.id}${column.left ? " left" : ""}`, title: column.tip?.(arm) || null, ...exact(column, arm) },
            column.cell(arm))
        : armCell(arm),
    ),
  );
}

// Unrounded numbers beside the words, for whoever reads the page by program.
function exact(column, arm) {
  return column.exact && verdictOf(arm, column.judged) ? column.exact(arm) : {};
}

function toggle(arm) {
  const shown = TABLE.querySelector(`tr[data-row="${arm.index}"]`);
  const button = shown.querySelector("button.arm");
  if (VIEW.open.delete(arm.index)) shown.nextElementSibling.remove();
  else {
    VIEW.open.add(arm.index);
    shown.after(more(arm, shownColumns().length));
  }
  button.setAttribute("aria-expanded", String(VIEW.open.has(arm.index)));
}

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

function drawTable() {
  const columns = shownColumns();
  const arms = sorted(matching());
  const shown = arms.slice(0, VIEW.limit);
  const body = h("tbody", {});
  for (const arm of shown) {
    body.append(row(arm, columns));
    if (VIEW.open.has(arm.index)) body.append(more(arm, columns.length));
  }
  if (!arms.length)
    body.append(h("tr", {}, h("td", { class: "empty", colspan: columns.length }, "No arm passes these filters.")));
  TABLE.replaceChildren(head(columns), body);
  const order = VIEW.direction > 0 ? "ascending" : "descending";
  const status = `${arms.length === ARMS.length ? "" : `${whole(arms.length)} of `}${whole(ARMS.length)} rows, sorted by ${labelOf(COLUMN[VIEW.sort])}, ${order}`;
  document.getElementById("status").textContent = status;
  drawRest(arms.length - shown.length);
}

function drawRest(left) {
  const show = (count) => () => {
    VIEW.limit += count;
    drawTable();
  };
  const buttons = [
    h("button", { type: "button", class: "quiet", onclick: show(STEP) }, `Show ${whole(Math.min(STEP, left))} more rows`),
    left > STEP ? h("button", { type: "button", class: "quiet", onclick: show(Infinity) }, `Show all ${whole(left)}`) : "",
  ];
  document.getElementById("rest").replaceChildren(...(left > 0 ? buttons : []));
}

function drawCeilings() {
  const names = DATA.metrics.filter((name) => BOARDS.some((board) => typeof board.ceiling[name] === "number"));
  const heads = BOARDS.map((board) => h("th", { scope: "col" }, BOARDS.length > 1 ? board.heading : "ceiling"));
  const lines = names.map((name) =>
    h("tr", {}, h("th", { scope: "row" }, name), BOARDS.map((board) => h("td", {}, fixed(board.ceiling[name], digitsOf(name))))),
  );
  const table = document.getElementById("ceiling-table");
  table.className = "plain";
  if (names.length) table.replaceChildren(h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "metric"), heads)), h("tbody", {}, lines));
  else table.replaceChildren(h("tbody", {}, h("tr", {}, h("td", {}, "Not known: the ground truth holds a single training of each architecture."))));
}

function drawKeys() {
  const example = ARMS.find((arm) => arm.metric && !arm.trivial);
  if (example) document.getElementById("key-bar").append(bar(example.metric, example.on.ceiling[PRIMARY]));
  const charged = DATA.phases.filter((_, i) => ARMS.some((arm) => arm.cost?.[3][i]?.[0]));
  document.getElementById("key-cost").append(
    ...charged.map((phase) =>
      h("span", { class: "phase" }, s("svg", { width: 10, height: 10, "aria-hidden": "true" },
        s("rect", { class: `phase-${DATA.phases.indexOf(phase) % 5}`, width: 10, height: 10 })), ` ${phaseWords(phase)} `),
    ),
  );
}
