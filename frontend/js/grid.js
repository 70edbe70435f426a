/**
 * Grids in the browser: the refinement levels of landscape/grid.py, and the part of an incomplete
 * grid that can be drawn. Pure. A point is (i, j): alpha = alphas[i], beta = betas[j]; a slice has
 * j = 0.
 */

import { KINDS } from "./kinds.js";

/** @import { Kind, Matrix, Part, Result, SubGrid } from "./types.d.ts" */

/**
 * Axis levels up to this one (5 points) are computed as one: the first picture. As in
 * landscape/grid.py.
 */
export const COARSEST = 2;

const VALUES = /** @type {const} */ (["losses", "accuracies", "standard_errors"]);

/**
 * Kinds that are drawn over alpha alone.
 * @type {(kind: Kind) => boolean}
 */
export const isLine = (kind) => KINDS[kind].axes === 1;

/**
 * `change(matrix, name)` for every n × m matrix of a result, those in `extra` too; the rest of the
 * result stays.
 * @type {<R extends Result>(result: R, change: (matrix: Matrix, name: string) => Matrix) => R}
 */
export function mapMatrices(result, change) {
  const extra = Object.entries(result.extra ?? {}).map(([name, matrix]) => [
    name,
    change(matrix, name),
  ]);
  return {
    ...result,
    ...Object.fromEntries(VALUES.map((name) => [name, change(result[name], name)])),
    extra: Object.fromEntries(extra),
  };
}

/**
 * Refinement level of every index: the ends are level 0, then each level halves the intervals.
 * @type {(count: number) => number[]}
 */
export function axisLevels(count) {
  const levels = Array.from({ length: count }, () => 0);
  let intervals = [[0, count - 1]];
  for (let level = 1; intervals.length; level += 1) {
    const halves = [];
    for (const [low, high] of intervals) {
      if (high - low < 2) continue;
      const middle = Math.floor((low + high) / 2);
      levels[middle] = level;
      halves.push([low, middle], [middle, high]);
    }
    intervals = halves;
  }
  return levels;
}

/**
 * n × m matrix: true where a value has arrived, finite or not.
 * @type {(result: Result) => boolean[][]}
 */
export function computed(result) {
  const mask = result.losses.map((row) => row.map((value) => value !== null));
  for (const { i, j } of result.non_finite) mask[i][j] = true;
  return mask;
}

/**
 * The finest level whose sub-grid is complete; -1 where not even the first is.
 * @type {(result: Result) => number}
 */
export function completeLevel(result) {
  const [first, second] = levelsOf(result);
  let level = Math.max(...first, ...second, COARSEST);
  computed(result).forEach((row, i) =>
    row.forEach((there, j) => {
      if (!there) level = Math.min(level, Math.max(first[i], second[j], COARSEST) - 1);
    }),
  );
  return level < COARSEST ? -1 : level;
}

/**
 * The part of a result on the rows and columns up to `level`; `rows` and `columns` say where they
 * were.
 * @type {(result: Result, level: number) => SubGrid}
 */
export function subGrid(result, level) {
  const [rows, columns] = levelsOf(result).map((levels) =>
    levels.flatMap((own, k) => (own <= level ? [k] : [])),
  );
  return {
    ...mapMatrices(result, (matrix) => rows.map((i) => columns.map((j) => matrix[i][j]))),
    rows,
    columns,
    alphas: rows.map((i) => result.alphas[i]),
    betas: columns.map((j) => result.betas[j]),
    non_finite: result.non_finite
      .map((point) => ({ ...point, i: rows.indexOf(point.i), j: columns.indexOf(point.j) }))
      .filter(({ i, j }) => i >= 0 && j >= 0),
  };
}

/**
 * What can be drawn now: the finest complete sub-grid, with the points of the next level that have
 * arrived. Missing points are interpolated on the coarser surface (bilinear), where it was drawn
 * before; a hole stays a hole. At most `most` points an axis. `level` is the complete one, `seen`
 * the number of computed points (all: Infinity). Null where nothing can be drawn yet.
 * @type {(result: Result, most?: number) => Part | null}
 */
export function drawable(result, most = 201) {
  const complete = completeLevel(result);
  if (complete < 0) return null;
  const finest = finestLevel(result, most);
  if (complete >= finest) return { ...subGrid(result, finest), level: finest, seen: Infinity };
  const next = subGrid(result, complete + 1);
  return {
    ...onCoarser(next, complete),
    level: complete,
    seen: computed(next).flat().filter(Boolean).length,
  };
}

/**
 * Whether every value is there.
 */
export const known = /** @type {(values: (number | null)[]) => values is number[]} */ (
  (values) => !values.includes(null)
);

/**
 * The whole grid, every missing cell holding the value of the nearest computed one; null where
 * nothing is known.
 * @type {(matrix: Matrix, mask: boolean[][]) => Matrix}
 */
export function nearestFilled(matrix, mask) {
  const filled = matrix.map((row) => row.slice());
  const seen = mask.map((row) => row.slice());
  /** @type {[number, number][]} */
  let front = [];
  matrix.forEach((row, i) =>
    row.forEach((value, j) => value !== null && mask[i][j] && front.push([i, j])),
  );
  while (front.length) {
    /** @type {[number, number][]} */
    const next = [];
    for (const [i, j] of front) {
      for (const [p, q] of [
        [i - 1, j],
        [i + 1, j],
        [i, j - 1],
        [i, j + 1],
      ]) {
        if (seen[p]?.[q] !== false) continue;
        seen[p][q] = true;
        filled[p][q] = filled[i][j];
        next.push([p, q]);
      }
    }
    front = next;
  }
  return filled;
}

/**
 * The index of coordinate 0 on both axes, or null where the center is not a grid point.
 * @type {(alphas: number[], betas: number[]) => [number, number] | null}
 */
export function centerIndex(alphas, betas) {
  const [i, j] = [alphas.indexOf(0), betas.indexOf(0)];
  return i < 0 || j < 0 ? null : [i, j];
}

/** @type {(result: Result) => [number[], number[]]} */
function levelsOf(result) {
  return [axisLevels(result.alphas.length), axisLevels(result.betas.length)];
}

/**
 * The finest level with at most `most` points on either axis (a line has one column at level 0).
 * @type {(result: Result, most: number) => number}
 */
function finestLevel(result, most) {
  const axes = levelsOf(result);
  const last = Math.max(COARSEST, ...axes.map((levels) => Math.max(...levels)));
  /** @type {(level: number) => number} */
  const points = (level) =>
    Math.max(...axes.map((levels) => levels.filter((own) => own <= level).length));
  for (let level = last; level > COARSEST; level -= 1) if (points(level) <= most) return level;
  return COARSEST;
}

/**
 * Interpolate the missing points of `part` from its rows and columns up to level `complete`.
 * @type {(part: SubGrid, complete: number) => SubGrid}
 */
function onCoarser(part, complete) {
  const mask = computed(part);
  /** @type {(indices: number[]) => boolean[]} */
  const coarse = (indices) => {
    const levels = axisLevels(indices[indices.length - 1] + 1);
    return indices.map((k) => levels[k] <= complete);
  };
  const rows = coarse(part.rows);
  const columns = coarse(part.columns);
  return mapMatrices(part, (matrix) =>
    matrix.map((row, i) =>
      row.map((value, j) =>
        mask[i][j] ? value : between(matrix, part, [i, j], [rows[i], columns[j]]),
      ),
    ),
  );
}

/**
 * Bilinear value at (i, j) from its neighbors on coarse rows and columns; null beside a hole.
 * @type {(matrix: Matrix, part: SubGrid, index: [number, number], coarse: [boolean, boolean])
 *   => number | null}
 */
function between(matrix, { alphas, betas }, [i, j], [onRow, onColumn]) {
  const [top, bottom, s] = onRow ? [i, i, 0] : [i - 1, i + 1, share(alphas, i)];
  const [left, right, t] = onColumn ? [j, j, 0] : [j - 1, j + 1, share(betas, j)];
  const corners = [top, bottom].flatMap((row) => [matrix[row][left], matrix[row][right]]);
  if (!known(corners)) return null;
  const [a, b, c, d] = corners;
  return (1 - s) * ((1 - t) * a + t * b) + s * ((1 - t) * c + t * d);
}

/** @type {(coordinates: number[], k: number) => number} */
const share = (coordinates, k) =>
  (coordinates[k] - coordinates[k - 1]) / (coordinates[k + 1] - coordinates[k - 1]);
