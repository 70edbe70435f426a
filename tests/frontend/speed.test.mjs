import assert from "node:assert/strict";
import { test } from "node:test";

import { seen, speed } from "../../frontend/js/speed.js";

const all = (pairs) => pairs.reduce((samples, [at, sent]) => seen(samples, at, sent), []);

test("the speed is that of the last seconds, in bytes per second", () => {
  assert.equal(
    speed(
      all([
        [0, 0],
        [1000, 5000],
      ]),
    ),
    5000,
  );
  assert.equal(
    speed(
      all([
        [0, 0],
        [10_000, 1000],
        [12_000, 5000],
      ]),
    ),
    5000 / 12,
  );
  assert.equal(
    speed(
      all([
        [0, 0],
        [10_000, 1000],
        [12_000, 5000],
        [15_000, 11_000],
      ]),
    ),
    2000,
  );
});

test("there is no speed before there is enough to measure", () => {
  assert.equal(speed([]), null);
  assert.equal(speed(all([[0, 0]])), null);
  assert.equal(
    speed(
      all([
        [0, 0],
        [100, 5000],
      ]),
    ),
    null,
  );
});

test("the number of samples does not grow with the length of an upload", () => {
  const samples = all(Array.from({ length: 10_000 }, (_, n) => [n * 50, n]));
  assert.ok(samples.length < 100);
  assert.equal(speed(samples), 20);
});
