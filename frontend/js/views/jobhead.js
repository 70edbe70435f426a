/** The head of a job's view: name, state, caption, progress, actions. */

import { element, setText } from "../element.js";
import { captionOf, progressWords } from "../format.js";
import { finished, post, remove } from "../network.js";
import { address } from "../route.js";
import { account } from "../state.js";
import { attempt, badge, confirmButton, progressBar } from "./parts.js";
import { sharing } from "./share.js";

/** @import { Job, Notice, Result } from "../types.d.ts" */

/**
 * Name, state, caption, progress, actions.
 * @type {(own: Job, notice: Notice, options: { reload(): void; signal: AbortSignal }) => {
 *   node: HTMLElement; update(job: Job, result: Result): void }}
 */
export function header(own, notice, { reload, signal }) {
  const state = badge("job-state");
  const caption = element("p", { class: "caption", "data-testid": "caption" });
  const error = element("p", { class: "notice error", hidden: true });
  const words = element("p", { class: "progress-words", "aria-live": "polite" });
  const bar = progressBar("Progress of the job", "job-progress");
  /** @type {(path: string) => Promise<unknown>} */
  const act = (path) =>
    attempt(notice, () => post(`/api/v1/jobs/${own.id}/${path}`)).then(
      ({ id }) => (id === own.id ? reload() : (location.hash = `#/jobs/${id}`)),
      () => {},
    );
  const cancel = element(
    "button",
    { type: "button", class: "button", "data-testid": "cancel-job", onclick: () => act("cancel") },
    "Cancel",
  );
  const retry = element(
    "button",
    {
      type: "button",
      class: "button primary",
      "data-testid": "retry-job",
      title: "Computes the missing points and keeps the others",
      onclick: () => act("retry"),
    },
    "Retry",
  );
  const other = element(
    "a",
    { class: "button", href: address("/jobs", { compare: own.id }) },
    "Compare with…",
  );
  const erase = confirmButton("Delete this job", "Delete the job and its result", () =>
    attempt(notice, () => remove(`/api/v1/jobs/${own.id}`)).then(() => (location.hash = "#/jobs")),
  );
  const share = account.get().access && own.yours && sharing(own.id, signal);
  const guest = account.get().access && account.get().user === null;
  const seen =
    guest &&
    element("p", { class: "soft", "data-testid": "job-guest" }, "Shared with you by link.");
  const actions = element("div", { class: "actions" }, cancel, retry, share, other, erase, seen);
  let told = 0;
  return {
    node: element(
      "header",
      { class: "view-head" },
      element(
        "div",
        { class: "titles" },
        element("h1", {}, own.name, " ", state.node),
        caption,
        words,
        bar.node,
        error,
      ),
      actions,
    ),
    update(job, result) {
      const over = finished(job.state);
      state.update(job.state);
      setText(caption, captionOf(job, result));
      cancel.hidden = over || !job.yours;
      retry.hidden = !job.yours || (job.state !== "failed" && job.state !== "cancelled");
      other.hidden = job.state !== "done" || guest;
      erase.hidden = !over || !job.yours;
      bar.node.hidden = words.hidden = job.state === "done";
      bar.update(job.progress.done / job.progress.total, progressWords(job.progress));
      if (over || Date.now() - told > 1000)
        [told] = [
          Date.now(),
          setText(
            words,
            job.state === "queued"
              ? "Waiting for a worker; it starts with 25 points."
              : progressWords(
                  over
                    ? { ...job.progress, levels: 1, points_per_second: null, eta_seconds: null }
                    : job.progress,
                ),
          ),
        ];
      error.hidden = !job.error;
      setText(error, job.error ?? "");
    },
  };
}
