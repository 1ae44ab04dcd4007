// The controls above the table. A filter with a single value is not shown.

Object.assign(VIEW, { text: "", sizes: true, oracles: true, incomplete: true, only: {} });

function field(label, control) {
  control.id = label.replaceAll(" ", "-");
  return h("div", { class: "field" }, h("label", { for: control.id }, label), control);
}

function select(values, change, first) {
  const options = values.map(([value, text]) => h("option", { value }, text));
  const control = h("select", { onchange: (event) => change(event.target.value) }, first ? h("option", { value: "" }, first) : "", options);
  return control;
}

function redraw() {
  VIEW.limit = 150;
  drawTable();
}

function attributeFields() {
  return Object.keys(ATTRIBUTES)
    .filter((name) => VALUES[name].length > 1)
    .map((name) =>
      field(name, select(VALUES[name].map((value) => [value, value]), (value) => {
        VIEW.only[name] = value;
        redraw();
      }, "all")),
    );
}

function metricField() {
  const choices = [
    ...DATA.metrics.filter((name) => name !== PRIMARY).map((name) => [`metrics ${name}`, name]),
    ...DATA.validation.map((name) => [`validation ${name}`, `${name}, by validation truth`]),
  ];
  if (!choices.length) return "";
  const choose = (value) => {
    const [truth, ...name] = value.split(" ");
    Object.assign(VIEW, { truth, metric: name.join(" ") });
  };
  const first = choices.find(([, name]) => name === "tau[top50%]") ?? choices[0];
  choose(first[0]);
  const control = select(choices, (value) => {
    choose(value);
    if (VIEW.sort === "metric") VIEW.direction = firstOf(COLUMN.metric);
    drawTable();
  });
  control.value = first[0];
  return field("second metric", control);
}

function baselineField() {
  const candidates = [...new Set(ARMS.filter((arm) => arm.paired?.[0]).map((arm) => arm.name))].sort();
  const own = [...new Set(BOARDS.map((board) => board.baseline).filter(Boolean))];
  const name = own.length === 1 ? `the study's: ${own[0]}` : "the study's";
  const control = select(candidates.map((arm) => [arm, arm]), (value) => {
    VIEW.baseline = value;
    const tables = BOARDS.map((_, board) => ARMS.filter((arm) => arm.board === board));
    chosenVerdicts = JUDGED.map((_, judged) => new Map(tables.flatMap((arms) => [...verdictsAgainst(value, arms, judged)])));
    drawTable();
  }, name);
  return field("baseline", control);
}

function toggleField(name, label, any) {
  if (!any) return "";
  const box = h("input", {
    type: "checkbox",
    checked: true,
    onchange: (event) => {
      VIEW[name] = event.target.checked;
      redraw();
    },
  });
  return h("label", { class: "check" }, box, ` ${label}`);
}

function drawControls() {
  const text = h("input", {
    type: "search",
    placeholder: "part of a name",
    autocomplete: "off",
    oninput: (event) => {
      VIEW.text = event.target.value;
      redraw();
    },
  });
  const form = document.getElementById("controls");
  form.addEventListener("submit", (event) => event.preventDefault());
  form.append(
    field("arm", text),
    ...attributeFields(),
    baselineField(),
    metricField(),
    h(
      "span",
      { class: "checks" },
      toggleField("sizes", "sizes and rank-sums", ARMS.some((arm) => arm.trivial)),
      toggleField("oracles", "oracle controls", ARMS.some((arm) => arm.oracle)),
      toggleField("incomplete", "incomplete", ARMS.some((arm) => !arm.complete)),
    ),
  );
}
