import assert from "node:assert/strict";
import { test } from "node:test";
import {
  axisLevels,
  centerIndex,
  completeLevel,
  computed,
  drawable,
  nearestFilled,
  subGrid,
} from "../../frontend/js/grid.js";
import { axis, levelByWalking, near, partOf, resultOf } from "./sample.mjs";

test("axis levels are those found by bisecting down to each index", () => {
  for (let count = 2; count <= 70; count += 1) {
    assert.deepEqual(
      axisLevels(count),
      axis(0, count - 1, count).map((_, i) => levelByWalking(i, count)),
    );
  }
});

test("axis levels of 11 points are those landscape/grid.py prints", () => {
  assert.deepEqual(axisLevels(11), [0, 3, 2, 3, 4, 1, 3, 2, 3, 4, 0]); // python -c "from landscape.grid import Axis; print(Axis(count=11).levels)"
});

test("a result is complete up to the level before that of its first missing point", () => {
  const whole = resultOf((a, b) => a + b, { n: 17, m: 9 });
  assert.equal(completeLevel(whole), 4);
  assert.equal(completeLevel(partOf(whole, (i, j) => !(i === 1 && j === 0))), 3);
  assert.equal(completeLevel(partOf(whole, (i, j) => !(i === 2 && j === 8))), 2);
  assert.equal(completeLevel(partOf(whole, (i, j) => !(i === 0 && j === 0))), -1);
  assert.equal(completeLevel(partOf(whole, () => false)), -1);
});

test("a point whose loss is NaN is computed; a missing one is not", () => {
  const result = partOf(
    resultOf((a) => a, { n: 5, m: 3 }),
    (i, j) => !(i === 1 && j === 2) && !(i === 3 && j === 0),
  );
  result.non_finite = [{ i: 1, j: 2, value: "nan" }];
  assert.equal(computed(result)[1][2], true);
  assert.equal(computed(result)[3][0], false);
});

test("a sub-grid holds the ends, its values keep their coordinates, and its holes are mapped", () => {
  const result = resultOf((a, b) => 10 * a + b, { n: 9, m: 5 });
  result.losses[4][1] = result.losses[1][0] = null;
  result.non_finite = [
    { i: 4, j: 1, value: "inf" },
    { i: 1, j: 0, value: "nan" },
  ];
  const part = subGrid(result, 2);
  assert.deepEqual(part.alphas, [-1, -0.5, 0, 0.5, 1]);
  assert.deepEqual(part.betas, [-2, -1, 0, 1, 2]);
  part.losses.forEach((row, i) =>
    row.forEach((loss, j) =>
      assert.equal(loss, i === 2 && j === 1 ? null : 10 * part.alphas[i] + part.betas[j]),
    ),
  );
  assert.deepEqual(part.non_finite, [{ i: 2, j: 1, value: "inf" }]);
});

test("missing points of the next level are interpolated on the coarser surface: a bilinear function is unchanged", () => {
  const f = (a, b) => 2 + 3 * a - b + 0.5 * a * b;
  const levels = [axisLevels(17), axisLevels(11)];
  const half = partOf(
    resultOf(f, { n: 17, m: 11 }),
    (i, j) => Math.max(levels[0][i], levels[1][j]) <= 3 || i < 5,
  );
  const part = drawable(half);
  assert.equal(part.level, 3);
  part.losses.forEach((row, i) =>
    row.forEach((loss, j) =>
      assert.ok(near(loss, f(part.alphas[i], part.betas[j])), `${i}, ${j}: ${loss}`),
    ),
  );
});

test("computed points are never replaced by interpolated ones", () => {
  const bumpy = (a, b) => a * a + Math.cos(9 * b);
  const levels = [axisLevels(17), axisLevels(11)];
  const seen = (i, j) => Math.max(levels[0][i], levels[1][j]) <= 2 || (i + j) % 3 === 0;
  const part = drawable(partOf(resultOf(bumpy, { n: 17, m: 11 }), seen));
  part.rows.forEach((i, p) =>
    part.columns.forEach(
      (j, q) => seen(i, j) && assert.equal(part.losses[p][q], bumpy(part.alphas[p], part.betas[q])),
    ),
  );
});

test("nothing is interpolated across a hole", () => {
  const levels = [axisLevels(9), axisLevels(9)];
  const half = partOf(
    resultOf((a) => a, { n: 9, m: 9 }),
    (i, j) => Math.max(levels[0][i], levels[1][j]) <= 2,
  );
  half.losses[4][4] = null;
  half.non_finite = [{ i: 4, j: 4, value: "nan" }];
  const part = drawable(half);
  for (const [i, j] of [
    [4, 4],
    [3, 4],
    [5, 4],
    [4, 3],
    [4, 5],
    [3, 3],
    [5, 5],
  ])
    assert.equal(part.losses[i][j], null, `${i}, ${j}`);
  assert.notEqual(part.losses[2][2], null);
});

test("before the first level is complete there is nothing to draw", () => {
  assert.equal(
    drawable(
      partOf(
        resultOf((a) => a),
        (i) => i < 3,
      ),
    ),
    null,
  );
});

test("a large grid is thinned to a sub-grid that includes the ends", () => {
  const part = drawable(
    resultOf((a, b) => a + b, { n: 401, m: 51 }),
    201,
  );
  assert.equal(part.alphas.length, 129); // 2^7 + 1, the finest below 201
  assert.equal(part.alphas[0], -1);
  assert.equal(part.alphas.at(-1), 1);
  assert.equal(part.losses[1][0], part.alphas[1] + part.betas[0]);
});

test("a slice is drawn like a surface of one column", () => {
  const part = drawable(resultOf((a) => a * a, { n: 9, kind: "slice" }));
  assert.deepEqual(
    part.losses.map(([loss]) => loss),
    part.alphas.map((a) => a * a),
  );
});

test("a missing cell takes a value at the smallest distance, as a brute-force search finds it", () => {
  const known = (i, j) => (3 * i + 5 * j) % 7 === 0;
  const whole = resultOf((a, b) => 100 * a + b, { n: 8, m: 11 });
  const part = partOf(whole, known);
  const filled = nearestFilled(part.losses, computed(part));
  filled.forEach((row, i) =>
    row.forEach((value, j) => {
      let least = Infinity;
      const candidates = [];
      part.losses.forEach((other, p) =>
        other.forEach((loss, q) => {
          if (loss === null) return;
          const distance = Math.abs(p - i) + Math.abs(q - j);
          if (distance < least) candidates.length = 0;
          if (distance <= least) [least] = [distance, candidates.push(loss)];
        }),
      );
      assert.ok(candidates.includes(value), `${i}, ${j}`);
    }),
  );
});

test("the center is found only where (0, 0) is a grid point", () => {
  assert.deepEqual(centerIndex(axis(-1, 1, 5), axis(-2, 2, 3)), [2, 1]);
  assert.equal(centerIndex(axis(-1, 1, 4), axis(-2, 2, 3)), null);
});
