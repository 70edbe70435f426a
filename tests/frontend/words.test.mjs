import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ago,
  escapeHtml,
  gridWords,
  holes,
  progressWords,
  shareDone,
  specWords,
} from "../../frontend/js/format.js";
import { bytes, duration, large, number, percent, whole } from "../../frontend/js/numbers.js";
import { isoline, regionAbove } from "../../frontend/js/isolines.js";
import { address, choice, jobsOf, parse } from "../../frontend/js/route.js";
import { near } from "./sample.mjs";

const plain = (text) => text.replaceAll("\u202f", " ");

test("a number has four significant digits, and an exponent if it is very small or large", () => {
  assert.equal(number(0.00021314), "0.0002131");
  assert.equal(number(12.3456), "12.35");
  assert.equal(plain(number(1.234e-7)), "1.23 × 10⁻⁷");
  assert.equal(plain(number(-2.5e9)), "−2.5 × 10⁹");
  assert.equal(number(-1), "−1");
  assert.deepEqual(
    [number(0), number(null), number(NaN), number(-Infinity)],
    ["0", "–", "NaN", "−∞"],
  );
});

test("counts, percentages, sizes and times are formatted for people", () => {
  assert.equal(plain(whole(1234567)), "1 234 567");
  assert.equal(large(3_901_500), "3.9 million");
  assert.equal(plain(percent(0.98765)), "98.77 %");
  assert.equal(plain(bytes(214_330)), "214 kB");
  assert.equal(plain(bytes(999)), "999 B");
  assert.deepEqual(
    [8, 125, 3600, 12_000].map((s) => plain(duration(s))),
    ["8 s", "2 min 5 s", "1 h 0 min", "3 h 20 min"],
  );
  const now = Date.parse("2026-11-21T12:00:00Z");
  assert.deepEqual(
    [
      "2026-11-21T11:59:40Z",
      "2026-11-21T11:59:00Z",
      "2026-11-21T09:00:00Z",
      "2026-11-19T12:00:00Z",
    ].map((then) => ago(then, now)),
    ["just now", "1 minute ago", "3 hours ago", "2 days ago"],
  );
});

test("a grid is described with one squared range or with two", () => {
  const alpha = { min: -1, max: 1, count: 51 };
  assert.equal(gridWords({ alpha, beta: alpha }), "51 × 51 points on [−1, 1]²");
  assert.equal(
    gridWords({ alpha, beta: { min: -0.5, max: 2, count: 9 } }),
    "51 × 9 points on [−1, 1] × [−0.5, 2]",
  );
  assert.equal(gridWords({ alpha }), "51 points on [−1, 1]");
  assert.equal(
    plain(
      specWords({
        kind: "slice",
        grid: { alpha },
        split: "test",
        subset: { count: 1000 },
        seed: 3,
        precision: "float32",
      }),
    ),
    "Slice · 51 points on [−1, 1] · 1 000 test images · seed 3",
  );
});

test("directions that depend on the loss are named in the words of the form", () => {
  const spec = { kind: "slice", split: "train", subset: null, seed: 0, precision: "float32" };
  const words = (directions) => specWords({ ...spec, directions }).split(" · ");
  assert.ok(words("gradient").includes("along the gradient"));
  assert.ok(words("eigenvectors").includes("along the sharpest eigenvectors"));
  assert.ok(!words("random").some((part) => part.startsWith("along")));
});

const BEGUN = {
  done: 0,
  total: 9,
  level: 0,
  levels: 1,
  points_per_second: null,
  eta_seconds: null,
};

test("progress shows level, speed and time left, and omits what is unknown", () => {
  assert.equal(
    plain(
      progressWords({
        done: 123,
        total: 2601,
        level: 1,
        levels: 5,
        points_per_second: 12.34,
        eta_seconds: 40,
      }),
    ),
    "123 of 2 601 points · level 2 of 5 · 12.3 points per second · 40 s left",
  );
  assert.equal(progressWords(BEGUN), "0 of 9 points");
});

test("while a job is prepared, progress says what is done and how much of it", () => {
  const points = { ...BEGUN, preparing: null };
  const preparing = { step: "path", done: 312, total: 1000 };
  assert.equal(
    plain(progressWords({ ...points, preparing })),
    "Preparing: loss of checkpoint 312 of 1 000",
  );
  assert.equal(
    progressWords({ ...points, preparing: { step: "other", done: 0, total: 0 } }),
    "Preparing",
  );
  assert(near(shareDone({ ...points, preparing }), 0.312));
  assert.equal(shareDone({ ...points, preparing: { step: "first", done: 0, total: 0 } }), 0);
  assert(near(shareDone({ ...points, done: 3 }), 1 / 3));
});

test("holes are counted by kind", () => {
  assert.equal(holes([]), "");
  assert.equal(
    holes([{ value: "nan" }, { value: "-inf" }, { value: "inf" }]),
    "1 point NaN, 2 points infinite",
  );
});

test("text for Plotly is escaped", () => {
  assert.equal(escapeHtml(`<a href="x">&'`), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
});

test("URLs are parsed back to what they were made from", () => {
  const id = "0123456789abcdef01";
  assert.deepEqual(parse(address(`/jobs/${id}`, { view: "contour", height: null })), {
    name: "job",
    path: `/jobs/${id}`,
    id,
    query: { view: "contour" },
  });
  assert.equal(address("/compare", { jobs: "a,b" }), "#/compare?jobs=a,b");
  assert.equal(parse("").name, "gallery");
  assert.equal(parse("#/jobs/../etc").name, "missing");
  assert.deepEqual(jobsOf({ jobs: `${id},x,${id},<b>` }), [id]);
  assert.equal(choice({ view: "<b>" }, "view", ["surface"], "surface"), "surface");
});

test("an isoline of a plane is the exact straight line", () => {
  const matrix = Array.from({ length: 4 }, (_, i) =>
    Array.from({ length: 6 }, (_, j) => 2 * i + j),
  );
  const segments = isoline(matrix, 3.7);
  assert.ok(segments.length >= 4);
  for (const [x0, y0, x1, y1] of segments)
    assert.ok(near(2 * x0 + y0, 3.7) && near(2 * x1 + y1, 3.7));
});

test("the region above a level of a plane has the exact area, and excludes holes", () => {
  const matrix = Array.from({ length: 4 }, (_, i) => Array(6).fill(i));
  const area = ({ points, triangles }) =>
    triangles.reduce((sum, [a, b, c]) => {
      const [[ax, ay], [bx, by], [cx, cy]] = [points[a], points[b], points[c]];
      return sum + Math.abs((bx - ax) * (cy - ay) - (cx - ax) * (by - ay)) / 2;
    }, 0);
  assert.ok(near(area(regionAbove(matrix, 1.25)), (3 - 1.25) * 5));
  matrix[3][5] = null;
  assert.ok(near(area(regionAbove(matrix, 1.25)), (3 - 1.25) * 5 - 1));
});
