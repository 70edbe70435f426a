/** The form of a new job as a sentence: "Surface of ResNet-20 on all 1 500 training images of digits, 51 × 51 …". */

import { allImages } from "../cost.js";
import { element, setChildren, setText } from "../element.js";
import { dataName, keyOf, nameOf } from "../jobwords.js";
import { KINDS, samples } from "../request.js";
import { t, tNodes } from "../text.js";

/**
 * @import { Child, Dataset, Form, Kind, ReadyCheckpoint } from "../types.d.ts"
 * @import { Fields } from "./formfields.js"
 */

/**
 * The sentence. `update` words it for the kind of job, the images and the ranges that are chosen.
 * @type {(form: Form, fields: Fields, known: { ready: ReadyCheckpoint[]; datasets: Dataset[] }) =>
 *   { node: HTMLElement; update(dataset: Dataset | null): void }}
 */
export function jobSentence(form, { select, field }, { ready, datasets }) {
  const kinds = /** @type {Kind[]} */ (Object.keys(KINDS));
  const [all, some] = ["all", "some"];
  const kind = select(
    "kind",
    "job-kind",
    kinds.map((own) => [own, t(`choice.${own}`)]),
  );
  const checkpoint = select(
    "checkpoint",
    "job-checkpoint",
    ready.map((own) => [own.id, nameOf(own, ready)]),
  );
  const end = select("end", "job-end", []);
  const second = select("second", "job-second", []);
  const third = select("third", "job-third", []);
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
    const { grid: own, beta: plane } = KINDS[form.kind];
    if (!own) return t(form.kind === "trajectory" ? "form.aroundPath" : "form.aroundThree");
    if (!plane) return tNodes("form.gridLine", { alphaCount, range: part(alpha) });
    const range = form.ownBeta
      ? [part(alpha), part(" × ", beta)]
      : part(alpha, element("span", { class: "power" }, "²"));
    return tNodes("form.gridPlane", { alphaCount, betaCount, range });
  }

  /** @type {() => Child} */
  const where = () =>
    KINDS[form.kind].drawn ? tNodes("form.seeded", { grid: grid(), seed }) : grid();

  /** @type {(dataset: Dataset | null) => Child[]} */
  function worded(dataset) {
    const parts = { kind, checkpoint, samples: sampled(dataset), where: where() };
    if (form.kind === "interpolation") return tNodes("form.interpolation", { ...parts, end });
    if (form.kind === "plane") return tNodes("form.plane", { ...parts, second, third });
    if (form.kind !== "trajectory") return tNodes("form.of", parts);
    const count = form.epochs.length;
    return count
      ? tNodes("form.trajectory", { ...parts, count })
      : tNodes("form.trajectoryNone", parts);
  }

  return {
    node,
    update(dataset) {
      setText(images.options[0], allImages(dataset, form.split));
      const { kind: own, images: chosen, ownBeta, epochs } = form;
      const key = [own, chosen, ownBeta, epochs.length, samples(dataset)].join();
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
