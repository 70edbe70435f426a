/**
 * Lines and regions of equal height: marching squares over a grid. For the lid of a surface and for
 * thumbnails. Pure.
 */

import { known } from "./grid.js";

/** @import { Matrix } from "./types.d.ts" */

/**
 * Corner pairs an isoline crosses, by which corners lie above: bits a (i, j), b (i+1, j), c (i+1,
 * j+1), d (i, j+1).
 * @type {[number, number][][]}
 */
const CASES = [
  [],
  [[3, 0]],
  [[0, 1]],
  [[3, 1]],
  [[1, 2]],
  [
    [3, 0],
    [1, 2],
  ],
  [[0, 2]],
  [[3, 2]],
  [[2, 3]],
  [[2, 0]],
  [
    [0, 1],
    [2, 3],
  ],
  [[2, 1]],
  [[1, 3]],
  [[1, 0]],
  [[0, 3]],
  [],
];
/** @type {[number, number][]} */
const EDGES = [
  [0, 1],
  [1, 2],
  [2, 3],
  [3, 0],
];

/**
 * The corners of a cell, in the order of CASES.
 * @type {(i: number, j: number) => [number, number][]}
 */
const cornersOf = (i, j) => [
  [i, j],
  [i + 1, j],
  [i + 1, j + 1],
  [i, j + 1],
];

/**
 * Segments [x0, y0, x1, y1] of `level` in grid coordinates x = i, y = j; cells beside a null have
 * none.
 * @type {(matrix: Matrix, level: number) => number[][]}
 */
export function isoline(matrix, level) {
  const segments = [];
  for (let i = 0; i + 1 < matrix.length; i += 1) {
    for (let j = 0; j + 1 < matrix[0].length; j += 1) {
      const corners = cornersOf(i, j);
      const values = corners.map(([p, q]) => matrix[p][q]);
      if (!known(values)) continue;
      const above = values.reduce((bits, value, k) => bits | (value > level ? 1 << k : 0), 0);
      for (const pair of CASES[above])
        segments.push(pair.flatMap((edge) => crossing(corners, values, EDGES[edge], level)));
    }
  }
  return segments;
}

/**
 * @type {(corners: number[][], values: number[], edge: [number, number], level: number) =>
 *   [number, number]}
 */
function crossing(corners, values, [from, to], level) {
  const t = (level - values[from]) / (values[to] - values[from]);
  const [[x0, y0], [x1, y1]] = [corners[from], corners[to]];
  return [x0 + t * (x1 - x0), y0 + t * (y1 - y0)];
}

/**
 * Path data of an isoline in a square of `size`; beta upwards, as in the plots.
 * @type {(matrix: Matrix, level: number, size: number) => string}
 */
export function isopath(matrix, level, size) {
  const [sx, sy] = [size / (matrix.length - 1), size / (matrix[0].length - 1)];
  /** @type {(x: number, y: number) => string} */
  const at = (x, y) => `${(x * sx).toFixed(1)} ${(size - y * sy).toFixed(1)}`;
  return isoline(matrix, level)
    .map(([x0, y0, x1, y1]) => `M${at(x0, y0)}L${at(x1, y1)}`)
    .join("");
}

/**
 * The region where `matrix` lies above `level`, as triangles: { points: [[i, j], …] in grid
 * coordinates, triangles: [[a, b, c], …] }. Cut along the same line as `isoline`, so it meets the
 * surface without a gap; cells beside a null are left out.
 * @type {(matrix: Matrix, level: number) => { points: [number, number][]; triangles: [number,
 *   number, number][] }}
 */
export function regionAbove(matrix, level) {
  /** @type {{ points: [number, number][]; triangles: [number, number, number][] }} */
  const { points, triangles } = { points: [], triangles: [] };
  for (let i = 0; i + 1 < matrix.length; i += 1) {
    for (let j = 0; j + 1 < matrix[0].length; j += 1) {
      const corners = cornersOf(i, j);
      const values = corners.map(([p, q]) => matrix[p][q]);
      if (!known(values) || values.every((value) => value <= level)) continue;
      const first = points.length;
      points.push(...polygonAbove(corners, values, level));
      for (let k = first + 2; k < points.length; k += 1) triangles.push([first, k - 1, k]);
    }
  }
  return { points, triangles };
}

/**
 * The corners above the level and the crossings between, in order around the cell.
 * @type {(corners: [number, number][], values: number[], level: number) => [number, number][]}
 */
function polygonAbove(corners, values, level) {
  return EDGES.flatMap(([from, to]) => {
    const own = values[from] > level ? [corners[from]] : [];
    return values[from] > level === values[to] > level
      ? own
      : [...own, crossing(corners, values, [from, to], level)];
  });
}
