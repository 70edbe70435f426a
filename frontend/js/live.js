/** A result that is still growing: tiles go in, a new result comes out. Pure. */

import { VALUES, computed } from "./grid.js";

/** `result` with the points of one `tile` event; rows that did not change are shared with the old result. */
export function merge(result, tile) {
  const merged = { ...result };
  const touched = new Set(tile.points.map(([i]) => i));
  for (const name of VALUES) {
    merged[name] = result[name].map((row, i) => (touched.has(i) ? row.slice() : row));
    tile.points.forEach(([i, j], k) => {
      merged[name][i][j] = tile[name]?.[k] ?? null;
    });
  }
  const key = ({ i, j }) => `${i},${j}`;
  const known = new Set(result.non_finite.map(key));
  merged.non_finite = [...result.non_finite, ...tile.non_finite.filter((point) => !known.has(key(point)))];
  return merged;
}

/** `fresh` from the API, plus the points that only `older` (fed by events) has: whichever came first is right. */
export function combine(older, fresh) {
  if (!older) return fresh;
  const has = computed(fresh);
  const points = [];
  computed(older).forEach((row, i) => row.forEach((known, j) => known && !has[i][j] && points.push([i, j])));
  if (!points.length) return fresh;
  const tile = { points, non_finite: older.non_finite };
  for (const name of VALUES) tile[name] = points.map(([i, j]) => older[name][i][j]);
  return merge(fresh, tile);
}

/** How many points have come. */
export function countComputed(result) {
  return computed(result).reduce((sum, row) => sum + row.filter(Boolean).length, 0);
}

/** Changes whenever the picture of `result` would: for skipping redraws. */
export function revision(result) {
  return `${result.state}:${countComputed(result)}:${result.alphas.length}×${result.betas.length}`;
}
