/**
 * The form of a new job as a sentence: "Surface of ResNet-20 on all 1 500 training images of
 * digits, 51 × 51 …".
 */

import { allImages } from "../cost.js";
import { element, setChildren, setText } from "../element.js";
import { dataName, keyOf, nameOf } from "../jobwords.js";
import { LIMITS } from "../kinds.js";
import { definitionOf, furtherRoles, kindNames, samples } from "../request.js";
import { listedNodes, named, t, tNodes } from "../text.js";

/**
 * @import { Child, Dataset, Form, ReadyCheckpoint } from "../types.d.ts"
 * @import { Fields } from "./formfields.js"
 */

/**
 * The sentence. `update` words it for the kind of job, the images and the ranges that are chosen.
 * @type {(form: Form, fields: Fields, known: { ready: ReadyCheckpoint[]; datasets: Dataset[] }) =>
 *   { node: HTMLElement; update(dataset: Dataset | null): void }}
 */
export function jobSentence(form, { select, field }, { ready, datasets }) {
  const [all, some] = ["all", "some"];
  const kind = select(
    "kind",
    "job-kind",
    kindNames().map((own) => [own, named(`kind.${own}`, own)]),
  );
  const checkpoint = select(
    "checkpoint",
    "job-checkpoint",
    ready.map((own) => [own.id, nameOf(own, ready)]),
  );
  const further = kindNames()
    .flatMap(furtherRoles)
    .filter(({ many }) => !many)
    .map(({ name }) => name);
  const others = Object.fromEntries(
    [...new Set(further)].map((name) => [name, select(name, `job-${name}`, [])]),
  );
  const images = select("images", "job-images", [
    [all, t("form.all")],
    [some, t("form.some")],
  ]);
  const number = field("subsetCount", "job-subset", 6);
  const split = select("split", "job-split", []);
  const data = select(
    "dataset",
    "job-dataset",
    datasets.map((own) => [keyOf(own), dataName(own, datasets)]),
  );
  const alphaCount = field("alphaCount", "job-count-alpha", 5);
  const betaCount = field("betaCount", "job-count-beta", 5);
  const alpha = interval(field("alphaMin", "job-min", 5), field("alphaMax", "job-max", 5));
  const beta = interval(field("betaMin", "job-min-beta", 5), field("betaMax", "job-max-beta", 5));
  const seed = field("seed", "job-seed", 6);

  const node = element("p", { class: "sentence" });
  let shown = "";

  /** @type {() => Child} */
  const which = () =>
    form.images === all ? images : part(tNodes("form.someOf", { which: images, number }));

  /** @type {(dataset: Dataset | null) => Child} */
  const sampled = (dataset) => {
    const parts = { which: which(), split, dataset: data };
    return samples(dataset) === "images"
      ? tNodes("form.images", parts)
      : tNodes("form.samples", parts);
  };

  /** @type {() => Child} */
  function grid() {
    const { grid: own, axes } = definitionOf(form.kind);
    const line = axes === 1;
    if (!own) return t(line ? "form.aroundLine" : "form.around", { count: LIMITS.around });
    if (line) return tNodes("form.gridLine", { alphaCount, range: part(alpha) });
    const range = form.ownBeta
      ? [part(alpha), part(" × ", beta)]
      : part(alpha, element("span", { class: "power" }, "²"));
    return tNodes("form.gridPlane", { alphaCount, betaCount, range });
  }

  /** @type {() => Child} */
  const where = () =>
    "seed" in definitionOf(form.kind).options
      ? tNodes("form.seeded", { grid: grid(), seed })
      : grid();

  /** @type {(dataset: Dataset | null) => Child[]} */
  function worded(dataset) {
    const parts = { kind, checkpoint, samples: sampled(dataset), where: where() };
    const [center] = definitionOf(form.kind).roles;
    if (center.many) {
      const { length: count } = [form[center.name]].flat();
      return count
        ? tNodes("form.through", { ...parts, count })
        : tNodes("form.throughNone", parts);
    }
    if (form.kind === "interpolation")
      return tNodes("form.interpolation", { ...parts, end: others.end });
    if (form.kind === "plane")
      return tNodes("form.plane", { ...parts, second: others.second, third: others.third });
    const single = furtherRoles(form.kind).filter(({ many }) => !many);
    const all = [checkpoint, ...single.map(({ name }) => others[name])];
    return tNodes("form.of", { ...parts, checkpoint: listedNodes(all) });
  }

  return {
    node,
    update(dataset) {
      setText(images.options[0], allImages(dataset, String(form.split)));
      const { kind: own, images: chosen, ownBeta } = form;
      const counts = furtherRoles(own).map(({ name }) => [form[name]].flat().length);
      const key = [own, chosen, ownBeta, counts, samples(dataset)].join();
      if (key === shown) return;
      shown = key;
      const focused = document.activeElement; // moving a node takes the focus from it
      setChildren(node, worded(dataset));
      if (focused instanceof HTMLElement && node.contains(focused)) focused.focus();
    },
  };
}

/** Nodes that stay on one line. */
const part = (/** @type {Child[]} */ ...children) => element("span", { class: "part" }, children);

/** @type {(min: Child, max: Child) => Child[]} */
const interval = (min, max) => ["[", min, ", ", max, "]"];
