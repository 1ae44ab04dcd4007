// The embedded data as objects. Runs and their details are decoded when they are first shown.

const DATA = JSON.parse(document.getElementById("data").textContent);
const BOARDS = DATA.boards;
const PRIMARY = DATA.primary;
const JUDGED = DATA.judged.map(([metric, region, low, high]) => ({ metric, region, low, high }));

const named = (fields, values) => Object.fromEntries(fields.map((field, i) => [field, values[i]]));
const ARMS = DATA.arms.map((values, index) => ({ ...named(DATA.arm_fields, values), index }));

for (const arm of ARMS) {
  arm.on = BOARDS[arm.board];
  arm.reasons = arm.reasons.map((reason) => DATA.reasons[reason]);
  arm.metric = arm.metrics[DATA.metrics.indexOf(PRIMARY)] ?? null;
}

// Arms that chose one partition on every seed have the name of the first of them.
const findingOf = (arm) => arm.finding || arm.name;

function runsOf(arm) {
  arm.decoded ??= arm.runs.map((values) => ({ ...named(DATA.run_fields, values), arm }));
  return arm.decoded;
}

const keyOf = (run) => `${run.arm.board}/${run.arm.name}/r${run.repetition}-d${run.draw}`;
const addressOf = (run) =>
  `#run=${run.arm.board}/${encodeURIComponent(run.arm.name)}/r${run.repetition}-d${run.draw}`;
const seedOf = (run) => `seed ${run.repetition}` + (run.arm.draws > 1 ? `, draw ${run.draw}` : "");

function runAt(address) {
  const found = /^#run=(\d+)\/([^/]*)\/r(\d+)-d(\d+)$/.exec(address);
  if (!found) return null;
  let name;
  try {
    name = decodeURIComponent(found[2]);
  } catch {
    return null;
  }
  const arm = ARMS.find((one) => one.board === Number(found[1]) && one.name === name && !one.trivial);
  const wanted = (run) => run.repetition === Number(found[3]) && run.draw === Number(found[4]);
  return (arm && runsOf(arm).find(wanted)) ?? null;
}

let allDetails = null;
function detailsOf(run) {
  allDetails ??= JSON.parse(document.getElementById("details").textContent);
  return allDetails.runs[keyOf(run)] ?? null;
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const LEVEL = Object.fromEntries([...ALPHABET].map((character, i) => [character, i]));

// Two characters a number, 0 to 4,095.
function unpack(text) {
  const levels = new Array(text.length / 2);
  for (let i = 0; i < levels.length; i++) levels[i] = LEVEL[text[2 * i]] * 64 + LEVEL[text[2 * i + 1]];
  return levels;
}

const unquantise = (text, low, high) => unpack(text).map((level) => low + ((high - low) * level) / 4095);

// Names of edges and operations; their indices where the records are older than the names.
function edgeName(board, edge) {
  return board.topology?.[0][edge] ?? `edge ${edge}`;
}
function operationName(board, edge, operation) {
  return board.topology?.[1][edge]?.[operation] ?? `op ${operation}`;
}

// What tells the tables of this page apart, for the line under an arm's name and the filters.
const ATTRIBUTES = {
  study: (arm) => arm.on.study,
  space: (arm) => arm.on.space,
  dataset: (arm) => arm.on.dataset,
  budget: (arm) => budgetWords(arm.on.budget),
  population: (arm) => populationWords(arm.on),
  trainer: (arm) => arm.trainer ?? "",
};
const VALUES = Object.fromEntries(
  Object.entries(ATTRIBUTES).map(([name, read]) => [name, [...new Set(ARMS.map(read))].filter(Boolean).sort()]),
);

function populationWords(board) {
  const words = board.population.split(",")[0];
  return words.length > 60 ? `${words.slice(0, 57)}…` : words;
}

// As few attributes as tell the tables apart, or else their protocols.
const TELLING = (() => {
  const keys = (names) => new Set(ARMS.filter((arm) => !arm.trivial).map((arm) => JSON.stringify(names.map((name) => ATTRIBUTES[name](arm))))).size;
  const found = [];
  for (const name of Object.keys(ATTRIBUTES)) if (keys([...found, name]) > keys(found)) found.push(name);
  return found;
})();
const BY_PROTOCOL = new Set(ARMS.map((arm) => TELLING.map((name) => name !== "trainer" && ATTRIBUTES[name](arm)).join("\n"))).size < BOARDS.length;

function contextOf(arm) {
  const words = TELLING.map((name) => ATTRIBUTES[name](arm)).filter(Boolean);
  if (BY_PROTOCOL && arm.on.protocol) words.push(`protocol ${arm.on.protocol.slice(0, 6)}`);
  return words.join(" · ");
}
