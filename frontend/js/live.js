/** Results of running jobs: merges tiles into a new result. Pure. */

import { computed, mapMatrices } from "./grid.js";

/** @import { Matrix, NonFinite, Result, Tile } from "./types.d.ts" */

/** @type {(tile: Tile, name: string) => (number | null)[]} */
function valuesOf(tile, name) {
  if (name === "losses" || name === "accuracies" || name === "standard_errors") return tile[name];
  return tile.extra?.[name] ?? [];
}

/**
 * `result` with the points of one `tile` event; rows that did not change are shared with the old
 * result.
 * @type {(result: Result, tile: Tile) => Result}
 */
export function merge(result, tile) {
  const touched = new Set(tile.points.map(([i]) => i));
  const merged = mapMatrices(result, (matrix, name) => {
    const values = valuesOf(tile, name);
    const fresh = matrix.map((row, i) => (touched.has(i) ? row.slice() : row));
    tile.points.forEach(([i, j], k) => (fresh[i][j] = values[k] ?? null));
    return fresh;
  });
  /** @type {(point: NonFinite) => string} */
  const key = ({ i, j }) => `${i},${j}`;
  const known = new Set(result.non_finite.map(key));
  return {
    ...merged,
    non_finite: [
      ...result.non_finite,
      ...tile.non_finite.filter((point) => !known.has(key(point))),
    ],
  };
}

/**
 * `fresh` from the API, plus the points that only `older` (updated by events) has; no point ever
 * changes its value.
 * @type {(older: Result | null, fresh: Result) => Result}
 */
export function combine(older, fresh) {
  if (!older) return fresh;
  const has = computed(fresh);
  /** @type {[number, number][]} */
  const points = [];
  computed(older).forEach((row, i) =>
    row.forEach((known, j) => known && !has[i][j] && points.push([i, j])),
  );
  if (!points.length) return fresh;
  /** @type {(matrix: Matrix) => (number | null)[]} */
  const pick = (matrix) => points.map(([i, j]) => matrix[i][j]);
  const extra = Object.entries(older.extra).map(([name, matrix]) => [name, pick(matrix)]);
  return merge(fresh, {
    points,
    losses: pick(older.losses),
    accuracies: pick(older.accuracies),
    standard_errors: pick(older.standard_errors),
    extra: Object.fromEntries(extra),
    non_finite: older.non_finite,
  });
}

/**
 * Number of computed points.
 * @type {(result: Result) => number}
 */
export function countComputed(result) {
  return computed(result).reduce((sum, row) => sum + row.filter(Boolean).length, 0);
}

/**
 * A key that changes whenever the plot of `result` would: to skip redraws.
 * @type {(result: Result) => string}
 */
export function revision(result) {
  return `${result.state}:${countComputed(result)}:${result.alphas.length}×${result.betas.length}`;
}
