import assert from "node:assert/strict";
import { test } from "node:test";
import { BOX, fitCamera, project } from "../../frontend/js/camera.js";
import { near } from "./sample.mjs";

const SIZES = [
  [1440, 700],
  [650, 330],
  [430, 300],
  [358, 320],
  [300, 600],
  [900, 200],
];

/** A second source: the look-at and perspective matrices of OpenGL, one corner at a time. */
function throughMatrices({ eye, center, up }, width, height) {
  const v = (p) => [p.x, p.y, p.z];
  const minus = (a, b) => a.map((x, k) => x - b[k]);
  const unit = (a) => a.map((x) => x / Math.hypot(...a));
  const cross = (a, b) => [
    a[1] * b[2] - a[2] * b[1],
    a[2] * b[0] - a[0] * b[2],
    a[0] * b[1] - a[1] * b[0],
  ];
  const dot = (a, b) => a.reduce((sum, x, k) => sum + x * b[k], 0);
  const back = unit(minus(v(eye), v(center)));
  const right = unit(cross(v(up), back));
  const top = cross(back, right);
  const f = 1 / Math.tan(Math.PI / 8);
  const corners = [];
  for (const z of [-1, 1])
    for (const y of [-1, 1])
      for (const x of [-1, 1]) {
        const seen = minus([(x * BOX.x) / 2, (y * BOX.y) / 2, (z * BOX.z) / 2], v(eye));
        const w = -dot(back, seen);
        corners.push([(f * dot(right, seen) * height) / width / w, (f * dot(top, seen)) / w]);
      }
  return corners;
}

test("the projection is that of OpenGL's look-at and perspective matrices", () => {
  for (const [width, height] of SIZES) {
    const camera = fitCamera(width, height);
    const [ours, theirs] = [project(camera, width, height), throughMatrices(camera, width, height)];
    ours.forEach(([x, y], k) =>
      assert.ok(near(x, theirs[k][0], 1e-9) && near(y, theirs[k][1], 1e-9)),
    );
  }
});

test("all corners of the box are visible, with margins for the labels", () => {
  for (const [width, height] of SIZES) {
    for (const [x, y] of throughMatrices(
      fitCamera(width, height, { room: [30, 6, 26] }),
      width,
      height,
    )) {
      assert.ok(Math.abs(x) * (width / 2) <= width / 2 - 29.9, `${width}: ${x}`);
      assert.ok((1 - y) * (height / 2) >= 5.9 && (1 + y) * (height / 2) >= 25.9, `${height}: ${y}`);
    }
  }
});

test("the box fills the plot: it touches the margins on both sides or at top and bottom", () => {
  for (const [width, height] of SIZES) {
    const corners = throughMatrices(fitCamera(width, height, { room: [0, 0, 0] }), width, height);
    const [xs, ys] = [0, 1].map((k) => corners.map((corner) => corner[k]));
    const wide = Math.max(...xs.map(Math.abs));
    const tall = (Math.max(...ys) - Math.min(...ys)) / 2;
    assert.ok(near(Math.max(wide, tall), 1, 1e-6), `${width} × ${height}: ${wide}, ${tall}`);
  }
});
