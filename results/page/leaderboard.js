// The leaderboard's table, drawn row by row as far as it is looked at.

const TABLE = document.getElementById("table");
const STEP = 300;

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
