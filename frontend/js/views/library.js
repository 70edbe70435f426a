/** The library: checkpoints and data sets, what was found in them, or why they were rejected. */

import { datasetWords, shapeWords, splitWords } from "../datasets.js";
import { element, keyedList, setChildren, setText } from "../element.js";
import { ago, bytes, percent, whole } from "../format.js";
import { get, post, remove, repeat } from "../network.js";
import { address } from "../route.js";
import { removeUpload, uploads } from "../state.js";
import { dismiss, pause, resume, send } from "../uploads.js";
import {
  attempt,
  badge,
  confirmButton,
  emptyState,
  filePicker,
  noticeLine,
  progressBar,
} from "./parts.js";
import { thumbnail } from "./thumbnail.js";

const PAGE = 50;

export function library({ route, signal }) {
  const offset = PAGE * Math.max(0, (Number(route.query.page) || 1) - 1);
  const notice = noticeLine();
  const list = element("ul", { class: "rows library-rows" });
  const rest = element("div", {});
  const update = keyedList(
    list,
    ({ key }) => key,
    (item) =>
      item.checkpoint
        ? checkpointRow(item, { notice, again: () => again(), signal })
        : uploadRow(item),
  );
  let known = { items: [], total: 0, loaded: false };
  let surfaces = new Map();
  const data = datasetList({ notice, signal });

  const show = () => {
    const sent = uploads.get().filter(({ data }) => !data);
    const fresh = offset
      ? []
      : sent
          .filter(
            ({ checkpoint }) => checkpoint && !known.items.some(({ id }) => id === checkpoint.id),
          )
          .map(({ checkpoint }) => checkpoint);
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
      known.loaded &&
        !rows.length &&
        emptyState("No checkpoints yet", "Drop one anywhere on this page."),
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
        element("h1", {}, "Library"),
        element("p", { class: "lead" }, "Uploaded checkpoints and, below them, data sets."),
      ),
    ),
    filePicker(send, "Choose files"),
    notice.node,
    list,
    rest,
    data,
  );
  return { title: "Library", node };
}

/** The data sets: uploads in progress, uploaded ones, built-in ones. */
function datasetList({ notice, signal }) {
  const list = element("ul", { class: "rows library-rows" });
  const update = keyedList(
    list,
    ({ key }) => key,
    (item) =>
      item.dataset ? datasetRow(item.dataset, { notice, again: () => again() }) : uploadRow(item),
  );
  let known = [];
  const rowOf = (dataset) => ({ key: dataset.id ?? `built-in-${dataset.name}`, dataset });
  const show = () => {
    const sent = uploads.get().filter(({ data }) => data);
    const fresh = sent
      .filter(({ dataset }) => dataset && !known.some(({ id }) => id === dataset.id))
      .map(({ dataset }) => dataset);
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
    { class: "datasets", "aria-label": "Data sets" },
    element("h2", {}, "Data sets"),
    list,
  );
}

function pager(total, offset) {
  if (total <= PAGE) return null;
  const page = offset / PAGE + 1;
  const link = (label, to, on) =>
    on && element("a", { class: "button", href: address("/library", { page: to }) }, label);
  return element(
    "nav",
    { class: "pager", "aria-label": "Pages" },
    link("Newer", page - 1, page > 1),
    element(
      "span",
      { class: "soft" },
      `${whole(offset + 1)}–${whole(Math.min(total, offset + PAGE))} of ${whole(total)}`,
    ),
    link("Older", page + 1, offset + PAGE < total),
  );
}

const UPLOAD_WORDS = {
  waiting: "waiting",
  sending: "uploading",
  interrupted: "connection lost, retrying",
  paused: "paused",
  failed: "upload failed",
};

/** An upload in progress: how much has arrived and how fast, or why it failed. */
function uploadRow({ key, name }) {
  const state = badge("checkpoint-state");
  const bar = progressBar(`Upload of ${name}`, "upload-progress");
  const words = element("span", {
    class: "soft",
    "aria-live": "polite",
    "data-testid": "upload-words",
  });
  const button = (label, testid, onclick) =>
    element("button", { type: "button", class: "button", "data-testid": testid, onclick }, label);
  const rest = button("Pause", "pause-upload", () => pause(key));
  const again = button("Resume", "resume-upload", () => resume(key));
  const node = element(
    "li",
    { class: "row", "data-testid": "upload-row", "data-name": name },
    element("div", { class: "thumb" }),
    element(
      "div",
      { class: "main" },
      element("b", { class: "name" }, name),
      element("div", {}, state.node, " ", words),
      bar.node,
    ),
    element(
      "div",
      { class: "actions" },
      rest,
      again,
      element(
        "button",
        {
          type: "button",
          class: "quiet",
          "data-testid": "dismiss-upload",
          onclick: () => dismiss(key),
        },
        "Dismiss",
      ),
    ),
  );
  return {
    node,
    update({ state: own, sent, size, speed, error }) {
      const failed = own === "failed";
      node.dataset.state = own;
      state.update(failed ? "rejected" : "reading", UPLOAD_WORDS[own]);
      setText(
        words,
        failed
          ? error
          : [`${bytes(sent)} of ${bytes(size)}`, speed !== null && `${bytes(speed)}/s`]
              .filter(Boolean)
              .join(" · "),
      );
      bar.update(size ? sent / size : 0, `${bytes(sent)} of ${bytes(size)}`);
      bar.node.hidden = failed;
      rest.hidden = own !== "sending" && own !== "interrupted";
      again.hidden = !failed && own !== "paused";
      setText(again, failed ? "Retry" : "Resume");
    },
  };
}

/** A checkpoint: its architecture, or why it was rejected. */
function checkpointRow({ checkpoint: { id, name } }, { notice, again, signal }) {
  const state = badge("checkpoint-state");
  const thumb = element("a", { class: "thumb" });
  const network = element("div", { class: "network" });
  const measures = element("div", { class: "measures" });
  const when = element("span", { class: "soft when" });
  const compute = element(
    "a",
    { class: "button", href: address("/new", { checkpoint: id }), "data-testid": "compute" },
    "Compute",
  );
  const erase = confirmButton(`Delete ${name}`, "Delete", () =>
    attempt(notice, () => remove(`/api/v1/checkpoints/${id}`))
      .then(() => forget(id))
      .then(again),
  );
  const node = element(
    "li",
    { class: "row", "data-testid": "checkpoint-row", "data-id": id, "data-name": name },
    thumb,
    element(
      "div",
      { class: "main" },
      element("b", { class: "name" }, name),
      element("div", {}, state.node),
      network,
    ),
    measures,
    when,
    element("div", { class: "actions" }, compute, erase),
  );
  let seen = "";
  return {
    node,
    update({ checkpoint, surface }) {
      const key = JSON.stringify([checkpoint, surface]);
      setText(when, ago(checkpoint.created, Date.now()));
      if (key === seen) return;
      seen = key;
      const choosing =
        checkpoint.state === "ready" &&
        !checkpoint.architecture &&
        checkpoint.candidates.length > 1;
      node.dataset.state = checkpoint.state;
      state.update(choosing ? "choose" : checkpoint.state, stateWords(checkpoint, choosing));
      setChildren(network, choosing && candidates(checkpoint, notice, again));
      setChildren(measures, measuresOf(checkpoint));
      when.title = checkpoint.created;
      compute.hidden = !checkpoint.architecture;
      erase.hidden = !checkpoint.yours;
      if (surface) {
        thumb.href = `#/jobs/${surface}`;
        thumb.setAttribute("aria-label", `Surface of ${name}`);
        thumbnail(thumb, surface, signal);
      }
    },
  };
}

/** A data set: what it holds, or why it was rejected. Built-in ones cannot be deleted. */
function datasetRow({ id, name }, { notice, again }) {
  const state = badge("dataset-state");
  const title = element("span", { class: "soft" });
  const measures = element("div", { class: "measures" });
  const when = element("span", { class: "soft when" });
  const erase =
    id &&
    confirmButton(`Delete ${name}`, "Delete; results are kept", () =>
      attempt(notice, () => remove(`/api/v1/datasets/${id}`))
        .then(() => forget(id))
        .then(again),
    );
  const node = element(
    "li",
    { class: "row", "data-testid": "dataset-row", "data-id": id ?? "", "data-name": name },
    element(
      "div",
      { class: "main" },
      element("b", { class: "name" }, name),
      element("div", {}, state.node),
      title,
    ),
    measures,
    when,
    element("div", { class: "actions" }, erase),
  );
  let seen = "";
  return {
    node,
    update(dataset) {
      const own = dataset.dataset;
      setText(when, own.created ? ago(own.created, Date.now()) : "built-in");
      if (JSON.stringify(own) === seen) return;
      seen = JSON.stringify(own);
      node.dataset.state = own.state;
      if (erase) erase.hidden = !own.yours;
      state.update(own.state, datasetWords(own));
      setText(title, own.title === name ? "" : own.title);
      when.title = own.created ?? "";
      const splits = splitWords(own.splits);
      const size = own.size === null ? "" : bytes(own.size);
      setChildren(
        measures,
        element("span", {}, [splits, size].filter(Boolean).join(" · ")),
        own.state === "ready" && element("span", { class: "soft" }, shapeWords(own)),
      );
    },
  };
}

function forget(id) {
  uploads.set((rows) =>
    rows.filter(({ checkpoint, dataset }) => (checkpoint ?? dataset)?.id !== id),
  );
}

function stateWords({ state, architecture, reason }, choosing) {
  if (choosing) return "fits several architectures: choose one";
  if (state === "ready") return architecture?.label ?? "ready";
  return state === "rejected"
    ? reason
    : state === "reading"
      ? "reading…"
      : "uploaded, waiting to be read";
}

function candidates(checkpoint, notice, again) {
  const choose = (index) =>
    attempt(notice, () =>
      post(`/api/v1/checkpoints/${checkpoint.id}/architecture`, { index }),
    ).then(again, () => {});
  return element(
    "div",
    { class: "actions" },
    checkpoint.candidates.map(({ label }, index) =>
      element(
        "button",
        {
          type: "button",
          class: "button",
          "data-testid": "choose-architecture",
          "data-index": index,
          onclick: () => choose(index),
        },
        label,
      ),
    ),
  );
}

/** Number of parameters, size, and metadata found in the file. */
function measuresOf({ parameters, size, facts }) {
  const errors = new Set(["train_error", "test_error"]);
  const said = ["train_loss", "test_error", "best_acc", "acc", "epoch"]
    .filter((name) => facts?.[name] !== undefined)
    .slice(0, 2)
    .map((name) => [name, facts[name]]);
  const text = (name, value) =>
    `${name.replaceAll("_", " ")} ${errors.has(name) && Number(value) <= 1 ? percent(Number(value), 1) : short(value)}`;
  return [
    element(
      "span",
      {},
      parameters ? `${whole(parameters)} parameters · ${bytes(size)}` : bytes(size),
    ),
    said.length > 0 &&
      element(
        "span",
        {
          class: "soft",
          title: Object.entries(facts)
            .map(([name, value]) => `${name}: ${value}`)
            .join("\n"),
        },
        said.map(([name, value]) => text(name, value)).join(" · "),
      ),
  ];
}

const short = (value) =>
  /^-?\d*\.\d{5,}/.test(value)
    ? String(Number(Number(value).toPrecision(3)))
    : String(value).slice(0, 24);
