import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultHeight, extent, niceSteps, sharedScale } from "../../frontend/js/scales.js";
import { near, resultOf } from "./sample.mjs";

const small = resultOf((a, b) => 0.001 + a * a + b * b, { n: 5, m: 3 });
const steep = resultOf((a, b) => 0.5 + 400 * a * a + b * b, { n: 5, m: 3 });

test("one scale holds the smallest and largest of all results", () => {
  const { least, most } = sharedScale([small, steep], { height: "log" });
  assert.equal(least, 0.001);
  assert.equal(most, 404.5);
});

test("losses above 10 are clipped, except on a log scale and where all are large", () => {
  assert.equal(sharedScale([small, steep]).clip, 10);
  assert.equal(sharedScale([small, steep], { height: "linear" }).high, 10);
  assert.equal(sharedScale([small, steep], { height: "log" }).clip, null);
  assert.equal(sharedScale([small]).clip, null);
  assert.equal(sharedScale([resultOf((a) => 50 + a)]).clip, null);
});

test("the height scales are the functions they are named after", () => {
  for (const loss of [0, 1e-3, 0.7, 3, 10]) {
    assert.equal(sharedScale([small], { height: "linear" }).forward(loss), loss);
    assert.equal(
      sharedScale([small], { height: "paper" }).forward(loss),
      Math.log(Math.min(loss, 10) + 0.1),
    );
    if (loss) assert.ok(near(10 ** sharedScale([small], { height: "log" }).forward(loss), loss));
  }
});

test("each tick is at the height of the loss it names, inside the box", () => {
  for (const results of [
    [small],
    [steep],
    [small, steep],
    [resultOf((a) => 50 + a)],
    [resultOf(() => 0.25)],
    [resultOf(() => 0.000769)],
    [resultOf((a) => -3 + a)],
  ]) {
    for (const height of ["linear", "log", "paper"]) {
      if (defaultHeight(results) === "linear" && height !== "linear") continue;
      const { ticks, forward, low, high } = sharedScale(results, { height });
      assert.ok(ticks.values.length > 1, `${height}: ${ticks.text}`);
      ticks.values.forEach((at, k) => {
        assert.ok(at >= low - 1e-9 && at <= high + 1e-9);
        const named = Number(ticks.text[k].replace("−", "-"));
        assert.ok(near(at, forward(named), 1e-3), `${height}: ${named} at ${at}`);
      });
    }
  }
});

test("the last line on a surface is at the clip", () => {
  const { relief, high } = sharedScale([small, steep]);
  assert.equal(relief.end, high);
  assert.ok(
    near(
      Math.round((relief.end - relief.start) / relief.size),
      (relief.end - relief.start) / relief.size,
      1e-9,
    ),
  );
});

test("the paper's contours are replaced by evenly spaced ones where few of them would be crossed", () => {
  assert.equal(sharedScale([steep]).contours.start, 0.1);
  const { start, end, size } = sharedScale([
    resultOf((a, b) => 0.01 + 0.02 * (a * a + b * b), { n: 5, m: 3 }),
  ]).contours;
  assert.ok(near((end - start) / size, 16, 1e-9));
});

test("a loss of zero has a height on a log scale", () => {
  const scale = sharedScale([resultOf((a) => a * a, { n: 5, m: 3 })], { height: "log" });
  assert.ok(Number.isFinite(scale.low) && Number.isFinite(scale.forward(0)));
});

test("a constant surface has a box that is not flat", () => {
  const { low, high } = sharedScale([resultOf(() => 3, { n: 5, m: 3 })], { height: "log" });
  assert.ok(high > low);
});

test("round steps cover the range and are 1, 2, 2.5 or 5 times a power of ten apart", () => {
  for (const [low, high] of [
    [0, 10],
    [-3, 0.7],
    [0, 0.00042],
    [12, 9000],
  ]) {
    const steps = niceSteps(low, high, 4);
    assert.ok(steps.length >= 3 && steps.length <= 6, String(steps));
    assert.ok(steps[0] >= low - 1e-12 && steps.at(-1) <= high * (1 + 1e-12));
    const step = steps[1] - steps[0];
    const mantissa = step / 10 ** Math.floor(Math.log10(step * (1 + 1e-9)));
    assert.ok(
      [1, 2, 2.5, 5, 10].some((round) => near(mantissa, round, 1e-6)),
      String(mantissa),
    );
  }
});

test("the default height is the paper's where the losses are of its kind", () => {
  assert.equal(defaultHeight([small]), "paper");
  const large = resultOf((a, b) => 30 + a * a + b * b);
  assert.equal(defaultHeight([large]), "linear");
  const provenance = { loss: { unit: "" } };
  assert.equal(defaultHeight([{ ...resultOf((a) => 2 + a * a), provenance }]), "linear");
  assert.equal(defaultHeight([{ ...small, provenance }]), "log");
  assert.equal(defaultHeight([small, resultOf((a, b) => 10 * a + b)]), "linear");
});

test("the extent ignores holes", () => {
  assert.deepEqual(
    extent([
      [
        [null, 3],
        [1, null],
      ],
    ]),
    [1, 3],
  );
  assert.deepEqual(extent([[[null]]]), [0, 1]);
});
