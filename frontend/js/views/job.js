/** One job: its tiles and surface while it runs, its result when it is done. */

import { element, setChildren, setText } from "../element.js";
import { follow } from "../events.js";
import { progressWords, shareDone } from "../format.js";
import { isLine } from "../grid.js";
import { countComputed } from "../live.js";
import { finished, post } from "../network.js";
import { t } from "../text.js";
import { factsOf } from "./facts.js";
import { header } from "./jobhead.js";
import { resultPicture, runningPictures, slicePicture } from "./jobplots.js";
import { jobLog } from "./log.js";
import { attempt, emptyState, emptyView, noticeLine, progressBar } from "./parts.js";
import { caveat, warningsOf } from "./plotparts.js";

/**
 * @import { ApiError, Job, JobState, Key, Pictures, Result, View,
 *   ViewContext } from "../types.d.ts"
 */

/** @type {(context: ViewContext) => View} */
export function job({ route, signal }) {
  const node = element(
    "div",
    { class: "view job" },
    element("p", { class: "empty" }, t("job.loading")),
  );
  /** @type {ReturnType<typeof layOut> | null} */
  let page = null;
  /** @type {ReturnType<typeof early> | null} */
  let waiting = null;
  const log = jobLog(route.id, signal);
  const following = follow([route.id], signal, (_, { job: own, result, error }) => {
    if (own) log.update(finished(own.state));
    if (own?.error || error?.code === "damaged") log.open();
    if (error && !page)
      return setChildren(node, broken(error, route.id), error.code === "damaged" && log.node);
    if (own && !result && !page) {
      if (waiting?.state !== own.state) {
        waiting = early(own, () => following.reload(route.id));
        setChildren(node, waiting.node, log.node);
      }
      return waiting.update(own);
    }
    if (!own || !result) return;
    page ??= layOut(node, own, { route, signal, log, reload: () => following.reload(route.id) });
    page.update(own, result);
  });
  return { title: t("job.title"), node };
}

/**
 * No such job, or one whose values were damaged on the disk and can be computed again.
 * @type {(error: ApiError, id: string) => HTMLElement}
 */
function broken({ code, message }, id) {
  const notice = noticeLine();
  const all = element("a", { class: "button", href: "#/jobs" }, t("jobs.all"));
  if (code !== "damaged") return emptyView(t("job.broken"), message, all);
  const again = () =>
    attempt(notice, () => post(`/api/v1/jobs/${id}/retry`)).then(
      (job) => (location.hash = `#/jobs/${job.id}`),
      () => {},
    );
  const retry = element(
    "button",
    { type: "button", class: "button primary", "data-testid": "retry-job", onclick: again },
    t("do.retry"),
  );
  return element(
    "div",
    { "data-testid": "damaged" },
    emptyView(t("job.damaged"), message, retry, all),
    notice.node,
  );
}

/** @type {Partial<Record<JobState, Key>>} */
const EARLY = { failed: "job.failedEarly", cancelled: "job.cancelledEarly" };

/**
 * A plane or a trajectory whose range is not computed yet, or never will be.
 * @type {(own: Job, reload: () => void) => { node: HTMLElement; state: JobState; update(job:
 *   Job): void }}
 */
function early({ id, name, state, yours }, reload) {
  const over = finished(state);
  const notice = noticeLine();
  const words = element("span", { "data-testid": "job-early" });
  const bar = progressBar(t("job.progress"), "job-progress");
  const stop = () =>
    attempt(notice, () => post(`/api/v1/jobs/${id}/cancel`)).then(reload, () => {});
  const cancel = element(
    "button",
    { type: "button", class: "button", "data-testid": "cancel-job", onclick: stop },
    t("do.cancel"),
  );
  const view = emptyView(
    t("job.early", { name, state: t(`state.${state}`) }),
    words,
    !over && yours && cancel,
    element("a", { class: "button", href: "#/jobs" }, t("jobs.all")),
  );
  return {
    node: element("div", {}, view, bar.node, notice.node),
    state,
    update({ error, progress }) {
      const told = progress.preparing ? progressWords(progress) : t("job.earlyHint");
      setText(words, error ?? (over ? t(EARLY[state] ?? "job.doneEarly") : told));
      bar.node.hidden = !progress.preparing;
      bar.update(shareDone(progress), told);
    },
  };
}

/**
 * @type {(node: HTMLElement, own: Job, options: ViewContext & { log: ReturnType<typeof jobLog>;
 *   reload(): void }) => { update(job: Job, result: Result): void }}
 */
function layOut(node, own, { route, signal, log, reload }) {
  const notice = noticeLine();
  const shown = () => pictures?.shown?.() ?? null;
  const head = header(own, notice, { reload, signal, shown });
  const warnings = element("div", { class: "warnings" });
  const place = element("div", {});
  const side = element("div", {});
  setChildren(node, head.node, notice.node, warnings, place, side, log.node);
  document.title = t("page.title", { view: own.name });
  /** @type {keyof typeof PLOTS | ""} */
  let mode = "";
  /** @type {Pictures | null} */
  let pictures = null;
  let inner = new AbortController();
  signal.addEventListener("abort", () => inner.abort());
  return {
    update(job, result) {
      head.update(job, result);
      const next = plotOf(job, result);
      if (next !== mode) {
        inner.abort();
        inner = new AbortController();
        mode = next;
        pictures = PLOTS[next]({ job, result, route, signal: inner.signal, notice });
        setChildren(place, pictures.node);
      }
      pictures?.update(result);
      if (warnings.dataset.key !== factsKey(job, result))
        setChildren(warnings, warningsOf(result.provenance));
      warnings.dataset.key = factsKey(job, result);
      if (side.dataset.key !== factsKey(job, result))
        setChildren(
          side,
          mode === "nothing"
            ? []
            : finished(job.state)
              ? factsOf(job, result, signal)
              : caveat(job.kind),
        );
      side.dataset.key = factsKey(job, result);
    },
  };
}

/** @type {(job: Job, result: Result) => string} */
const factsKey = (job, result) =>
  [
    job.state,
    Boolean(result.provenance),
    result.non_finite.length,
    finished(job.state) && job.progress.done,
  ].join();

/**
 * The job ended before its first point.
 * @type {() => Pictures}
 */
const nothing = () => ({
  update() {},
  node: emptyState(t("job.nothing"), t("job.nothingHint")),
});

/** What is shown of a job: see plotOf. */
const PLOTS = { nothing, slice: slicePicture, result: resultPicture, running: runningPictures };

/** @type {(job: Job, result: Result) => keyof typeof PLOTS} */
function plotOf(job, result) {
  if (finished(job.state) && !countComputed(result)) return "nothing";
  if (isLine(job.kind)) return "slice";
  return finished(job.state) ? "result" : "running";
}
