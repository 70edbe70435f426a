/** Results of running jobs: merges tiles into a new result. Pure. */

import { computed, mapMatrices } from "./grid.js";

/** `result` with the points of one `tile` event; rows that did not change are shared with the old result. */
export function merge(result, tile) {
  const touched = new Set(tile.points.map(([i]) => i));
  const merged = mapMatrices(result, (matrix, name) => {
    const values = tile[name] ?? tile.extra?.[name] ?? [];
    const fresh = matrix.map((row, i) => (touched.has(i) ? row.slice() : row));
    tile.points.forEach(([i, j], k) => (fresh[i][j] = values[k] ?? null));
    return fresh;
  });
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

/** `fresh` from the API, plus the points that only `older` (updated by events) has; no point ever changes its value. */
export function combine(older, fresh) {
  if (!older) return fresh;
  const has = computed(fresh);
  const points = [];
  computed(older).forEach((row, i) =>
    row.forEach((known, j) => known && !has[i][j] && points.push([i, j])),
  );
  if (!points.length) return fresh;
  const tile = { points, non_finite: older.non_finite, extra: {} };
  mapMatrices(older, (matrix, name) => (tile[name] = points.map(([i, j]) => matrix[i][j])));
  return merge(fresh, tile);
}

/** Number of computed points. */
export function countComputed(result) {
  return computed(result).reduce((sum, row) => sum + row.filter(Boolean).length, 0);
}

/** A key that changes whenever the plot of `result` would: to skip redraws. */
export function revision(result) {
  return `${result.state}:${countComputed(result)}:${result.alphas.length}×${result.betas.length}`;
}
