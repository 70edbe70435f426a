import assert from "node:assert/strict";
import { test } from "node:test";
import { combine, countComputed, merge, revision } from "../../frontend/js/live.js";
import { partOf, resultOf } from "./sample.mjs";

const whole = resultOf((a, b) => 10 * a + b, { n: 4, m: 3 });
const empty = partOf(whole, () => false);
const points = whole.losses.flatMap((row, i) => row.map((_, j) => [i, j]));
const tileOf = (list) => ({
  level: 0,
  points: list,
  losses: list.map(([i, j]) => whole.losses[i][j]),
  accuracies: list.map(([i, j]) => whole.accuracies[i][j]),
  standard_errors: list.map(([i, j]) => whole.standard_errors[i][j]),
  extra: { test_losses: list.map(([i, j]) => whole.extra.test_losses[i][j]) },
  non_finite: [],
});

test("tiles in any order, even repeated, add up to the whole result", () => {
  const tiles = [points.slice(7), points.slice(0, 4), points.slice(4, 7), points.slice(2, 9)].map(
    tileOf,
  );
  assert.deepEqual({ ...tiles.reduce(merge, empty), state: "done" }, whole);
});

test("merging does not change the old result", () => {
  const before = JSON.stringify(empty);
  merge(empty, tileOf(points));
  assert.equal(JSON.stringify(empty), before);
});

test("a non-finite value stays a hole and counts as computed once", () => {
  const tile = {
    points: [[1, 2]],
    losses: [null],
    accuracies: [0.1],
    standard_errors: [null],
    non_finite: [{ i: 1, j: 2, value: "nan" }],
  };
  const merged = merge(merge(empty, tile), tile);
  assert.equal(merged.losses[1][2], null);
  assert.equal(merged.non_finite.length, 1);
  assert.equal(countComputed(merged), 1);
});

test("a fresh answer keeps the points that only events have delivered", () => {
  const older = merge(
    empty,
    tileOf([
      [3, 2],
      [0, 0],
    ]),
  );
  const fresh = merge(
    empty,
    tileOf([
      [0, 0],
      [1, 1],
    ]),
  );
  const both = combine(older, fresh);
  assert.deepEqual(both.losses, merge(fresh, tileOf([[3, 2]])).losses);
  assert.equal(combine(null, fresh), fresh);
});

test("the revision changes with each new point and not otherwise", () => {
  assert.equal(revision(merge(empty, tileOf([[0, 0]]))), revision(merge(empty, tileOf([[2, 1]]))));
  assert.notEqual(revision(empty), revision(merge(empty, tileOf([[0, 0]]))));
});
