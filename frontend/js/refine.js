/**
 * What a result can be refined or extended to, and how many of its points are reused; as
 * landscape/grid.py. Pure.
 */

import { computed } from "./grid.js";
import { LIMITS } from "./kinds.js";
import { definitionOf } from "./request.js";

/** @import { Axis, Grid, Job, Ranges, Refinement, Result } from "./types.d.ts" */

/** @typedef {Pick<Axis, "min" | "max">} Range */

const SLACK = 1e-9; // of an interval: an end this close to a coordinate is that coordinate

/** How much wider a range gets. */
const WIDER = 1.5;

/**
 * The grid of a result; that of a plane or a trajectory is not in its request.
 * @type {(result: Result) => Grid}
 */
export function gridOf({ kind, alphas, betas }) {
  const alpha = axisOf(alphas);
  return definitionOf(kind).axes === 1 ? { alpha } : { alpha, beta: axisOf(betas) };
}

/** @type {(coordinates: number[]) => Axis} */
const axisOf = (coordinates) => ({
  min: coordinates[0],
  max: coordinates[coordinates.length - 1],
  count: coordinates.length,
});

/**
 * Every interval in two.
 * @type {() => Refinement}
 */
export const finer = () => ({ factor: 2 });

/**
 * The same spacing on a range that is half as wide again, around the same middle.
 * @type {(grid: Grid) => Refinement}
 */
export const wider = (grid) => region(grid, scaled(grid, WIDER), 1);

/**
 * Around the middle, ranges of `share` of the present ones.
 * @type {(grid: Grid, share: number) => Ranges}
 */
export function scaled({ alpha, beta }, share) {
  /** @type {(axis: Axis) => Range} */
  const of = ({ min, max }) => {
    const [middle, half] = [(min + max) / 2, (share * (max - min)) / 2];
    return { min: middle - half, max: middle + half };
  };
  return beta ? { alpha: of(alpha), beta: of(beta) } : { alpha: of(alpha) };
}

/**
 * A region, with intervals cut so that it has about as many points as the grid, twice as many an
 * axis as now at least.
 * @type {(grid: Grid, ranges: Ranges, factor?: number) => Refinement}
 */
export function region(grid, { alpha, beta }, factor = zoom(grid, { alpha, beta })) {
  return { factor, alpha, ...(grid.beta && beta ? { beta } : {}) };
}

/** @type {(grid: Grid, ranges: Ranges) => number} */
function zoom(grid, { alpha, beta }) {
  /** @type {(range: Range) => number} */
  const width = ({ min, max }) => max - min;
  const shares = [width(grid.alpha) / width(alpha)];
  if (grid.beta && beta) shares.push(width(grid.beta) / width(beta));
  const closest = Math.round(Math.min(...shares));
  return Math.min(LIMITS.factor, Math.max(2, closest || 0));
}

/**
 * The part of a grid that a plot with these ranges shows; null where that is all of it.
 * @type {(grid: Grid, shown: number[][] | null) => Ranges | null}
 */
export function zoomed({ alpha, beta }, shown) {
  if (!shown) return null;
  /** @type {(axis: Axis, ends: number[]) => Range} */
  const inside = ({ min, max }, [low, high]) => ({
    min: Math.max(min, Math.min(low, high)),
    max: Math.min(max, Math.max(low, high)),
  });
  /** @type {(axis: Axis, part: Range) => boolean} */
  const isAll = (axis, { min, max }) => max - min > 0.999 * (axis.max - axis.min);
  const own = inside(alpha, shown[0]);
  if (!beta) return isAll(alpha, own) ? null : { alpha: own };
  const other = inside(beta, shown[1]);
  return isAll(alpha, own) && isAll(beta, other) ? null : { alpha: own, beta: other };
}

/**
 * One seed more, if the kind of job is a mean over seeds; null otherwise, or where no more are
 * allowed.
 * @type {(job: Job) => Refinement | null}
 */
export const oneMoreSeed = (job) => moreSeeds(job, Number(job.spec.repeats) + 1);

/**
 * As many seeds as `count`, if that is more than there are and the kind of job can be a mean over
 * them; null otherwise.
 * @type {(job: Job, count: number) => Refinement | null}
 */
export function moreSeeds({ kind, spec }, count) {
  const { repeats } = definitionOf(kind).options;
  const possible = repeats && count <= (repeats.most ?? Infinity) && !isExcluded(kind, spec);
  return possible && count > Number(spec.repeats) ? { repeats: count } : null;
}

/** @type {(kind: Job["kind"], spec: Job["spec"]) => boolean} */
function isExcluded(kind, spec) {
  const { excludes, options } = definitionOf(kind);
  const others = excludes.flatMap((one) => (one.option === "repeats" ? one.others : []));
  return others.some(
    (name) => JSON.stringify(spec[name] ?? null) !== JSON.stringify(options[name].default),
  );
}

/**
 * How an axis is cut: each end is moved outwards to the next coordinate of the cut axis. `first` is
 * the place of that coordinate on it, where 0 is the present minimum.
 * @type {(axis: Axis, factor: number, range?: Range) => { first: number; count: number }}
 */
function cut({ min, max, count }, factor, range) {
  const last = (count - 1) * factor;
  if (!range) return { first: 0, count: last + 1 };
  /** @type {(end: number) => number} */
  const place = (end) => ((end - min) / (max - min)) * last;
  const first = Math.floor(place(range.min) + SLACK);
  return { first, count: Math.ceil(place(range.max) - SLACK) - first + 1 };
}

/**
 * The points that a refinement has, and those that are computed already: with more seeds, over the
 * present seeds.
 * @type {(result: Result, refinement: Refinement) => { points: number; reused: number }}
 */
export function pointsOf(result, { factor = 1, alpha, beta }) {
  const grid = gridOf(result);
  const rows = cut(grid.alpha, factor, alpha);
  const columns = grid.beta ? cut(grid.beta, factor, beta) : { first: 0, count: 1 };
  /** @type {(cutting: { first: number; count: number }, k: number) => boolean} */
  const on = ({ first, count }, k) => k * factor >= first && k * factor < first + count;
  const reused = computed(result)
    .filter((_, i) => on(rows, i))
    .flatMap((row) => row.filter((there, j) => there && on(columns, j))).length;
  return { points: rows.count * columns.count, reused };
}
