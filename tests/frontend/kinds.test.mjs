/** The form of a new job offers what the kinds are defined to take (kinds.js), also a kind that does not exist yet. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, test } from "node:test";
import { cost } from "../../frontend/js/cost.js";
import { isLine } from "../../frontend/js/grid.js";
import { KINDS, LIMITS } from "../../frontend/js/kinds.js";
import { problems } from "../../frontend/js/problems.js";
import {
  IN_SENTENCE,
  complete,
  gridInputs,
  initialForm,
  inputOf,
  jobSpec,
} from "../../frontend/js/request.js";
import en from "../../frontend/js/strings/en.js";
import { named } from "../../frontend/js/text.js";

const dataset = { name: "digits", splits: { train: 1500, test: 297 } };
const ids = ["a", "b", "c", "d", "e"].map((letter) => letter.repeat(16));

/** A kind that the page has never seen: other roles, a required list, options of every type, an exclusion. */
const RAY = {
  axes: 1,
  grid: { alpha: { min: 0, max: 4, count: 9 } },
  roles: [
    { name: "start", many: false, least: 1 },
    { name: "target", many: false, least: 1 },
    { name: "witnesses", many: true, least: 2 },
  ],
  options: {
    dataset: { type: "str", default: "digits", longest: 64 },
    split: { type: "Split", default: "train", choices: ["train", "test"] },
    subset: { type: "Subset", default: null },
    bend: { type: "float", default: 0.5, least: 0, below: 2 },
    turns: { type: "int", default: 3, least: 1, most: 9 },
    marks: { type: "list[Mark]", default: [], choices: ["x", "y", "z"], longest: 2 },
    note: { type: "str", default: null, longest: 5 },
  },
  excludes: [{ option: "turns", others: ["marks", "note"] }],
  columns: [],
};
const real = Object.keys(KINDS);
KINDS.ray = RAY;
after(() => delete KINDS.ray);

/** The form of a kind as it is at first, with its checkpoints chosen. */
function begin(kind, change = {}) {
  const roles = KINDS[kind].roles.map(({ name, many, least }, k) => [
    k || many ? name : "checkpoint",
    many ? ids.slice(k, k + least) : ids[k],
  ]);
  return {
    ...initialForm(),
    kind,
    ...gridInputs(kind),
    ...Object.fromEntries(roles),
    ...change,
  };
}

/** Another value that an option allows, as typed, and as sent. */
function another({ type, default: usual, choices, least = 0, below, longest }) {
  if (type === "Subset") return null;
  if (type === "int") return [String(least + 1), least + 1];
  if (type === "float") return [String(least + (below ?? 1) / 8), least + (below ?? 1) / 8];
  if (Array.isArray(usual)) return [choices.slice(0, longest), choices.slice(0, longest)];
  const other = choices?.find((choice) => choice !== usual) ?? "other";
  return [other, other];
}

for (const kind of Object.keys(KINDS)) {
  test(`${kind}: the untouched form sends its checkpoints, and nothing else`, () => {
    const spec = jobSpec(begin(kind));
    assert.deepEqual(Object.keys(spec), ["kind", ...KINDS[kind].roles.map(({ name }) => name)]);
    for (const { name, many, least } of KINDS[kind].roles)
      assert.equal([spec[name]].flat().length, many ? least : 1);
    assert.deepEqual(problems(begin(kind), dataset), {});
  });

  test(`${kind}: every option has an input; its default is not sent, another value is`, () => {
    for (const [name, option] of Object.entries(KINDS[kind].options)) {
      assert.equal(complete(jobSpec(begin(kind)))[name], option.default, name);
      if (option.type === "Subset") continue;
      assert.equal(inputOf(name), name);
      const [typed, sent] = another(option);
      assert.notDeepEqual(sent, option.default, name);
      assert.deepEqual(jobSpec(begin(kind, { [name]: typed }))[name], sent, name);
    }
    const some = jobSpec(begin(kind, { images: "some", subsetCount: "7", subsetSeed: "3" }));
    assert.deepEqual(some.subset, { count: 7, seed: 3 });
  });

  test(`${kind}: numbers, texts and lists outside their bounds are refused at their input`, () => {
    for (const [
      name,
      { type, default: usual, least, most, below, longest, choices },
    ] of Object.entries(KINDS[kind].options)) {
      const wrong = [];
      if (least !== undefined) wrong.push(String(least - 1));
      if (most !== undefined) wrong.push(String(most + 1));
      if (below !== undefined) wrong.push(String(below));
      if (type === "int" || type === "float") wrong.push("x", "1e999");
      if ((type === "int" || type === "float") && usual !== null) wrong.push("");
      if (type === "int") wrong.push(String(least + 0.5));
      if (Array.isArray(usual)) wrong.push(choices.concat(choices).slice(0, longest + 1));
      else if (longest !== undefined) wrong.push("x".repeat(longest + 1));
      for (const value of wrong) {
        const found = problems(begin(kind, { [name]: value }), dataset);
        assert.ok(found[name], `${name} = ${value}`);
      }
    }
  });

  test(`${kind}: an exclusion is explained at its input, with the words of the definition`, () => {
    for (const { option, others } of KINDS[kind].excludes)
      for (const other of others) {
        const change = Object.fromEntries(
          [option, other].map((name) => [name, another(KINDS[kind].options[name])[0]]),
        );
        const text = problems(begin(kind, change), dataset)[option];
        assert.equal(text, named(`exclusion.${kind}.${option}`, "marks and note"));
      }
  });
}

test("a new kind has its own checkpoints, grid, cost and axes without a change of the page", () => {
  const form = begin("ray");
  assert.deepEqual(jobSpec(form), {
    kind: "ray",
    start: ids[0],
    target: ids[1],
    witnesses: [ids[2], ids[3]],
  });
  assert.deepEqual(jobSpec({ ...form, alphaCount: "5" }).grid, {
    alpha: { min: 0, max: 4, count: 5 },
  });
  assert.match(cost(jobSpec(form), dataset).replaceAll("\u202f", ""), /^9 points × 1500 images/);
  assert.equal(isLine("ray"), true);
  assert.deepEqual(["start", "target", "witnesses.1", "bend"].map(inputOf), [
    "checkpoint",
    "target",
    "witnesses",
    "bend",
  ]);
});

test("the grid is held to the limits of the service", () => {
  const { count, ends, points } = LIMITS;
  const wrong = (change) => problems(begin("surface", change), dataset);
  assert.deepEqual(Object.keys(wrong({ alphaCount: String(count.most + 1) })), ["alphaCount"]);
  assert.deepEqual(Object.keys(wrong({ alphaCount: String(count.least - 1) })), ["alphaCount"]);
  assert.deepEqual(Object.keys(wrong({ alphaMax: String(2 * ends.most) })), ["alphaMax"]);
  const rows = String(Math.floor(points / 2) + 1);
  assert.match(
    wrong({ alphaCount: String(count.most), betaCount: rows }).betaCount ?? "",
    /more than/,
  );
});

test("every option, checkpoint and kind has a label, and every option says what it means", () => {
  for (const kind of real) {
    assert.ok(en[`kind.${kind}`] && en[`kind.${kind}.summary`], kind);
    for (const { name } of KINDS[kind].roles) assert.ok(en[`role.${name}`], name);
    for (const name of Object.keys(KINDS[kind].options))
      assert.ok(en[`option.${name}`] && en[`option.${name}.help`], name);
  }
});

test("names that options take are worded only where there is such a name", () => {
  const known = new Set(
    real.flatMap((kind) =>
      Object.values(KINDS[kind].options).flatMap(({ type, choices = [] }) =>
        choices.map((value) => `choice.${type.replace(/^list\[|\]$/g, "")}.${value}`),
      ),
    ),
  );
  const worded = Object.keys(en).filter((key) => /^choice\.[A-Z]/.test(key));
  assert.ok(worded.length > 20);
  assert.deepEqual(
    worded.filter((key) => !known.has(key)),
    [],
  );
});

test("the page's code names no default, bound or choice of an option a second time", () => {
  for (const name of IN_SENTENCE) assert.ok(real.some((kind) => name in KINDS[kind].options));
  const files = ["request.js", "problems.js", "cost.js", "views/joboptions.js", "views/newjob.js"];
  const code = files
    .map((file) => readFileSync(new URL(`../../frontend/js/${file}`, import.meta.url), "utf8"))
    .join("\n")
    .replace(/\/\*\*[\s\S]*?\*\//g, "");
  const choices = real.flatMap((kind) =>
    Object.values(KINDS[kind].options).flatMap(({ choices: own = [] }) => own),
  );
  const said = new Set(["train", "test", "none", "all", "random"]); // words with other meanings too
  for (const choice of new Set(choices))
    assert.ok(said.has(choice) || !code.includes(`"${choice}"`), choice);
  for (const { points, count, ends } of [LIMITS])
    for (const limit of [points, count.most, ends.most]) assert.ok(!code.includes(String(limit)));
});
