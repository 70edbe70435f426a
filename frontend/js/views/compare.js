/** Two or more results side by side: same scale, same camera, the numbers below. */

import {
  differences,
  asShipped,
  commonCaption,
  distinctLabels,
  inOrder,
  layoutOf,
  titleOf,
} from "../compare.js";
import { MAX_SCENES } from "../drawing.js";
import { element, setChildren, setText } from "../element.js";
import { follow } from "../events.js";
import { captionOf } from "../format.js";
import { isLine } from "../grid.js";
import { get, post, messageOf, unlessAborted } from "../network.js";
import { address, choice, jobsOf } from "../route.js";
import { HEIGHT_NAMES, defaultHeight } from "../scales.js";
import { defaultSliceHeight } from "../slices.js";
import { replaceQuery } from "../state.js";
import { listed, t, tNodes } from "../text.js";
import { pictureMatrix } from "./matrix.js";
import { numbersTable } from "./numberstable.js";
import { overlay } from "./overlay.js";
import { emptyState, emptyView, noticeLine } from "./parts.js";
import { caveat, pictureControls, warningsOf } from "./plotparts.js";

/** @import { Chosen, Comparison, Entry, Height, Job, Result, View, ViewContext } from "../types.d.ts" */

/** @typedef {{ job: Job; result: Result }} Known */

/** @type {(context: ViewContext) => View} */
export function compare({ route, signal }) {
  const ids = jobsOf(route.query);
  const node = element(
    "div",
    { class: "view compare" },
    element("p", { class: "empty" }, t("loading")),
  );
  (ids.length ? fillComparison(node, ids, { route, signal }) : fillPicker(node, signal))
    .catch(unlessAborted)
    .catch((error) => setChildren(node, unreachable(messageOf(error))));
  return { title: t("compare.title"), node };
}

/** @type {(message: string) => HTMLElement} */
const unreachable = (message) =>
  emptyView(
    t("compare.broken"),
    message,
    element("a", { class: "button", href: "#/jobs" }, t("compare.again")),
  );

/**
 * Nothing is selected: links to the shipped comparisons and to the list of jobs.
 * @type {(node: HTMLElement, signal: AbortSignal) => Promise<void>}
 */
async function fillPicker(node, signal) {
  const { comparisons } = await get("/api/v1/gallery", signal);
  const links = comparisons.map(({ title, cells }) =>
    element(
      "a",
      {
        class: "button",
        href: address("/compare", {
          jobs: cells
            .flat()
            .map(({ job }) => job)
            .filter(Boolean)
            .join(),
        }),
      },
      title,
    ),
  );
  setChildren(
    node,
    element("h1", { class: "unseen" }, t("compare.title")),
    emptyState(
      t("compare.empty"),
      t(links.length ? "compare.emptyHintShipped" : "compare.emptyHint"),
      element(
        "a",
        { class: "button primary", href: address("/jobs", { state: "done" }) },
        t("compare.select"),
      ),
      links,
    ),
  );
}

/** @type {(signal: AbortSignal) => Promise<Comparison[]>} */
const shippedComparisons = (signal) =>
  get("/api/v1/gallery", signal).then(
    ({ comparisons }) => comparisons,
    () => [],
  );

/** @type {(jobs: Job[], signal: AbortSignal) => Promise<Result[]>} */
async function resultsOf(jobs, signal) {
  const asked = jobs.map(({ id }) => get(`/api/v1/jobs/${id}/result`, signal).catch(() => null));
  return (await Promise.all(asked)).flatMap((result) => result ?? []);
}

/**
 * The height that fits all surfaces; the paper's until there is a loss.
 * @type {(results: Result[]) => Height}
 */
function commonHeight(results) {
  const begun = results.filter(({ losses }) => losses.flat().some((loss) => loss !== null));
  return begun.length ? defaultHeight(begun) : "paper";
}

/** @type {(id: string, signal: AbortSignal) => Promise<Job | string>} */
const jobOrMessage = (id, signal) => get(`/api/v1/jobs/${id}`, signal).catch(messageOf);

/** @type {(node: HTMLElement, ids: string[], context: ViewContext) => Promise<void>} */
async function fillComparison(node, ids, { route, signal }) {
  const [comparisons, ...jobs] = await Promise.all([
    shippedComparisons(signal),
    ...ids.map((id) => jobOrMessage(id, signal)),
  ]);
  const present = jobs.flatMap((job) => (typeof job === "string" ? [] : [job]));
  const missing = jobs.flatMap((job) => (typeof job === "string" ? [job] : []));
  if (!present.length) return setChildren(node, unreachable(missing[0]));
  const surfaces = present.filter(({ kind }) => !isLine(kind));
  const slices = present.filter(({ kind }) => isLine(kind));
  const shipped = asShipped(
    surfaces.map(({ id }) => id),
    comparisons,
  );
  if (shipped)
    inOrder(
      present,
      shipped.cells.flat().map(({ job }) => job),
    );
  const many = surfaces.length > MAX_SCENES;
  const curves = surfaces.length ? [] : await resultsOf(slices, signal);
  const known = shipped || route.query.height ? [] : await resultsOf(surfaces, signal);
  /** @type {Chosen} */
  const chosen = {
    view: choice(
      route.query,
      "view",
      many ? ["contour", "heatmap"] : ["surface", "contour", "heatmap"],
      many ? "contour" : "surface",
    ),
    height: choice(
      route.query,
      "height",
      surfaces.length ? HEIGHT_NAMES : ["linear", "log"],
      surfaces.length ? commonHeight(known) : defaultSliceHeight(curves),
    ),
    value: choice(route.query, "value", ["loss", "accuracy"], "loss"),
  };
  const notice = noticeLine();
  /** @type {(id: string) => Promise<unknown>} */
  const retry = (id) =>
    post(`/api/v1/jobs/${id}/retry`).then(
      (job) =>
        job.id === id
          ? following.reload(id)
          : (location.hash = address("/compare", {
              ...route.query,
              jobs: ids.map((own) => (own === id ? job.id : own)).join(),
            })),
      (error) => notice.say(messageOf(error)),
    );
  const matrix = surfaces.length
    ? pictureMatrix({
        ...layoutOf(surfaces, shipped),
        chosen,
        signal,
        testid: "compare-cell",
        onRetry: retry,
      })
    : null;
  const lines = slices.length ? overlay(slices, chosen, signal) : null;
  const title = shipped?.title ?? titleOf(present);
  const caption = element("p", { class: "caption", "data-testid": "caption" });
  const warning = element("p", { class: "notice", hidden: true, "data-testid": "comparable" });
  const warnings = element("div", { class: "warnings" });
  const labels = new Map(distinctLabels(present).map((label, k) => [present[k].id, label]));
  const table = numbersTable(present);
  /** @type {Map<string, Entry>} */
  const entries = new Map();
  const controls = pictureControls(
    chosen,
    (part) => {
      replaceQuery(route, part);
      matrix?.redraw();
      lines?.redraw();
    },
    {
      views: surfaces.length
        ? many
          ? ["contour", "heatmap"]
          : ["surface", "contour", "heatmap"]
        : [],
      values: surfaces.length ? undefined : [],
      heights: surfaces.length ? undefined : ["linear", "log"],
      reset: matrix?.reset,
    },
  );
  const save = element(
    "button",
    {
      type: "button",
      class: "button",
      "data-testid": "export-png",
      onclick: () => savePng().catch((error) => notice.say(messageOf(error))),
    },
    t("compare.save"),
  );
  const savePng = async () => (matrix ?? lines)?.png("comparison.png", title, caption.textContent);

  setChildren(
    node,
    element(
      "header",
      { class: "view-head" },
      element("div", { class: "titles" }, element("h1", {}, title), caption),
      save,
      controls,
    ),
    notice.node,
    warning,
    warnings,
    many &&
      element(
        "p",
        { class: "notice" },
        t("compare.many", { count: surfaces.length, most: MAX_SCENES }),
      ),
    missing.length > 0 &&
      element("p", { class: "notice" }, t("compare.missing", { count: missing.length })),
    matrix?.node,
    lines?.node,
    table.node,
    present.length === 1 &&
      element(
        "p",
        { class: "notice" },
        tNodes("compare.single", {
          link: element("a", { href: "#/jobs" }, t("compare.singleLink")),
        }),
      ),
    caveat("compare"),
  );

  const following = follow(
    present.map(({ id }) => id),
    signal,
    (id, entry) => {
      entries.set(id, entry);
      matrix?.change(id, entry);
      lines?.change(id, entry);
      const known = [...entries.values()].flatMap(({ job, result }) =>
        job && result ? [{ job, result }] : [],
      );
      setText(caption, commonCaption(known.map(({ job, result }) => captionOf(job, result))));
      table.update(entries);
      if (entry.job?.state === "done" && entry.result) table.fetchNumbers(id, signal);
      warn(warning, known);
      const told = known.map(({ job, result }) => ({
        label: labels.get(job.id),
        provenance: result.provenance,
      }));
      const said = JSON.stringify(
        told.map(({ label, provenance }) => [label, provenance?.warnings]),
      );
      if (warnings.dataset.key !== said)
        setChildren(
          warnings,
          told.map(({ label, provenance }) => warningsOf(provenance, label)),
        );
      warnings.dataset.key = said;
    },
  );
}

/** @type {(node: HTMLElement, known: Known[]) => void} */
function warn(node, known) {
  const { serious, minor } = differences(
    known.map(({ job, result }) => ({ spec: job.spec, provenance: result.provenance })),
  );
  node.hidden = !serious.length && !minor.length;
  node.classList.toggle("warning", serious.length > 0);
  node.dataset.serious = serious.join();
  if (serious.length) setText(node, t("compare.serious", { names: listed(serious) }));
  else if (minor.length) setText(node, t("compare.minor", { names: listed(minor) }));
}
