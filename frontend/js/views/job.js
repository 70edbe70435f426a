/** One job: its tiles and surface while it runs, its result when it is done. */

import { element, setChildren } from "../element.js";
import { follow } from "../events.js";
import { isLine } from "../grid.js";
import { countComputed } from "../live.js";
import { finished, post } from "../network.js";
import { factsOf } from "./facts.js";
import { header } from "./jobhead.js";
import { resultPicture, runningPictures, slicePicture } from "./jobplots.js";
import { jobLog } from "./log.js";
import { attempt, emptyState, emptyView, noticeLine } from "./parts.js";
import { caveat, warningsOf } from "./plotparts.js";

export function job({ route, signal }) {
  const node = element(
    "div",
    { class: "view job" },
    element("p", { class: "empty" }, "Loading the job…"),
  );
  let page = null;
  const log = jobLog(route.id, signal);
  const following = follow([route.id], signal, (_, { job: own, result, error }) => {
    if (own) log.update(finished(own.state));
    if (own?.error || error?.code === "damaged") log.open();
    if (error && !page)
      return setChildren(node, broken(error, route.id), error.code === "damaged" && log.node);
    if (own && !result && !page) return setChildren(node, early(own), log.node);
    if (!own || !result) return;
    page ??= layOut(node, own, { route, signal, log, reload: () => following.reload(route.id) });
    page.update(own, result);
  });
  return { title: "Job", node };
}

/** No such job, or one whose values were damaged on the disk and can be computed again. */
function broken({ code, message }, id) {
  const notice = noticeLine();
  const all = element("a", { class: "button", href: "#/jobs" }, "All jobs");
  if (code !== "damaged") return emptyView("Cannot show this job", message, all);
  const again = () =>
    attempt(notice, () => post(`/api/v1/jobs/${id}/retry`)).then(
      (job) => (location.hash = `#/jobs/${job.id}`),
      () => {},
    );
  const retry = element(
    "button",
    { type: "button", class: "button primary", "data-testid": "retry-job", onclick: again },
    "Retry",
  );
  return element(
    "div",
    { "data-testid": "damaged" },
    emptyView("This result is damaged", message, retry, all),
    notice.node,
  );
}

/** A plane or a trajectory whose range is not computed yet, or never will be. */
function early(job) {
  const words =
    job.error ??
    (finished(job.state)
      ? `The job was ${job.state} before it started.`
      : "The plot appears once a worker has loaded the checkpoints and computed the range.");
  return emptyView(
    `${job.name}: ${job.state}`,
    words,
    element("a", { class: "button", href: "#/jobs" }, "All jobs"),
  );
}

function layOut(node, own, { route, signal, log, reload }) {
  const notice = noticeLine();
  const head = header(own, notice, { reload, signal });
  const warnings = element("div", { class: "warnings" });
  const place = element("div", {});
  const side = element("div", {});
  setChildren(node, head.node, notice.node, warnings, place, side, log.node);
  document.title = `${own.name} – Loss Landscape`;
  let mode = "";
  let pictures = null;
  let inner = new AbortController();
  signal.addEventListener("abort", () => inner.abort());
  return {
    update(job, result) {
      head.update(job, result);
      const next =
        finished(job.state) && !countComputed(result)
          ? "nothing"
          : isLine(job.kind)
            ? "slice"
            : finished(job.state)
              ? "result"
              : "running";
      if (next !== mode) {
        inner.abort();
        inner = new AbortController();
        mode = next;
        pictures = {
          nothing,
          slice: slicePicture,
          result: resultPicture,
          running: runningPictures,
        }[mode]({ job, result, route, signal: inner.signal, notice });
        setChildren(place, pictures.node);
      }
      pictures.update(result, job);
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

const factsKey = (job, result) =>
  [
    job.state,
    Boolean(result.provenance),
    result.non_finite.length,
    finished(job.state) && job.progress.done,
  ].join();

/** The job ended before its first point. */
const nothing = () => ({
  update() {},
  node: emptyState(
    "Nothing was computed",
    "There is nothing to show. The log says what happened; Retry computes it.",
  ),
});
