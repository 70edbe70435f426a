import assert from "node:assert/strict";
import { test } from "node:test";
import {
  finer,
  gridOf,
  moreSeeds,
  oneMoreSeed,
  pointsOf,
  region,
  scaled,
  wider,
  zoomed,
} from "../../frontend/js/refine.js";

/** A result on given coordinates; `missing` points are not computed, one is infinite. */
function resultOn(kind, alphas, betas, missing = []) {
  const losses = alphas.map((_, i) => betas.map((_, j) => i + j));
  losses[0][0] = null;
  for (const [i, j] of missing) losses[i][j] = null;
  return { kind, alphas, betas, losses, non_finite: [{ i: 0, j: 0, value: "inf" }] };
}

const surface = resultOn("surface", [-0.5, 0, 0.5, 1], [-1, -0.25, 0.5]);

/** The same by comparing every coordinate of the refined axes with every present one. */
function bruteForce(result, { factor = 1, alpha, beta }) {
  const axes = [
    [result.alphas, alpha],
    [result.betas, beta],
  ].map(([own, range]) => {
    if (own.length === 1) return own;
    const spacing = (own[1] - own[0]) / factor;
    const all = [];
    for (let k = -1000; k <= 1000; k += 1) all.push(own[0] + k * spacing);
    const { min, max } = range ?? { min: own[0], max: own.at(-1) };
    const inside = all.filter((at) => at > min - spacing + 1e-7 && at < max + spacing - 1e-7);
    return inside;
  });
  const there = (axis, at) => axis.some((own) => Math.abs(own - at) < 1e-9);
  let reused = 0;
  result.alphas.forEach((a, i) =>
    result.betas.forEach((b, j) => {
      const hole = result.non_finite.some((point) => point.i === i && point.j === j);
      if ((result.losses[i][j] !== null || hole) && there(axes[0], a) && there(axes[1], b))
        reused += 1;
    }),
  );
  return { points: axes[0].length * axes[1].length, reused };
}

test("twice as fine: 4 × 3 points become 7 × 5, of which 12 are there", () => {
  assert.deepEqual(pointsOf(surface, finer()), { points: 35, reused: 12 });
});

test("a range half as wide again keeps the spacing, and its ends are moved outwards to it", () => {
  // [−0.875, 1.375] by 0.5 is [−1, 1.5]: 6 points; [−1.375, 0.875] by 0.75 is [−1.75, 1.25]: 5
  const refinement = wider(gridOf(surface));
  assert.deepEqual(refinement, {
    factor: 1,
    alpha: { min: -0.875, max: 1.375 },
    beta: { min: -1.375, max: 0.875 },
  });
  assert.deepEqual(pointsOf(surface, refinement), { points: 30, reused: 12 });
});

test("a region of half the range in both axes is twice as fine, of a tenth ten times", () => {
  const grid = gridOf(surface);
  assert.equal(region(grid, scaled(grid, 0.5)).factor, 2);
  assert.equal(region(grid, scaled(grid, 0.1)).factor, 10);
  assert.equal(region(grid, scaled(grid, 1e-9)).factor, 64);
  assert.equal(region(grid, { ...scaled(grid, 0.1), beta: { min: -1, max: 0.5 } }).factor, 2);
});

test("points are counted as a search over all coordinates finds them, for any refinement", () => {
  const partial = resultOn("surface", surface.alphas, surface.betas, [
    [1, 2],
    [3, 0],
  ]);
  const line = resultOn("slice", [-1, -0.5, 0, 0.5, 1], [0]);
  const ranges = [undefined, { min: -0.2, max: 0.3 }, { min: 0, max: 0.5 }, { min: -2, max: 0.25 }];
  for (const result of [surface, partial, line])
    for (const factor of [1, 2, 3, 7])
      for (const alpha of ranges)
        for (const beta of result === line ? [undefined] : ranges) {
          const refinement = { factor, alpha, beta };
          assert.deepEqual(
            pointsOf(result, refinement),
            bruteForce(result, refinement),
            JSON.stringify(refinement),
          );
        }
  assert.deepEqual(pointsOf(partial, finer()), { points: 35, reused: 10 });
});

test("a seed more only where a job is a mean over seeds, and may have one more", () => {
  const job = (kind, spec = {}) => ({
    kind,
    spec: { repeats: 1, directions: "random", compare_batch_norm: [], also: null, ...spec },
  });
  assert.deepEqual(oneMoreSeed(job("surface")), { repeats: 2 });
  assert.deepEqual(moreSeeds(job("surface", { repeats: 2 }), 5), { repeats: 5 });
  assert.equal(moreSeeds(job("surface", { repeats: 5 }), 5), null);
  assert.equal(moreSeeds(job("trajectory"), 5), null);
  assert.deepEqual(oneMoreSeed(job("slice", { repeats: 63 })), { repeats: 64 });
  assert.equal(oneMoreSeed(job("slice", { repeats: 64 })), null);
  assert.equal(oneMoreSeed(job("curvature")), null);
  assert.equal(oneMoreSeed(job("surface", { directions: "gradient" })), null);
  assert.equal(oneMoreSeed(job("surface", { also: "test" })), null);
});

test("the grid of a result is that of its coordinates; a line has no second axis", () => {
  assert.deepEqual(gridOf(surface), {
    alpha: { min: -0.5, max: 1, count: 4 },
    beta: { min: -1, max: 0.5, count: 3 },
  });
  assert.equal(gridOf(resultOn("interpolation", [0, 1], [0])).beta, undefined);
});

test("a plot that is zoomed in shows a region; one that shows everything, or is in 3-D, shows none", () => {
  const grid = gridOf(surface);
  assert.deepEqual(
    zoomed(grid, [
      [-0.25, 3],
      [-2, 2],
    ]),
    { alpha: { min: -0.25, max: 1 }, beta: { min: -1, max: 0.5 } },
  );
  const all = [
    [-0.5, 1],
    [-1, 0.5],
  ];
  assert.equal(zoomed(grid, all), null);
  assert.equal(zoomed(grid, null), null);
  assert.deepEqual(
    zoomed({ alpha: grid.alpha }, [
      [0, 0.5],
      [0, 9],
    ]),
    { alpha: { min: 0, max: 0.5 } },
  );
});
