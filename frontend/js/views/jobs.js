/** The list of jobs: follow, cancel, retry, delete, and select results to compare. */

import { element, keyedList, setChildren, setText } from "../element.js";
import { ago, joined, progressWords, shareDone, specWords } from "../format.js";
import { finished, get, post, remove, repeat } from "../network.js";
import { address, choice, jobsOf } from "../route.js";
import { replaceQuery } from "../state.js";
import { t } from "../text.js";
import {
  attempt,
  badge,
  segmented,
  confirmButton,
  emptyState,
  noticeLine,
  progressBar,
} from "./parts.js";
import { thumbnail } from "./thumbnail.js";

/** @import { Child, Job, Notice, Row, View, ViewContext } from "../types.d.ts" */

const PAGE = 25;
const STATES = /** @type {const} */ (["all", "queued", "running", "done", "failed", "cancelled"]);

/** @typedef {(typeof STATES)[number]} State */

/** @type {(context: ViewContext) => View} */
export function jobs({ route, signal }) {
  const state = choice(route.query, "state", STATES, "all");
  const page = Math.max(1, Number(route.query.page) || 1);
  const picked = new Set(jobsOf({ jobs: route.query.compare }));
  const notice = noticeLine();
  const list = element("ul", { class: "rows job-rows" });
  const rest = element("div", {});
  const bar = element("div", { class: "picked", hidden: true });
  const update = keyedList(
    list,
    ({ id }) => id,
    (job) => jobRow(job, { notice, picked, onPick: showPicked, again: () => again(), signal }),
  );

  function showPicked() {
    bar.hidden = picked.size === 0;
    const ids = [...picked];
    replaceQuery(route, { compare: ids.join() });
    const go = element(
      "a",
      {
        class: "button primary",
        "data-testid": "compare-button",
        href: address("/compare", { jobs: ids.join() }),
      },
      t("jobs.compare", { count: picked.size }),
    );
    setChildren(
      bar,
      element(
        "span",
        { "aria-live": "polite" },
        picked.size === 1 ? t("jobs.selectedOne") : t("jobs.selected", { count: picked.size }),
      ),
      picked.size > 1 && go,
      element(
        "button",
        { type: "button", class: "quiet", onclick: () => [picked.clear(), showPicked(), again()] },
        t("jobs.clear"),
      ),
    );
  }
  let active = false;
  async function load() {
    const filter = state === "all" ? "" : `&state=${state}`;
    const { items, total } = await get(
      `/api/v1/jobs?limit=${PAGE}&offset=${PAGE * (page - 1)}${filter}`,
      signal,
    );
    active = items.some((job) => !finished(job.state));
    update(items);
    setChildren(
      rest,
      !items.length && nothing(state),
      pager(total, page, { state, compare: [...picked].join() }),
    );
  }
  const again = repeat(load, () => (active ? 1.5 : 6), signal);
  showPicked();
  const filter = segmented({
    name: "state",
    legend: t("jobs.state"),
    value: state,
    options: STATES.map((value) => ({ value, label: t(`state.${value}`) })),
    onchange: (value) =>
      (location.hash = address("/jobs", {
        state: value === "all" ? null : value,
        compare: [...picked].join(),
      })),
  });
  const node = element(
    "div",
    { class: "view jobs" },
    element(
      "header",
      { class: "view-head" },
      element(
        "div",
        { class: "titles" },
        element("h1", {}, t("jobs.title")),
        element("p", { class: "lead" }, t("jobs.lead")),
      ),
      filter.node,
    ),
    notice.node,
    list,
    rest,
    bar,
  );
  return { title: t("jobs.title"), node };
}

/** @type {(state: State) => HTMLElement} */
function nothing(state) {
  if (state !== "all")
    return emptyState(
      t(`jobs.none.${state}`),
      t("jobs.noneHint"),
      element("a", { class: "button", href: "#/jobs" }, t("jobs.all")),
    );
  return emptyState(
    t("jobs.empty"),
    t("jobs.emptyHint"),
    element("a", { class: "button primary", href: "#/new" }, t("do.newJob")),
  );
}

/**
 * @type {(total: number, page: number, query: { state: State; compare: string }) =>
 *   HTMLElement | null}
 */
function pager(total, page, { state, compare }) {
  if (total <= PAGE) return null;
  /** @type {(label: string, to: number, on: boolean) => Child} */
  const link = (label, to, on) =>
    on &&
    element(
      "a",
      {
        class: "button",
        href: address("/jobs", { page: to, state: state === "all" ? null : state, compare }),
      },
      label,
    );
  return element(
    "nav",
    { class: "pager", "aria-label": t("library.pages") },
    link(t("library.newer"), page - 1, page > 1),
    element(
      "span",
      { class: "soft" },
      t("range.of", { first: PAGE * (page - 1) + 1, last: Math.min(total, PAGE * page), total }),
    ),
    link(t("library.older"), page + 1, PAGE * page < total),
  );
}

/**
 * @type {(job: Job, options: { notice: Notice; picked: Set<string>; onPick(): void; again():
 *   void; signal: AbortSignal }) => Row<Job>}
 */
function jobRow({ id, name }, { notice, picked, onPick, again, signal }) {
  const state = badge("job-state");
  const bar = progressBar(t("progress.of", { name }), "job-progress");
  const words = element("span", { class: "soft" });
  const when = element("span", { class: "soft when" });
  const thumb = element("a", {
    class: "thumb",
    href: `#/jobs/${id}`,
    tabindex: -1,
    "aria-hidden": "true",
  });
  /** @type {HTMLInputElement} */
  const box = element("input", {
    type: "checkbox",
    "data-testid": "select-job",
    "aria-label": t("jobs.select", { name }),
    checked: picked.has(id),
    onchange: () => [box.checked ? picked.add(id) : picked.delete(id), onPick()],
  });
  /** @type {(path: string) => Promise<unknown>} */
  const act = (path) =>
    attempt(notice, () => post(`/api/v1/jobs/${id}/${path}`)).then(again, () => {});
  const cancel = element(
    "button",
    { type: "button", class: "button", "data-testid": "cancel-job", onclick: () => act("cancel") },
    t("do.cancel"),
  );
  const retry = element(
    "button",
    {
      type: "button",
      class: "button",
      "data-testid": "retry-job",
      title: t("jobs.retryHint"),
      onclick: () => act("retry"),
    },
    t("do.retry"),
  );
  const erase = confirmButton(t("do.deleteNamed", { name }), t("do.delete"), () =>
    attempt(notice, () => remove(`/api/v1/jobs/${id}`))
      .then(() => [picked.delete(id), onPick()])
      .then(again),
  );
  const node = element(
    "li",
    { class: "row", "data-testid": "job-row", "data-id": id },
    element("label", { class: "pick" }, box),
    thumb,
    element(
      "div",
      { class: "main" },
      element("a", { class: "name", href: `#/jobs/${id}` }, name),
      element("div", { class: "line" }, state.node, words),
      bar.node,
    ),
    when,
    element("div", { class: "actions" }, cancel, retry, erase),
  );
  return {
    node,
    update(job) {
      const over = finished(job.state);
      node.dataset.state = job.state;
      box.checked = picked.has(id);
      box.disabled = job.progress.done === 0;
      state.update(job.state, t(`state.${job.state}`));
      setText(words, ` · ${lineOf(job)}`);
      setText(when, ago(job.created, Date.now()));
      when.title = job.created;
      bar.update(shareDone(job.progress), progressWords(job.progress));
      bar.node.hidden = over;
      cancel.hidden = over || !job.yours;
      retry.hidden = !job.yours || (job.state !== "failed" && job.state !== "cancelled");
      erase.hidden = !over || !job.yours;
      if (job.state === "done") thumbnail(thumb, id, signal);
    },
  };
}

/** @type {(job: Job) => string} */
function lineOf({ kind, state, error, progress, spec }) {
  if (state === "failed" && error) return joined(t(`kind.${kind}`), error);
  if (state === "running" || progress.preparing)
    return joined(t(`kind.${kind}`), progressWords(progress));
  return specWords(spec);
}
