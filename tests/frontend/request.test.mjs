import assert from "node:assert/strict";
import { test } from "node:test";
import {
  alike,
  centerOnGrid,
  complete,
  gridInputs,
  initialForm,
  jobSpec,
  inputOf,
} from "../../frontend/js/request.js";
import { asCurl, asPython, asShell } from "../../frontend/js/requestcode.js";
import { cost, estimate } from "../../frontend/js/cost.js";
import { problems } from "../../frontend/js/problems.js";

const id = "0123456789abcdef";
const dataset = { name: "digits", splits: { train: 1500, test: 297 } };
const form = (change = {}) => ({ ...initialForm(), checkpoint: id, ...change });

test("the initial form is the default surface of service/jobs/spec.py, of which only the checkpoint has to be sent", () => {
  assert.deepEqual(jobSpec(form()), { kind: "surface", checkpoint: id });
  assert.deepEqual(problems(form(), dataset), {});
});

test("a slice has no beta; a separate range for beta is used only if it is switched on", () => {
  assert.equal(jobSpec(form({ kind: "slice" })).grid, undefined);
  assert.deepEqual(jobSpec(form({ kind: "slice", alphaCount: "9" })).grid, {
    alpha: { min: -1, max: 1, count: 9 },
  });
  const own = { betaMin: "-0,5", betaMax: "2", betaCount: "7", alphaMax: "3" };
  assert.deepEqual(jobSpec(form(own)).grid.beta, { min: -1, max: 3, count: 7 });
  assert.deepEqual(jobSpec(form({ ...own, ownBeta: true })).grid.beta, {
    min: -0.5,
    max: 2,
    count: 7,
  });
});

test("errors are reported at their input, worded as the service words them", () => {
  const wrong = (change) => problems(form(change), dataset);
  assert.equal(wrong({ checkpoint: "" }).checkpoint, "Choose a checkpoint.");
  assert.equal(wrong({ alphaCount: "1" }).alphaCount, "An axis needs at least 2 points; got 1.");
  assert.equal(wrong({ alphaCount: "5.5" }).alphaCount, "“5.5” is not a whole number.");
  assert.equal(
    wrong({ alphaMin: "1", alphaMax: "-1" }).alphaMin,
    "The range [1, -1] is empty or reversed. Use min < max.",
  );
  assert.equal(wrong({ alphaMin: "NaN" }).alphaMin, "“NaN” is not a finite number.");
  assert.equal(wrong({ alphaMax: "" }).alphaMax, "Nothing is not a finite number.");
  assert.equal(
    wrong({ alphaCount: "1002", betaCount: "1001" }).alphaCount,
    "The grid has 1003002 points; at most 1002001 are allowed. Use fewer.",
  );
  assert.deepEqual(wrong({ alphaCount: "1001", betaCount: "1001" }), {});
  assert.equal(wrong({ seed: "-1" }).seed, "-1 is less than 0.");
  assert.equal(
    wrong({ images: "some", subsetCount: "1501" }).subsetCount,
    "There are 1500 training images; 1501 is more.",
  );
  assert.equal(
    wrong({ images: "some", subsetCount: "298", split: "test" }).subsetCount,
    "There are 297 test images; 298 is more.",
  );
  assert.equal(
    wrong({ name: "x".repeat(201) }).name,
    "At most 200 characters are allowed; there are 201.",
  );
});

test("hidden inputs are not validated: beta for a slice, the subset for all images", () => {
  assert.deepEqual(
    problems(form({ kind: "slice", betaCount: "1", images: "all", subsetCount: "x" }), dataset),
    {},
  );
});

test("curl sends exactly the JSON, quoted for the shell", () => {
  const spec = jobSpec(form({ name: "it's <b>", images: "some", alphaMax: "2" }));
  const text = asCurl(spec, "http://127.0.0.1:8000");
  assert.match(text, /^curl -X POST http:\/\/127\.0\.0\.1:8000\/api\/v1\/jobs /);
  const body = /-d '([\s\S]*)'$/.exec(text)[1].replaceAll("'\\''", "'");
  assert.deepEqual(JSON.parse(body), spec);
});

test("Python sends the same, as Python literals", () => {
  const spec = jobSpec(form({ name: 'a "b"' }));
  const text = asPython(spec, "http://127.0.0.1:8000");
  const literal = /spec = (\{[\s\S]*?\n\})/.exec(text)[1];
  assert.deepEqual(JSON.parse(literal.replaceAll("None", "null").replace(/,\n( *)\}/g, "}")), spec);
});

test("the shell gets the file names, the grid, and the options that are not the default", () => {
  const change = {
    alphaCount: "9",
    betaCount: "7",
    ownBeta: true,
    betaMin: "0",
    images: "some",
    subsetCount: "20",
    label_smoothing: "0.1",
    compare_batch_norm: ["batch", "recalibrated"],
    name: "not in the shell",
  };
  const text = asShell(jobSpec(form(change)), "http://lab:8000", () => "my net's.pt");
  assert.deepEqual(text.split(" \\\n  "), [
    "landscape surface 'my net'\\''s.pt'",
    "--grid 9x7",
    "--range=-1:1",
    "--range-beta=0:1",
    "--subset 20:0",
    "--label-smoothing 0.1",
    "--compare-batch-norm batch",
    "--compare-batch-norm recalibrated",
    "--server http://lab:8000",
    "-o surface.npz",
  ]);
});

test("the cost is points times images", () => {
  assert.match(
    cost(jobSpec(form()), dataset).replaceAll("\u202f", ""),
    /^2601 points × 1500 images = 3.9 million/,
  );
  assert.match(
    cost(jobSpec(form({ kind: "slice", images: "some", subsetCount: "10" })), dataset),
    /^51 points × 10 images = 510 /,
  );
});

test("the duration is estimated from an earlier job on the same checkpoint, in proportion to the work", () => {
  const spec = jobSpec(form());
  const done = {
    state: "done",
    started: "2026-01-01T00:00:00Z",
    finished: "2026-01-01T00:00:20Z",
    spec: {
      ...complete(spec),
      grid: { alpha: { min: -1, max: 1, count: 51 } },
      subset: { count: 500, seed: 0 },
    },
  };
  assert.equal(estimate(spec, [done], dataset), 20 * 51 * 3);
  assert.equal(estimate({ ...spec, checkpoint: "another" }, [done], dataset), null);
  const slower = {
    ...done,
    finished: new Date(
      Date.parse(done.started) + 5 * (Date.parse(done.finished) - Date.parse(done.started)),
    ).toISOString(),
  };
  assert.equal(estimate(spec, [slower, done], dataset), 20 * 51 * 3);
  assert.equal(
    estimate(
      { ...spec, checkpoint: "another" },
      [{ ...done, checkpoint: { label: "ResNet-20" } }],
      dataset,
      "ResNet-20",
    ),
    20 * 51 * 3,
  );
  assert.equal(estimate({ ...spec, checkpoint: "another" }, [done], dataset, "VGG-9"), null);
});

test("the center is on the grid if both axes hold 0", () => {
  assert.equal(centerOnGrid(jobSpec(form())), true);
  assert.equal(centerOnGrid(jobSpec(form({ alphaCount: "50" }))), false);
  assert.equal(
    centerOnGrid(jobSpec(form({ kind: "slice", alphaMin: "0.5", alphaMax: "1" }))),
    false,
  );
});

const network = { label: "ResNet-20" };
const checkpoints = ["a", "b", "c", "d"]
  .map((letter, k) => ({
    id: letter.repeat(16),
    name: `epoch-${[1, 10, 2, 3][k]}`,
    architecture: network,
  }))
  .concat({ id: "e".repeat(16), name: "vgg", architecture: { label: "VGG-9" } });
const [a, b, c, d, other] = checkpoints.map(({ id: own }) => own);
const begin = (kind, change = {}) => form({ kind, checkpoint: a, ...gridInputs(kind), ...change });

test("an interpolation, a plane and a trajectory name their checkpoints and send no options of directions", () => {
  assert.deepEqual(jobSpec(begin("interpolation", { end: b, biases: "random", repeats: "5" })), {
    kind: "interpolation",
    checkpoint: a,
    end: b,
  });
  assert.deepEqual(jobSpec(begin("plane", { second: b, third: c })), {
    kind: "plane",
    checkpoint: a,
    second: b,
    third: c,
  });
  assert.deepEqual(jobSpec(begin("trajectory", { epochs: [a, c, d, b] })), {
    kind: "trajectory",
    epochs: [a, c, d, b],
  });
  assert.match(
    asPython(jobSpec(begin("trajectory", { epochs: [a, b] })), "x"),
    /"epochs": \["a+", "b+"\],/,
  );
});

test("a curvature map has 11 × 11 points by default, and no repeats", () => {
  assert.equal(gridInputs("curvature").alphaCount, "11");
  const spec = jobSpec(begin("curvature", { repeats: "3", directions: "gradient" }));
  assert.deepEqual(spec, { kind: "curvature", checkpoint: a, directions: "gradient" });
});

test("checkpoints must exist, be different, and have the same architecture", () => {
  const wrong = (kind, change) => problems(begin(kind, change), dataset, checkpoints);
  assert.deepEqual(wrong("plane", { second: b, third: c }), {});
  assert.match(wrong("plane", { second: b, third: b }).third, /already chosen/);
  assert.match(wrong("interpolation", { end: a }).end, /already chosen/);
  assert.equal(wrong("interpolation", { end: "" }).end, "Choose a checkpoint.");
  assert.match(
    wrong("interpolation", { checkpoint: other, end: "" }).end,
    /^2 checkpoints of one network are needed; the library has 1 of VGG-9/,
  );
  assert.equal(
    wrong("interpolation", { end: other }).end,
    "vgg is a VGG-9, epoch-1 a ResNet-20. Use checkpoints of one network.",
  );
  assert.match(
    wrong("trajectory", { epochs: [a, b, c] }).epochs,
    /^At least 4 checkpoints of one network are needed; 3 chosen/,
  );
  assert.deepEqual(wrong("trajectory", { epochs: [a, c, d, b], checkpoint: "" }), {});
  assert.deepEqual(
    alike(checkpoints[0], checkpoints).map(({ name }) => name),
    ["epoch-1", "epoch-2", "epoch-3", "epoch-10"],
  );
});

test("repeats, splits and the loss are checked as the service does", () => {
  const wrong = (change, data = dataset) => problems(form(change), data);
  assert.equal(wrong({ repeats: "65" }).repeats, "65 is more than 64.");
  assert.match(wrong({ repeats: "2", also: "test" }).repeats, /^repeats above 1 take/);
  assert.equal(
    wrong({ also: "test" }, { name: "mine", splits: { train: 5 } }).also,
    "mine has no test split. It has: train.",
  );
  assert.match(wrong({ loss: "mse" }, { ...dataset, targets: "tokens" }).loss, /loss of their own/);
});

test("an error of the service is assigned to its input, that of a nested field too", () => {
  assert.deepEqual(["epochs.3", "batch_norm", "grid.alpha.count", "nothing", null].map(inputOf), [
    "epochs",
    "batch_norm",
    "alphaCount",
    undefined,
    undefined,
  ]);
});

test("cost and duration account for a grid that the service chooses, repeats and a second split", () => {
  const plane = jobSpec(begin("plane", { second: b, third: c }));
  assert.match(cost(plane, dataset).replaceAll("\u202f", ""), /^625 points × 1500 images/);
  assert.match(cost(jobSpec(form({ repeats: "2", kind: "slice" })), dataset), /^102 points/);
  assert.match(
    cost(jobSpec(form({ kind: "slice", also: "test" })), dataset).replaceAll("\u202f", ""),
    /× 1797 images/,
  );
  const done = {
    state: "done",
    started: "2026-01-01T00:00:00Z",
    finished: "2026-01-01T00:00:10Z",
    spec: { ...complete(plane), grid: null },
  };
  assert.equal(estimate(plane, [done], dataset), 10);
  assert.equal(estimate(jobSpec(begin("curvature")), [done], dataset), null);
  assert.equal(centerOnGrid(plane), true);
});
