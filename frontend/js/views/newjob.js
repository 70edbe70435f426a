/** The form of a new job. */

import { element, setChildren, setText } from "../element.js";
import { costWords, isReady, keyOf } from "../jobwords.js";
import { ApiError, get, messageOf, post, unlessAborted } from "../network.js";
import { problems } from "../problems.js";
import {
  IN_SENTENCE,
  alike,
  allOptions,
  centerOnGrid,
  defaultInputs,
  definitionOf,
  furtherRoles,
  gridInputs,
  initialForm,
  inputOf,
  jobSpec,
  kindNames,
} from "../request.js";
import { t, tNodes } from "../text.js";
import { formFields, labelOf } from "./formfields.js";
import { choicesOf, jobOptions } from "./joboptions.js";
import { jobSentence } from "./jobsentence.js";
import { emptyState, noticeLine } from "./parts.js";
import { requestCard } from "./requestcard.js";

/**
 * @import { Dataset, Input, Job, Problems, ReadyCheckpoint, Route, View, ViewContext }
 *   from "../types.d.ts"
 */

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
 * @type {(known: { ready: ReadyCheckpoint[]; datasets: Dataset[]; jobs: Job[]; asked?: string }) =>
 * HTMLElement}
 */
function jobForm({ ready, datasets, jobs, asked }) {
  const form = initialForm();
  form.checkpoint = ready.find(({ id }) => id === asked)?.id ?? ready[0].id;
  if (datasets[0]) form.dataset = keyOf(datasets[0]);
  /** @type {Set<string>} */
  const touched = new Set();
  /** @type {Problems} */
  let refused = {}; // errors of the service, until that input is changed
  const roles = uniqueRoles();
  const fields = formFields(form, (name) => {
    touched.add(name);
    delete refused[name];
    follow(name);
    refresh();
  });
  const { inputs, setBoxes, setOptions, setValue } = fields;
  const sentence = jobSentence(form, fields, { ready, datasets });
  const options = jobOptions(form, fields);
  const lists = roles
    .filter(({ many }) => many)
    .map(({ name }) => ({ name, node: fields.checkboxes(name, `job-${name}`, []) }));
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
  /** @type {(id: string) => string} */
  const fileOf = (id) => [...ready, ...datasets].find((own) => own.id === id)?.name ?? id;
  const twins = () => alike(center() ?? ready[0], ready);
  /** @type {() => Record<string, string>} */
  const found = () => ({ ...problems(form, dataset(), ready), ...refused });

  /**
   * Update what depends on an input: the checkpoints of the same architecture, the splits of the
   * data set, the grid of the kind.
   * @type {(name: Input) => void}
   */
  function follow(name) {
    // the errors were about the previous request
    if (name === "kind" || name === "checkpoint" || name === "dataset") refused = {};
    if (name === "kind") setDefaults();
    if (name === "checkpoint") setCheckpoints();
    if (name === "dataset" || name === "split") setSplits();
  }

  function setDefaults() {
    const usual = { ...gridInputs(form.kind), ...defaultInputs(definitionOf(form.kind).options) };
    for (const [own, value] of Object.entries(usual))
      if (!touched.has(own) && !IN_SENTENCE.includes(own)) setValue(own, value);
  }

  /**
   * Offer the checkpoints of the same network: the first ones to the inputs for one, all to the
   * lists.
   */
  function setCheckpoints() {
    const others = twins().filter(({ id }) => id !== form.checkpoint);
    /** @type {[string, string][]} */
    const named = others.map(({ id, name }) => [id, name]);
    const offered = named.length
      ? named
      : [/** @type {[string, string]} */ (["", t("form.noOther")])];
    for (const { name, many, place } of roles)
      if (many) setList(name);
      else setOptions(name, offered, others[place]?.id ?? "");
  }

  /** @type {(role: string) => void} */
  function setList(role) {
    const all = {
      type: "button",
      class: "quiet",
      "data-testid": `job-${role}-all`,
      onclick: () => fields.checkAll(role),
    };
    setBoxes(
      role,
      twins().map(({ id, name }) => [id, name]),
      twins().length > 4 && element("button", all, t("form.selectAll")),
    );
    inputs.get(role)?.prepend(element("legend", {}, labelOf(role)));
  }

  /** Offer the splits of the data set; a second one has to be another than the first. */
  function setSplits() {
    const splits = Object.entries(allOptions()).filter(([, { type }]) => type === "Split");
    const known = dataset()?.splits;
    for (const [name, option] of splits) {
      const all = choicesOf(option).filter(
        ([value]) =>
          !value || ((!known || value in known) && (name === "split" || value !== form.split)),
      );
      const values = all.map(([value]) => value);
      // where one was chosen that is not there any more, the first that is
      const fallback = (form[name] && values.find(Boolean)) || values[0];
      setOptions(name, all, values.includes(String(form[name])) ? String(form[name]) : fallback);
    }
  }

  /**
   * Update everything that shows the form; errors of inputs that were not touched only where `all`
   * are asked for.
   * @type {(all?: boolean) => boolean}
   */
  function refresh(all = false) {
    const needed = furtherRoles(form.kind).map(({ name }) => name);
    for (const list of lists) list.node.hidden = !needed.includes(list.name);
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
    request.show(spec, fileOf);
    return spec !== null;
  }

  /** @type {(name: string, problem: string) => HTMLElement} */
  function trouble(name, problem) {
    const show = (/** @type {Event} */ event) => {
      event.preventDefault();
      reveal(name);
    };
    return element(
      "li",
      { id: `problem-${name}`, "data-testid": "job-problem", "data-field": name },
      tNodes("form.problem", {
        input: element("a", { href: `#field-${name}`, onclick: show }, labelOf(name)),
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
    const control = inputs.get(name ?? "");
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
    lists.map(({ node }) => node),
    element("div", { role: "alert" }, troubles),
    options.node,
    notice.node,
    element("div", { class: "start" }, start, element("div", {}, costLine, centerLine)),
  );
  return element("div", { class: "new-job-columns" }, own, request.node);
}

/**
 * The checkpoints that kinds need besides the center, each name once; `place` is which of the
 * others it takes at first.
 * @type {() => { name: string; many: boolean; place: number }[]}
 */
function uniqueRoles() {
  const all = kindNames().flatMap((kind) =>
    furtherRoles(kind).map(({ name, many }, place) => ({ name, many, place })),
  );
  return [...new Map(all.map((role) => [role.name, role])).values()];
}
