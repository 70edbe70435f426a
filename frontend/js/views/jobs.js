/** The list of jobs: follow, cancel, retry, delete, and select results to compare. */

import { element, keyedList, setChildren, setText } from "../element.js";
import { ago, plural, progressWords, specWords, whole } from "../format.js";
import { get, finished, post, remove, repeat } from "../network.js";
import { address, choice, jobsOf } from "../route.js";
import { replaceQuery } from "../state.js";
import {
  attempt,
  badge,
  confirmButton,
  emptyState,
  noticeLine,
  progressBar,
  segmented,
} from "./parts.js";
import { thumbnail } from "./thumbnail.js";

/** @import { Child, Job, Notice, Row, View, ViewContext } from "../types.d.ts" */

const PAGE = 25;
const STATES = ["all", "queued", "running", "done", "failed", "cancelled"];

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
      `Compare ${picked.size}`,
    );
    setChildren(
      bar,
      element(
        "span",
        { "aria-live": "polite" },
        picked.size === 1
          ? "1 selected. Select another to compare it with."
          : `${picked.size} selected`,
      ),
      picked.size > 1 && go,
      element(
        "button",
        { type: "button", class: "quiet", onclick: () => [picked.clear(), showPicked(), again()] },
        "Clear",
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
    legend: "State",
    value: state,
    options: STATES.map((value) => ({ value, label: value })),
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
        element("h1", {}, "Jobs"),
        element("p", { class: "lead" }, "Newest first. Select two or more to compare them."),
      ),
      filter.node,
    ),
    notice.node,
    list,
    rest,
    bar,
  );
  return { title: "Jobs", node };
}

/** @type {(state: string) => HTMLElement} */
function nothing(state) {
  if (state !== "all")
    return emptyState(
      `No ${state} jobs`,
      "Other jobs are in the full list.",
      element("a", { class: "button", href: "#/jobs" }, "All jobs"),
    );
  return emptyState(
    "No jobs yet",
    "Choose a checkpoint and compute its surface.",
    element("a", { class: "button primary", href: "#/new" }, "New job"),
  );
}

/**
 * @type {(total: number, page: number, query: { state: string; compare: string }) =>
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
    { class: "pager", "aria-label": "Pages" },
    link("Newer", page - 1, page > 1),
    element(
      "span",
      { class: "soft" },
      `${whole(PAGE * (page - 1) + 1)}–${whole(Math.min(total, PAGE * page))} of ${whole(total)}`,
    ),
    link("Older", page + 1, PAGE * page < total),
  );
}

/**
 * @type {(job: Job, options: { notice: Notice; picked: Set<string>; onPick(): void; again():
 *   void; signal: AbortSignal }) => Row<Job>}
 */
function jobRow({ id, kind, name }, { notice, picked, onPick, again, signal }) {
  const state = badge("job-state");
  const bar = progressBar(`Progress of ${name}`, "job-progress");
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
    "aria-label": `Select ${name} for comparison`,
    checked: picked.has(id),
    onchange: () => [box.checked ? picked.add(id) : picked.delete(id), onPick()],
  });
  /** @type {(path: string) => Promise<unknown>} */
  const act = (path) =>
    attempt(notice, () => post(`/api/v1/jobs/${id}/${path}`)).then(again, () => {});
  const cancel = element(
    "button",
    { type: "button", class: "button", "data-testid": "cancel-job", onclick: () => act("cancel") },
    "Cancel",
  );
  const retry = element(
    "button",
    {
      type: "button",
      class: "button",
      "data-testid": "retry-job",
      title: "Computes the missing points",
      onclick: () => act("retry"),
    },
    "Retry",
  );
  const erase = confirmButton(`Delete ${name}`, "Delete", () =>
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
      state.update(job.state);
      setText(
        words,
        ` · ${job.state === "failed" && job.error ? `${kind} · ${job.error}` : job.state === "running" ? `${kind} · ${progressWords(job.progress)}` : specWords(job.spec)}`,
      );
      setText(when, ago(job.created, Date.now()));
      when.title = job.created;
      bar.update(
        job.progress.done / job.progress.total,
        `${whole(job.progress.done)} of ${plural(job.progress.total, "point")}`,
      );
      bar.node.hidden = over;
      cancel.hidden = over || !job.yours;
      retry.hidden = !job.yours || (job.state !== "failed" && job.state !== "cancelled");
      erase.hidden = !over || !job.yours;
      if (job.state === "done") thumbnail(thumb, id, signal);
    },
  };
}
