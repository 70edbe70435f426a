/** Results for tests, and slow second sources. Grids are not square. */

/** Equally spaced coordinates, as landscape/grid.py makes them. */
export const axis = (min, max, count) =>
  Array.from({ length: count }, (_, i) => (min * (count - 1 - i) + max * i) / (count - 1));

/** A finished result of `f` on n × m points. */
export function resultOf(f, { n = 9, m = 5, kind = "surface", state = "done" } = {}) {
  const [alphas, betas] = [axis(-1, 1, n), kind === "slice" ? [0] : axis(-2, 2, m)];
  const matrix = (g) => alphas.map((a) => betas.map((b) => g(a, b)));
  return {
    id: "a".repeat(16),
    kind,
    state,
    alphas,
    betas,
    losses: matrix(f),
    accuracies: matrix(() => 0.5),
    standard_errors: matrix(() => 0.1),
    extra: { test_losses: matrix((a, b) => f(a, b) + 1) },
    non_finite: [],
    provenance: null,
    self_check: null,
    caption: "net · data · seed 0",
  };
}

/** The same with only the points that `known(i, j)` allows. */
export function partOf(result, known) {
  const keep = (matrix) =>
    matrix.map((row, i) => row.map((value, j) => (known(i, j) ? value : null)));
  return {
    ...result,
    state: "running",
    losses: keep(result.losses),
    accuracies: keep(result.accuracies),
    standard_errors: keep(result.standard_errors),
    extra: { test_losses: keep(result.extra.test_losses) },
  };
}

/** The refinement level of one index, found by bisecting down to it: a second source for landscape/grid.py. */
export function levelByWalking(index, count) {
  let [low, high, level] = [0, count - 1, 0];
  if (index === low || index === high) return 0;
  for (;;) {
    level += 1;
    const middle = Math.floor((low + high) / 2);
    if (index === middle) return level;
    if (index < middle) high = middle;
    else low = middle;
  }
}

export const near = (a, b, tolerance = 1e-12) =>
  Math.abs(a - b) <= tolerance * Math.max(1, Math.abs(a), Math.abs(b));
