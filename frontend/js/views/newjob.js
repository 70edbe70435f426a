/** The form of a new job. */

import { element, setChildren, setText } from "../element.js";
import { costWords, isReady, keyOf } from "../jobwords.js";
import { ApiError, get, messageOf, post, unlessAborted } from "../network.js";
import { problems } from "../problems.js";
import {
  DEFAULTS,
  alike,
  centerOnGrid,
  gridDefaults,
  inputOf,
  jobSpec,
  otherSplit,
} from "../request.js";
import { t, tNodes } from "../text.js";
import { formFields } from "./formfields.js";
import { jobOptions } from "./joboptions.js";
import { jobSentence } from "./jobsentence.js";
import { emptyState, noticeLine } from "./parts.js";
import { requestCard } from "./requestcard.js";

/** @import { Dataset, Form, Input, Job, Problems, ReadyCheckpoint, Route, View, ViewContext } from "../types.d.ts" */

/** @type {(context: ViewContext) => View} */
export function newJob({ route, signal }) {
  const node = element(
    "div",
    { class: "view new-job" },
    element("header", { class: "view-head" }, element("h1", {}, t("form.title"))),
    element("p", { class: "empty" }, t("loading")),
  );
  load(node, route, signal).catch(unlessAborted);
  return { title: t("form.title"), node };
}

/** @type {(node: HTMLElement, route: Route, signal: AbortSignal) => Promise<void>} */
async function load(node, route, signal) {
  const [checkpoints, datasets, jobs] = await Promise.all([
    get("/api/v1/checkpoints?limit=200", signal),
    get("/api/v1/datasets?limit=200", signal),
    get("/api/v1/jobs?state=done&limit=50", signal),
  ]);
  const ready = checkpoints.items.filter(isReady);
  const asked = route.query.checkpoint;
  if (asked && !ready.some(({ id }) => id === asked))
    await get(`/api/v1/checkpoints/${asked}`, signal).then(
      (one) => isReady(one) && ready.push(one),
      () => {},
    );
  const usable = datasets.items.filter(({ state }) => state === "ready");
  const toLibrary = { class: "button primary", href: "#/library" };
  const content = ready.length
    ? jobForm({ ready, datasets: usable, jobs: jobs.items, asked })
    : emptyState(
        t("library.empty"),
        t("form.empty"),
        element("a", toLibrary, t("do.addCheckpoint")),
      );
  setChildren(node, node.firstChild, content);
}

/**
 * Inputs for further checkpoints, and which of the others each takes at first.
 * @type {[Input, number][]}
 */
const FURTHER = [
  ["end", 0],
  ["second", 0],
  ["third", 1],
];

/** @type {(known: { ready: ReadyCheckpoint[]; datasets: Dataset[]; jobs: Job[]; asked?: string }) => HTMLElement} */
function jobForm({ ready, datasets, jobs, asked }) {
  /** @type {Form} */
  const form = {
    ...DEFAULTS,
    checkpoint: ready.find(({ id }) => id === asked)?.id ?? ready[0].id,
    dataset: datasets[0] ? keyOf(datasets[0]) : DEFAULTS.dataset,
  };
  /** @type {Set<string>} */
  const touched = new Set();
  /** @type {Problems} */
  let refused = {}; // errors of the service, until that input is changed
  const fields = formFields(form, (name) => {
    touched.add(name);
    delete refused[name];
    follow(name);
    refresh();
  });
  const { inputs, setOptions, setValue } = fields;
  const sentence = jobSentence(form, fields, { ready, datasets });
  const options = jobOptions(form, fields);
  const epochs = element("fieldset", {
    class: "epochs",
    id: "field-epochs",
    tabindex: -1,
    "data-testid": "job-epochs",
    "aria-label": t("input.epochs"),
    "aria-describedby": "problem-epochs",
  });
  inputs.set("epochs", epochs);
  const costLine = element("p", { class: "cost", "data-testid": "job-cost" });
  const centerLine = element("p", { class: "soft", hidden: true }, t("form.offGrid"));
  const troubles = element("ul", { class: "troubles" });
  const notice = noticeLine();
  const start = element(
    "button",
    { type: "submit", class: "button primary large", "data-testid": "start-job" },
    t("form.start"),
  );
  const request = requestCard();

  const center = () => ready.find(({ id }) => id === form.checkpoint);
  const dataset = () => datasets.find((own) => keyOf(own) === form.dataset) ?? null;
  const twins = () => alike(center() ?? ready[0], ready);
  const boxes = () => [...epochs.querySelectorAll("input")];
  /** @type {() => Record<string, string>} */
  const found = () => ({ ...problems(form, dataset(), ready), ...refused });

  /**
   * Update what depends on an input: the checkpoints of the same architecture, the splits of the data set, the grid of
   * the kind.
   * @type {(name: Input) => void}
   */
  function follow(name) {
    // the errors were about the previous request
    if (name === "kind" || name === "checkpoint" || name === "dataset") refused = {};
    if (name === "kind") setGrid();
    if (name === "checkpoint") setCheckpoints();
    if (name === "dataset") setSplits();
    if (name === "dataset" || name === "split") setOther();
  }

  function setGrid() {
    for (const [own, value] of Object.entries(gridDefaults(form.kind)))
      if (!touched.has(own)) setValue(/** @type {Input} */ (own), value);
  }

  function setCheckpoints() {
    form.epochs = [];
    const others = twins().filter(({ id }) => id !== form.checkpoint);
    /** @type {[string, string][]} */
    const named = others.map(({ id, name }) => [id, name]);
    for (const [own, k] of FURTHER)
      setOptions(own, named.length ? named : [["", t("form.noOther")]], others[k]?.id ?? "");
    const all = {
      type: "button",
      class: "quiet",
      "data-testid": "job-epochs-all",
      onclick: chooseAll,
    };
    setChildren(
      epochs,
      element("legend", {}, t("form.epochs")),
      twins().map(({ id, name }) => epochBox(id, name, chooseEpochs)),
      twins().length > 4 && element("button", all, t("form.selectAll")),
    );
  }

  function setSplits() {
    const known = Object.keys(dataset()?.splits ?? { train: 0, test: 0 });
    setOptions(
      "split",
      known.map((own) => [own, splitWord(own)]),
      known.includes(form.split) ? form.split : known[0],
    );
  }

  function setOther() {
    const other = otherSplit(form.split);
    const known = Object.keys(dataset()?.splits ?? { train: 0, test: 0 }).includes(other);
    /** @type {[string, string][]} */
    const also = [["none", t("choice.none")]];
    if (known) also.push(["other", splitWord(other)]);
    setOptions("also", also, known ? form.also : "none");
  }

  function chooseEpochs() {
    form.epochs = boxes().flatMap(({ checked, value }) => (checked ? [value] : []));
    touched.add("epochs");
    delete refused.epochs;
    refresh();
  }

  function chooseAll() {
    for (const box of boxes()) box.checked = true;
    chooseEpochs();
  }

  /**
   * Update everything that shows the form; errors of inputs that were not touched only where `all` are asked for.
   * @type {(all?: boolean) => boolean}
   */
  function refresh(all = false) {
    epochs.hidden = form.kind !== "trajectory";
    sentence.update(dataset());
    options.update();
    const wrong = found();
    const shown = Object.keys(wrong).filter((name) => all || touched.has(name) || name in refused);
    for (const [name, control] of inputs)
      control.setAttribute("aria-invalid", String(shown.includes(name)));
    setChildren(
      troubles,
      shown.map((name) => trouble(name, wrong[name])),
    );
    const spec = Object.keys(wrong).length ? null : jobSpec(form);
    const label = center()?.architecture.label;
    setText(costLine, spec ? costWords(spec, dataset(), jobs, label) : "");
    centerLine.hidden = !spec || centerOnGrid(spec);
    request.show(spec);
    return spec !== null;
  }

  /** @type {(name: string, problem: string) => HTMLElement} */
  function trouble(name, problem) {
    const show = (/** @type {Event} */ event) => {
      event.preventDefault();
      reveal(name);
    };
    const input = inputs.get(/** @type {Input} */ (name))?.getAttribute("aria-label") ?? name;
    return element(
      "li",
      { id: `problem-${name}`, "data-testid": "job-problem", "data-field": name },
      tNodes("form.problem", {
        input: element("a", { href: `#field-${name}`, onclick: show }, input),
        problem,
      }),
    );
  }

  /** @type {(event: Event) => Promise<void>} */
  async function submit(event) {
    event.preventDefault();
    notice.say(null);
    if (!refresh(true)) return reveal(Object.keys(found())[0]);
    start.disabled = true;
    try {
      const { id } = await post("/api/v1/jobs", jobSpec(form));
      location.hash = `#/jobs/${id}`;
    } catch (error) {
      const name = error instanceof ApiError ? inputOf(error.field) : undefined;
      if (name) refused[name] = messageOf(error);
      else notice.say(messageOf(error));
      refresh(true);
      reveal(name);
    } finally {
      start.disabled = false;
    }
  }

  /** @type {(name: string | undefined) => void} */
  function reveal(name) {
    const control = inputs.get(/** @type {Input} */ (name));
    if (!control) return;
    if (options.node.contains(control)) options.node.open = true;
    control.focus();
  }

  follow("checkpoint");
  follow("dataset");
  refresh();
  const own = element(
    "form",
    { class: "card", novalidate: true, onsubmit: submit },
    sentence.node,
    epochs,
    element("div", { role: "alert" }, troubles),
    options.node,
    notice.node,
    element("div", { class: "start" }, start, element("div", {}, costLine, centerLine)),
  );
  return element("div", { class: "new-job-columns" }, own, request.node);
}

/** @type {(split: string) => string} */
const splitWord = (split) =>
  split === "train" ? t("form.train") : split === "test" ? t("form.test") : split;

/** @type {(id: string, name: string, onchange: () => void) => HTMLElement} */
const epochBox = (id, name, onchange) =>
  element(
    "label",
    {},
    element("input", { type: "checkbox", value: id, "data-testid": "job-epoch", onchange }),
    name,
  );
