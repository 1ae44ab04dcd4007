// Which arms the table shows, and in what order.

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
