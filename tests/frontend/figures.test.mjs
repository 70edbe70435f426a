import assert from "node:assert/strict";
import { test } from "node:test";
import { THEMES } from "../../frontend/js/colors.js";
import {
  contourFigure,
  heatmapFigure,
  keyOf,
  surfaceFigure,
  transposeForPlotly,
} from "../../frontend/js/figures.js";
import { leastIndex } from "../../frontend/js/marks.js";
import { sharedScale } from "../../frontend/js/scales.js";
import { defaultSliceHeight, runs, slicesFigure } from "../../frontend/js/slices.js";
import { near, partOf, resultOf } from "./sample.mjs";

const theme = THEMES.light;
const camera = {};

test("Plotly gets z[j][i] = losses[i][j]: f = 10x + y on 3 × 5 points puts every value at its coordinates", () => {
  const result = resultOf((a, b) => 10 * a + b, { n: 3, m: 5 });
  const z = transposeForPlotly(result.losses);
  assert.deepEqual(z, [
    [-12, -2, 8],
    [-11, -1, 9],
    [-10, 0, 10],
    [-9, 1, 11],
    [-8, 2, 12],
  ]);
  const scale = sharedScale([result], { height: "linear" });
  for (const {
    data: [trace],
  } of [
    surfaceFigure(result, { scale, theme, camera }),
    heatmapFigure(result, { scale, theme }),
    contourFigure(result, { scale, theme }),
  ]) {
    assert.deepEqual(trace.x, [-1, 0, 1]);
    assert.deepEqual(trace.y, [-2, -1, 0, 1, 2]);
    trace.y.forEach((beta, j) =>
      trace.x.forEach((alpha, i) => assert.equal(trace.z[j][i], 10 * alpha + beta)),
    );
    assert.deepEqual(trace.customdata, z);
  }
});

test("at every height scale a surface carries the losses themselves as well", () => {
  const result = resultOf((a, b) => a * a + b * b, { n: 7, m: 4 });
  for (const height of ["linear", "log", "paper"]) {
    const {
      data: [trace],
    } = surfaceFigure(result, { scale: sharedScale([result], { height }), theme, camera });
    assert.deepEqual(trace.customdata, transposeForPlotly(result.losses));
  }
});

test("the paper's height below the clip is ln(min(z, 10) + 0.1), and the box ends at the clip", () => {
  const result = resultOf((a, b) => 20 * (a * a + b * b), { n: 7, m: 5 });
  const {
    data: [trace, lid],
    layout,
  } = surfaceFigure(result, { scale: sharedScale([result]), theme, camera });
  const top = layout.scene.zaxis.range[1];
  assert.equal(top, Math.log(10.1));
  trace.z.forEach((row, j) =>
    row.forEach((height, i) =>
      assert.equal(Math.min(height, top), Math.log(Math.min(result.losses[i][j], 10) + 0.1)),
    ),
  );
  assert.equal(lid.name, "above 10");
  assert.ok(lid.z.every((height) => height < top));
});

test("a surface that is nowhere above the clip has no lid", () => {
  const result = resultOf((a, b) => a * a + b * b, { n: 7, m: 4 });
  assert.equal(
    surfaceFigure(result, { scale: sharedScale([result]), theme, camera }).data.length,
    1,
  );
});

test("non-finite points are holes with their own trace and legend entry", () => {
  const result = resultOf((a, b) => a * a + b * b, { n: 5, m: 3 });
  result.losses[1][2] = result.losses[4][0] = null;
  result.non_finite = [
    { i: 1, j: 2, value: "nan" },
    { i: 4, j: 0, value: "inf" },
  ];
  const scale = sharedScale([result]);
  for (const figure of [
    surfaceFigure(result, { scale, theme, camera }),
    heatmapFigure(result, { scale, theme }),
    contourFigure(result, { scale, theme }),
  ]) {
    assert.equal(figure.data[0].z[2][1], null);
    const holes = figure.data.find(({ name }) => name === "1 point NaN, 1 point infinite");
    assert.deepEqual(
      [holes.x, holes.y, holes.text, holes.showlegend],
      [[-0.5, 1], [2, -2], ["nan", "inf"], true],
    );
    assert.equal(figure.layout.showlegend, true);
  }
});

test("while a heatmap fills, computed cells are in one trace and dimmed estimates in another", () => {
  const result = partOf(
    resultOf((a, b) => a + b, { n: 6, m: 4 }),
    (i, j) => (i + j) % 2 === 0,
  );
  const [guess, known] = heatmapFigure(result, {
    scale: sharedScale([result], { height: "linear" }),
    theme,
  }).data;
  assert.ok(guess.opacity < 0.5 && guess.z.flat().every((value) => value !== null));
  assert.deepEqual(known.customdata, transposeForPlotly(result.losses));
  assert.equal(
    heatmapFigure(
      resultOf((a) => a),
      { scale: sharedScale([result]), theme },
    ).data[0].name,
    "loss",
  );
});

test("the paper's contours are at 0.1 to 9.6 in steps of 0.5 of the loss itself", () => {
  const result = resultOf((a, b) => 9 * (a * a + b * b), { n: 7, m: 4 });
  const {
    data: [trace],
  } = contourFigure(result, { scale: sharedScale([result]), theme });
  assert.deepEqual(
    [trace.contours.start, trace.contours.end, trace.contours.size],
    [0.1, 9.6, 0.5],
  );
  assert.deepEqual(trace.z, transposeForPlotly(result.losses));
});

test("accuracy is drawn in percent, from its own matrix", () => {
  const result = resultOf((a) => a, { n: 3, m: 4 });
  result.accuracies = result.losses.map((row, i) => row.map((_, j) => (i + 3 * j) / 20));
  const {
    data: [trace],
  } = surfaceFigure(result, { scale: sharedScale([result], { value: "accuracy" }), theme, camera });
  trace.z.forEach((row, j) => row.forEach((height, i) => assert.ok(near(height, 5 * (i + 3 * j)))));
});

test("an extra array is scaled like a loss if it is one, and not scaled otherwise", () => {
  const result = resultOf((a, b) => 30 * (a * a + b * b), { n: 3, m: 5 });
  const scale = sharedScale([result], { value: "test_losses", height: "linear" });
  assert.deepEqual(
    surfaceFigure(result, { scale, theme, camera }).data[0].z,
    transposeForPlotly(result.extra.test_losses),
  );
  assert.equal(scale.clip, 10);
  result.extra.lambda_max = result.losses;
  assert.equal(sharedScale([result], { value: "lambda_max", height: "paper" }).height, "linear");
});

test("the path of a training run is at its coordinates in 2-D, and at its losses up to the clip in 3-D", () => {
  const result = resultOf((a, b) => 30 * (a * a + b * b), { n: 3, m: 5 });
  result.trajectory = {
    coordinates: [
      [1, 2],
      [0.5, 1],
      [0, 0],
    ],
    losses: [90, 3, 0.1],
  };
  const scale = sharedScale([result], { height: "linear" });
  const path = (figure) => figure.data.find(({ name }) => name === "training");
  assert.deepEqual(
    [
      path(contourFigure(result, { scale, theme })).x,
      path(contourFigure(result, { scale, theme })).y,
    ],
    [
      [1, 0.5, 0],
      [2, 1, 0],
    ],
  );
  assert.deepEqual(path(surfaceFigure(result, { scale, theme, camera })).z, [10, 3, 0.1]);
});

test("the star marks the smallest loss", () => {
  const result = resultOf((a, b) => (a - 0.5) ** 2 + (b + 1) ** 2, { n: 5, m: 9 });
  const [i, j] = leastIndex(result.losses);
  assert.deepEqual([result.alphas[i], result.betas[j]], [0.5, -1]);
});

test("a slice draws its column, with a band of one standard error", () => {
  const result = resultOf((a) => 3 + a * a, { n: 5, kind: "slice" });
  const { data } = slicesFigure([{ result, label: "x" }], { theme });
  const loss = data.find(({ name }) => name === "loss");
  assert.deepEqual(loss.y, [4, 3.25, 3, 3.25, 4]);
  const band = data.find(({ fill }) => fill === "toself");
  assert.deepEqual(band.y.slice(0, 5), [4.1, 3.35, 3.1, 3.35, 4.1]);
  assert.deepEqual(band.x.slice(5), [1, 0.5, 0, -0.5, -1]);
});

test("the band of a mean over seeds is their spread", () => {
  const result = resultOf((a) => 3 + a * a, { n: 5, kind: "slice" });
  result.extra = { seed_deviations: result.losses.map(() => [2]) };
  result.provenance = { ...result.provenance, repeated: { seeds: [0, 1, 2] } };
  const { data } = slicesFigure([{ result, label: "x" }], { theme });
  const band = data.find(({ fill }) => fill === "toself");
  assert.deepEqual(band.y.slice(0, 5), [6, 5.25, 5, 5.25, 6]);
  assert.equal(band.name, "± one standard deviation over 3 seeds");
});

test("a band has a gap at missing points", () => {
  assert.deepEqual(runs([1, 2, null, 4, 5, 6, null, 8], [1, 1, 1, 1, 1, null, 1, 1]), [
    [0, 1],
    [3, 4],
  ]);
});

test("names from users are escaped for Plotly", () => {
  const result = resultOf((a) => a * a, { n: 5, kind: "slice" });
  const names = slicesFigure(
    [
      { result, label: "<b>x</b> & <a href='//evil'>" },
      { result, label: "y" },
    ],
    { theme },
  ).data.flatMap(({ name, hovertemplate }) => [name, hovertemplate ?? ""]);
  assert.ok(names.some((name) => name.includes("&lt;b&gt;x&lt;/b&gt; &amp;")));
  assert.ok(names.every((name) => !/<(b|a)[ >]/.test(name)));
});

test("several slices explain the dashed lines in a legend above the plot, with labels shortened to the width of a phone", () => {
  const result = resultOf((a) => a * a, { n: 5, kind: "slice" });
  const named = (width, label) =>
    slicesFigure(
      [
        { result, label },
        { result, label: "y" },
      ],
      { theme, width },
    );
  const { data, layout } = named(340, "ResNet-56, width 16, without shortcuts on digits");
  const shown = data.filter(({ showlegend }) => showlegend !== false);
  assert.equal(shown.length, 3);
  assert.ok(shown[0].name.endsWith("…") && shown[0].name.length < 40);
  assert.equal(shown.at(-1).line.dash, "dot");
  assert.ok(layout.legend.y > 1 && layout.margin.t > 19 * 3);
  assert.ok(
    named(1200, "ResNet-56, width 16, without shortcuts on digits").data.some(
      ({ name }) => name === "ResNet-56, width 16, without shortcuts on digits",
    ),
  );
});

test("slices are logarithmic if they span more than three decades", () => {
  assert.equal(defaultSliceHeight([resultOf((a) => 1e-4 + a * a, { n: 5, kind: "slice" })]), "log");
  assert.equal(defaultSliceHeight([resultOf((a) => 1 + a * a, { n: 5, kind: "slice" })]), "linear");
});

test("the color key follows the plot: by height on a surface, by level on contours", () => {
  const result = resultOf((a, b) => 20 * (a * a + b * b), { n: 7, m: 5 });
  const scale = sharedScale([result]);
  const surface = keyOf(scale, "surface", theme);
  for (const { at, text } of surface.ticks)
    assert.ok(
      near(
        at,
        (Math.log(Number(text) + 0.1) - Math.log(0.1)) / (Math.log(10.1) - Math.log(0.1)),
        1e-9,
      ),
      text,
    );
  const contour = keyOf(scale, "contour", theme);
  assert.ok(contour.ticks.length > 2);
  for (const { at, text } of contour.ticks)
    assert.ok(near(at, (Number(text) - 0.1) / 9.5, 1e-9), text);
  assert.deepEqual([surface.above, contour.above], ["above 10", null]);
});
