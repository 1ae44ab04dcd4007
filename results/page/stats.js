// Paired comparisons with any baseline: the definitions of results/inference/stats.py and results/inference/paired.py.

const ALPHA = 0.05;
const CONFIDENCE = 0.95;
const ROUNDING = 1e-12;
const MOST_SEEDS = DATA.exact_up_to; // beyond, there are too many sign flips to count

const sum = (values) => values.reduce((total, value) => total + value, 0);

// P(|T| <= sqrt(freedom) tan(angle)), Abramowitz and Stegun 26.7.3 and 26.7.4.
function tProbability(angle, freedom) {
  const sine = Math.sin(angle);
  const cosine = Math.cos(angle);
  const odd = freedom % 2;
  let term = 0;
  let total = 0;
  for (let power = odd; power < freedom - 1; power += 2) {
    term = power === odd ? (odd ? cosine : 1) : (term * cosine ** 2 * (power - 1)) / power;
    total += term;
  }
  return odd ? (2 / Math.PI) * (angle + sine * total) : sine * total;
}

const quantiles = new Map();
function tQuantile(freedom) {
  if (!quantiles.has(freedom)) {
    let low = 0;
    let high = Math.PI / 2;
    for (let i = 0; i < 60; i++) {
      const middle = (low + high) / 2;
      if (tProbability(middle, freedom) < CONFIDENCE) low = middle;
      else high = middle;
    }
    quantiles.set(freedom, Math.sqrt(freedom) * Math.tan((low + high) / 2));
  }
  return quantiles.get(freedom);
}

// [mean, low, high] of Student's interval, inside what the values can be.
function interval(values, least, most) {
  const n = values.length;
  const mean = sum(values) / n;
  if (n < DATA.fewest) return [mean, null, null];
  const variance = sum(values.map((value) => (value - mean) ** 2)) / (n - 1);
  const half = tQuantile(n - 1) * Math.sqrt(variance / n);
  return [mean, Math.max(least, mean - half), Math.min(most, mean + half)];
}

// The larger p of two one-sided sign-flip tests: that the mean is -region or less, region or more. Null as there.
function equivalenceP(differences, region) {
  if (differences.length > MOST_SEEDS) return null;
  if (Math.abs(sum(differences)) >= region * differences.length) return 1;
  return Math.max(signFlipP(differences.map((d) => region + d)), signFlipP(differences.map((d) => region - d))) / 2;
}

// Student's posterior of the mean: the share above 0, or below where less is better.
function probabilityBetter(differences, metric) {
  const n = differences.length;
  if (n < DATA.fewest) return null;
  const mean = sum(differences) / n;
  const error = Math.sqrt(sum(differences.map((d) => (d - mean) ** 2)) / (n - 1) / n);
  let above = 0.5;
  if (Math.abs(mean) > ROUNDING) {
    const half = error <= ROUNDING ? 0.5 : tProbability(Math.atan(Math.abs(mean / error) / Math.sqrt(n - 1)), n - 1) / 2;
    above += mean > 0 ? half : -half;
  }
  return lowerIsBetter(metric) ? 1 - above : above;
}

function signedSums(values) {
  let sums = new Float64Array([0]);
  for (const value of values) {
    const next = new Float64Array(2 * sums.length);
    sums.forEach((one, i) => {
      next[i] = one + value;
      next[i + sums.length] = one - value;
    });
    sums = next;
  }
  return sums.sort();
}

// Two-sided p of the mean: the share of all 2^n sign flips whose sum is at least as far from zero. The flips of the two
// halves are summed apart, and pairs of sums counted: 2^(n/2) steps instead of 2^n. Null beyond that.
function signFlipP(differences) {
  const n = differences.length;
  if (n > MOST_SEEDS) return null;
  const reach = Math.abs(sum(differences)) - 1e-12 * sum(differences.map(Math.abs));
  if (reach <= 0) return 1;
  const first = signedSums(differences.slice(0, n >> 1));
  const second = signedSums(differences.slice(n >> 1));
  // Flips are symmetric: those at or above reach are half of the extreme ones.
  let extreme = 0;
  let from = second.length;
  for (const one of first) {
    while (from > 0 && one + second[from - 1] >= reach) from--;
    extreme += second.length - from;
  }
  return (2 * extreme) / 2 ** n;
}

// Holm's step-down adjusted p values, in the order given.
function holm(ps) {
  const adjusted = new Array(ps.length);
  let largest = 0;
  const order = ps.map((_, i) => i).sort((a, b) => ps[a] - ps[b] || a - b);
  order.forEach((index, rank) => {
    largest = Math.max(largest, Math.min(1, (ps.length - rank) * ps[index]));
    adjusted[index] = largest;
  });
  return adjusted;
}

// The same where arms of one finding are one hypothesis, which has the largest p of its arms.
function holmOnce(arms, ps) {
  const largest = new Map();
  arms.forEach((arm, i) => largest.set(findingOf(arm), Math.max(ps[i], largest.get(findingOf(arm)) ?? 0)));
  const adjusted = holm([...largest.values()]);
  const found = new Map([...largest.keys()].map((finding, i) => [finding, adjusted[i]]));
  return arms.map((arm) => found.get(findingOf(arm)));
}

function wordOf(metric, difference, p, equalP) {
  if (equalP < ALPHA) return "practically equal";
  if (p >= ALPHA || difference === 0) return "can't tell";
  return difference < 0 === lowerIsBetter(metric) ? "better" : "worse";
}

// Why so many seeds can give no verdict on one of so many comparisons; empty if they can.
function fewSeeds(seeds, comparisons) {
  const possible = (n) => (comparisons * 2) / 2 ** n < ALPHA;
  if (possible(seeds)) return "";
  let needed = 1;
  while (!possible(needed)) needed++;
  return `${seeds} seed${seeds === 1 ? "" : "s"}, and it takes ${needed}`;
}

// Verdicts of one table's arms against the arm of this name, by arm, on one of the metrics of JUDGED; oracle controls
// are adjusted among themselves, and arms that give no ground for a verdict are not tested.
function verdictsAgainst(name, arms, judged) {
  const found = new Map();
  const { metric, region, low, high } = JUDGED[judged];
  const reference = arms.find((arm) => arm.name === name && arm.complete && !arm.trivial);
  if (!reference?.paired?.[judged]) return found;
  const [turns, own] = reference.paired[judged];
  const values = new Map(turns.map((repetition, i) => [repetition, own[i]]));
  for (const arm of arms) {
    if (arm === reference || !arm.complete || !arm.paired?.[judged]) continue;
    const differences = arm.paired[judged][0].flatMap((repetition, i) =>
      values.has(repetition) ? [arm.paired[judged][1][i] - values.get(repetition)] : [],
    );
    if (!differences.length) continue;
    const reason = arm.reasons[judged] || (reference.reasons[judged] && `${reference.reasons[judged]}, in ${name}`);
    found.set(arm, {
      against: name,
      reason,
      difference: interval(differences, low, high),
      seeds: differences.length,
      p: reason ? null : signFlipP(differences),
      equalP: reason ? null : equivalenceP(differences, region),
      probability: reason ? null : probabilityBetter(differences, metric),
      word: reason ? "no verdict" : null,
    });
  }
  for (const oracle of [0, 1]) {
    const family = [...found.keys()].filter((arm) => arm.oracle === oracle && found.get(arm).p !== null);
    const adjusted = holmOnce(family, family.map((arm) => found.get(arm).p));
    const equal = holmOnce(family, family.map((arm) => found.get(arm).equalP));
    const size = new Set(family.map(findingOf)).size;
    family.forEach((arm, i) => {
      const verdict = found.get(arm);
      [verdict.p, verdict.equalP] = [adjusted[i], equal[i]];
      verdict.word = wordOf(metric, verdict.difference[0], adjusted[i], equal[i]);
      verdict.pText = pWords(verdict.word === "practically equal" ? equal[i] : adjusted[i]);
      if (verdict.word === "can't tell") verdict.reason = fewSeeds(verdict.seeds, size);
      if (verdict.reason) verdict.word = "no verdict";
    });
  }
  return found;
}
