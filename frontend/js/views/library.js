/** The library: checkpoints and data sets, what was found in them, or why they were rejected. */

import { element, keyedList, setChildren } from "../element.js";
import { get, repeat } from "../network.js";
import { address } from "../route.js";
import { uploads, removeUpload } from "../state.js";
import { t } from "../text.js";
import { send } from "../uploads.js";
import { checkpointRow } from "./checkpointrow.js";
import { datasetRow } from "./datasetrow.js";
import { emptyState, filePicker, noticeLine } from "./parts.js";
import { uploadRow } from "./uploadrow.js";

/**
 * @import { Checkpoint, CheckpointItem, Child, Dataset, DatasetItem, Notice, Page, Upload, View,
 *   ViewContext } from "../types.d.ts"
 */

const PAGE = 50;

/** @type {(context: ViewContext) => View} */
export function library({ route, signal }) {
  const offset = PAGE * Math.max(0, (Number(route.query.page) || 1) - 1);
  const notice = noticeLine();
  const list = element("ul", { class: "rows library-rows" });
  const rest = element("div", {});
  const update = keyedList(
    list,
    ({ key }) => key,
    (/** @type {CheckpointItem | Upload} */ item) =>
      "state" in item
        ? uploadRow(item)
        : checkpointRow(item, { notice, again: () => again(), signal }),
  );
  /** @type {Page<Checkpoint> & { loaded: boolean }} */
  let known = { items: [], total: 0, loaded: false };
  /** @type {Map<string, string>} */
  let surfaces = new Map();
  const data = datasetList({ notice, signal });

  const show = () => {
    const sent = uploads.get().filter(({ data }) => !data);
    const fresh = offset
      ? []
      : sent
          .flatMap(({ checkpoint }) => checkpoint ?? [])
          .filter((own) => !known.items.some(({ id }) => id === own.id));
    const rows = [
      ...sent.filter(({ checkpoint }) => !checkpoint),
      ...[...fresh, ...known.items].map((checkpoint) => ({
        key: checkpoint.id,
        checkpoint,
        surface: surfaces.get(checkpoint.id),
      })),
    ];
    update(rows);
    setChildren(
      rest,
      known.loaded && !rows.length && emptyState(t("library.empty"), t("library.emptyHint")),
      pager(known.total, offset),
    );
  };
  async function load() {
    const [page, done] = await Promise.all([
      get(`/api/v1/checkpoints?limit=${PAGE}&offset=${offset}`, signal),
      get("/api/v1/jobs?kind=surface&state=done&limit=100", signal),
    ]);
    known = { ...page, loaded: true };
    surfaces = new Map(done.items.toReversed().map((job) => [job.checkpoint.id, job.id]));
    for (const { key, checkpoint } of uploads.get())
      if (checkpoint && known.items.some(({ id }) => id === checkpoint.id)) removeUpload(key);
    show();
  }
  const reading = () =>
    uploads.get().some(({ checkpoint }) => checkpoint) ||
    known.items.some(({ state }) => state === "received" || state === "reading");
  const again = repeat(load, () => (reading() ? 0.7 : 8), signal);
  let sent = 0;
  uploads.subscribe((rows) => {
    show();
    const count = rows.filter(({ checkpoint }) => checkpoint).length;
    if (count > sent) again();
    sent = count;
  }, signal);
  show();
  const node = element(
    "div",
    { class: "view library" },
    element(
      "header",
      { class: "view-head" },
      element(
        "div",
        { class: "titles" },
        element("h1", {}, t("library.title")),
        element("p", { class: "lead" }, t("library.lead")),
      ),
    ),
    filePicker(send, t("picker.choose")),
    notice.node,
    list,
    rest,
    data,
  );
  return { title: t("library.title"), node };
}

/**
 * The data sets: uploads in progress, uploaded ones, built-in ones.
 * @type {(options: { notice: Notice; signal: AbortSignal }) => HTMLElement}
 */
function datasetList({ notice, signal }) {
  const list = element("ul", { class: "rows library-rows" });
  const update = keyedList(
    list,
    ({ key }) => key,
    (/** @type {DatasetItem | Upload} */ item) =>
      "state" in item
        ? uploadRow(item)
        : datasetRow(item.dataset, { notice, again: () => again() }),
  );
  /** @type {Dataset[]} */
  let known = [];
  /** @type {(dataset: Dataset) => DatasetItem} */
  const rowOf = (dataset) => ({ key: dataset.id ?? `built-in-${dataset.name}`, dataset });
  const show = () => {
    const sent = uploads.get().filter(({ data }) => data);
    const fresh = sent
      .flatMap(({ dataset }) => dataset ?? [])
      .filter((own) => !known.some(({ id }) => id === own.id));
    const all = [...fresh, ...known];
    update([
      ...sent.filter(({ dataset }) => !dataset),
      ...[...all.filter(({ id }) => id), ...all.filter(({ id }) => !id)].map(rowOf),
    ]);
  };
  async function load() {
    known = (await get("/api/v1/datasets?limit=200", signal)).items;
    for (const { key, dataset } of uploads.get())
      if (dataset && known.some(({ id }) => id === dataset.id)) removeUpload(key);
    show();
  }
  const reading = () =>
    uploads.get().some(({ dataset }) => dataset) ||
    known.some(({ state }) => state === "received" || state === "reading");
  const again = repeat(load, () => (reading() ? 0.7 : 8), signal);
  let arrived = 0;
  uploads.subscribe((rows) => {
    show();
    const count = rows.filter(({ dataset }) => dataset).length;
    if (count > arrived) again();
    arrived = count;
  }, signal);
  show();
  return element(
    "section",
    { class: "datasets", "aria-label": t("library.data") },
    element("h2", {}, t("library.data")),
    list,
  );
}

/** @type {(total: number, offset: number) => HTMLElement | null} */
function pager(total, offset) {
  if (total <= PAGE) return null;
  const page = offset / PAGE + 1;
  /** @type {(label: string, to: number, on: boolean) => Child} */
  const link = (label, to, on) =>
    on && element("a", { class: "button", href: address("/library", { page: to }) }, label);
  return element(
    "nav",
    { class: "pager", "aria-label": t("library.pages") },
    link(t("library.newer"), page - 1, page > 1),
    element(
      "span",
      { class: "soft" },
      t("range.of", { first: offset + 1, last: Math.min(total, offset + PAGE), total }),
    ),
    link(t("library.older"), page + 1, offset + PAGE < total),
  );
}
