// Paired comparisons with any baseline: the definitions of results/stats.py.

const ALPHA = 0.05;
const CONFIDENCE = 0.95;
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

// [mean, low, high] of Student's interval.
function interval(values) {
  const n = values.length;
  const mean = sum(values) / n;
  if (n === 1) return [mean, null, null];
  const variance = sum(values.map((value) => (value - mean) ** 2)) / (n - 1);
  const half = tQuantile(n - 1) * Math.sqrt(variance / n);
  return [mean, mean - half, mean + half];
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

function wordOf(difference, p) {
  if (p >= ALPHA || difference === 0) return "can't tell";
  return difference > 0 ? "better" : "worse";
}

// Verdicts of one table's arms against the arm of this name, by arm; oracle controls are adjusted among themselves.
function verdictsAgainst(name, arms) {
  const found = new Map();
  const reference = arms.find((arm) => arm.name === name && arm.complete && !arm.trivial);
  if (!reference?.primary) return found;
  const values = new Map(reference.primary[0].map((repetition, i) => [repetition, reference.primary[1][i]]));
  for (const arm of arms) {
    if (arm === reference || !arm.complete || !arm.primary) continue;
    const differences = arm.primary[0].flatMap((repetition, i) =>
      values.has(repetition) ? [arm.primary[1][i] - values.get(repetition)] : [],
    );
    if (differences.length)
      found.set(arm, { against: name, difference: interval(differences), p: signFlipP(differences), word: null });
  }
  for (const oracle of [0, 1]) {
    const family = [...found.keys()].filter((arm) => arm.oracle === oracle && found.get(arm).p !== null);
    const adjusted = holm(family.map((arm) => found.get(arm).p));
    family.forEach((arm, i) => {
      const verdict = found.get(arm);
      verdict.p = adjusted[i];
      verdict.pText = pWords(adjusted[i]);
      verdict.word = wordOf(verdict.difference[0], adjusted[i]);
    });
  }
  return found;
}
