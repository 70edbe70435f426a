/** The gallery: shipped comparisons as large plots, updated live. */

import { commonCaption } from "../compare.js";
import { element, keyedList, setChildren, setText } from "../element.js";
import { follow } from "../events.js";
import { VIEWS } from "../figures.js";
import { captionOf } from "../format.js";
import { get, post, repeat, messageOf } from "../network.js";
import { number, percent } from "../numbers.js";
import { address, choice } from "../route.js";
import { HEIGHT_NAMES } from "../scales.js";
import { replaceQuery } from "../state.js";
import { t, tNodes } from "../text.js";
import { send } from "../uploads.js";
import { pictureMatrix } from "./matrix.js";
import { emptyState, filePicker, noticeLine } from "./parts.js";
import { pictureControls } from "./plotparts.js";

/**
 * @import { Child, Chosen, Comparison, Entry, Row, TrainingRecord, View,
 *   ViewContext } from "../types.d.ts"
 */

/**
 * One comparison of the gallery.
 * @typedef {Row<Comparison> & {
 *   head: HTMLElement;
 *   redraw(): void;
 *   reset(): void;
 *   change(id: string, entry: Entry): void;
 * }} Section
 */

/** @type {(context: ViewContext) => View} */
export function gallery({ route, signal }) {
  /** @type {Chosen} */
  const chosen = {
    view: choice(route.query, "view", VIEWS, "surface"),
    height: choice(route.query, "height", HEIGHT_NAMES, "paper"),
    value: choice(route.query, "value", ["loss", "accuracy"], "loss"),
  };
  const notice = noticeLine();
  /** @type {Set<Section>} */
  const sections = new Set();
  const controls = pictureControls(
    chosen,
    (part) => {
      replaceQuery(route, part);
      sections.forEach(({ redraw }) => redraw());
    },
    { reset: () => sections.forEach(({ reset }) => reset()) },
  );
  const state = element("div", {}, element("p", { class: "empty" }, t("gallery.loading")));
  const wall = element("div", {});
  const update = keyedList(
    wall,
    ({ name }) => name,
    (comparison) => {
      const made = section(comparison, { chosen, signal, retry });
      sections.add(made);
      if (sections.size === 1) made.head.append(controls);
      return made;
    },
  );
  const below = element(
    "section",
    { class: "below" },
    element("h2", {}, t("gallery.own")),
    filePicker((files) => {
      send(files);
      location.hash = "#/library";
    }),
  );
  let complete = false;
  /** @type {{ key: string; reload(id: string): Promise<unknown> } | null} */
  let following = null;
  let inner = new AbortController();
  signal.addEventListener("abort", () => inner.abort());

  async function load() {
    const { comparisons } = await get("/api/v1/gallery", signal);
    const cells = comparisons.flatMap((own) => own.cells.flat());
    complete = cells.length > 0 && cells.every(({ job }) => job);
    setChildren(state, !comparisons.length && nothing());
    update(comparisons);
    followAll(jobsIn(comparisons));
  }

  /**
   * All plots share one stream, which is replaced when jobs were added or submitted again.
   * @type {(ids: string[]) => void}
   */
  function followAll(ids) {
    if (following?.key === ids.join()) return;
    inner.abort();
    inner = new AbortController();
    following = {
      key: ids.join(),
      ...follow(ids, inner.signal, (id, entry) => sections.forEach((own) => own.change(id, entry))),
    };
  }
  /** @type {(id: string) => Promise<unknown>} */
  const retry = (id) =>
    post(`/api/v1/jobs/${id}/retry`)
      .then(
        () => following?.reload(id),
        (error) => notice.say(messageOf(error)),
      )
      .then(again);
  const again = repeat(load, () => (complete ? 30 : 3), signal);
  const node = element(
    "div",
    { class: "view gallery" },
    element("h1", { class: "unseen" }, t("gallery.title")),
    notice.node,
    state,
    wall,
    below,
  );
  return { title: t("gallery.title"), node };
}

/**
 * The jobs of comparisons, each once.
 * @type {(comparisons: Pick<Comparison, "cells">[]) => string[]}
 */
const jobsIn = (comparisons) => [
  ...new Set(comparisons.flatMap(({ cells }) => cells.flat().flatMap(({ job }) => job ?? []))),
];

/** @type {() => HTMLElement} */
function nothing() {
  return emptyState(
    t("gallery.empty"),
    tNodes("gallery.emptyHint", { command: element("code", {}, "landscape up --demo") }),
    element("a", { class: "button primary", href: "#/library" }, t("do.addCheckpoint")),
  );
}

/**
 * One comparison. Its plots are replaced when its jobs change (they are submitted one after the
 * other).
 * @type {(comparison: Comparison, options: { chosen: Chosen; signal: AbortSignal; retry(id:
 *   string): Promise<unknown> }) => Section}
 */
function section({ name }, { chosen, signal, retry }) {
  const [title, lead] = [element("h2"), element("p", { class: "lead" })];
  const caption = element("p", { class: "caption", "data-testid": "caption" });
  const detail = element(
    "a",
    { class: "button", "data-testid": "gallery-compare" },
    t("gallery.detail"),
  );
  const head = element(
    "header",
    { class: "view-head" },
    element("div", { class: "titles" }, title, lead, caption),
    detail,
  );
  const place = element("div", {});
  /** @type {ReturnType<typeof pictureMatrix> | null} */
  let matrix = null;
  /** @type {string[]} */
  let jobs = [];
  let shown = "";
  /** @type {Map<string, string>} */
  const captions = new Map();
  let inner = new AbortController();
  signal.addEventListener("abort", () => inner.abort());

  /** @type {(comparison: Comparison) => void} */
  function fill({ rows, columns, cells }) {
    inner.abort();
    inner = new AbortController();
    jobs = jobsIn([{ cells }]);
    captions.clear();
    matrix = pictureMatrix({
      rows,
      columns,
      chosen,
      signal: inner.signal,
      onRetry: retry,
      testid: "gallery-cell",
      pause: 700,
      cells: cells.map((row, r) =>
        row.map((cell, c) => ({
          id: cell.job,
          label: `${columns[c]} ${rows[r]}`,
          facts: facts(cell.record),
        })),
      ),
    });
    setChildren(place, matrix.node);
    detail.href = address("/compare", { jobs: jobs.join() });
  }
  return {
    head,
    node: element(
      "section",
      { class: "comparison", "data-testid": "comparison", "data-name": name },
      head,
      place,
    ),
    redraw: () => matrix?.redraw(),
    reset: () => matrix?.reset(),
    change(id, entry) {
      if (!jobs.includes(id)) return;
      matrix?.change(id, entry);
      if (entry.job) captions.set(id, captionOf(entry.job, entry.result));
      setText(caption, commonCaption([...captions.values()]));
    },
    update(comparison) {
      setText(title, comparison.title);
      setText(lead, comparison.text);
      const key = JSON.stringify(comparison.cells.map((row) => row.map(({ job }) => job)));
      if (key !== shown) fill(comparison);
      shown = key;
    },
  };
}

/**
 * Training loss and test accuracy of a shipped network, as measured in training.
 * @type {(record: TrainingRecord) => (() => Child) | null}
 */
function facts(record) {
  const { train_loss: loss, test_error: error } = record ?? {};
  if (loss === undefined || error === undefined) return null;
  return () => [
    element(
      "span",
      {
        title: t("gallery.trainLossMeans"),
        "data-value": String(loss),
      },
      t("gallery.trainLoss", { loss: number(loss, 2) }),
    ),
    element(
      "span",
      { title: t("gallery.testAccuracyMeans") },
      ` · ${t("gallery.testAccuracy", { accuracy: percent(1 - error, 1) })}`,
    ),
  ];
}
