/** The head of a job's view: name, state, caption, progress, actions. */

import { element, setChildren, setText } from "../element.js";
import { captionOf, progressWords, shareDone } from "../format.js";
import { countComputed } from "../live.js";
import { finished, post, remove } from "../network.js";
import { address } from "../route.js";
import { account } from "../state.js";
import { t, tNodes } from "../text.js";
import { attempt, badge, confirmButton, progressBar } from "./parts.js";
import { refining } from "./refine.js";
import { sharing } from "./share.js";

/** @import { Child, Job, Notice, Ranges, Result } from "../types.d.ts" */

/**
 * Name, state, caption, progress, actions.
 * @type {(own: Job, notice: Notice, options: { reload(): void; signal: AbortSignal;
 *   shown(): Ranges | null }) => { node: HTMLElement; update(job: Job, result: Result): void }}
 */
export function header(own, notice, { reload, signal, shown }) {
  const state = badge("job-state");
  const caption = element("p", { class: "caption", "data-testid": "caption" });
  const reused = element("p", { class: "soft", "data-testid": "reused" });
  const error = element("p", { class: "notice error", hidden: true });
  const words = element("p", { class: "progress-words", "aria-live": "polite" });
  const bar = progressBar(t("job.progress"), "job-progress");
  /** @type {(path: string) => Promise<unknown>} */
  const act = (path) =>
    attempt(notice, () => post(`/api/v1/jobs/${own.id}/${path}`)).then(
      ({ id }) => (id === own.id ? reload() : (location.hash = `#/jobs/${id}`)),
      () => {},
    );
  const cancel = element(
    "button",
    { type: "button", class: "button", "data-testid": "cancel-job", onclick: () => act("cancel") },
    t("do.cancel"),
  );
  const retry = element(
    "button",
    {
      type: "button",
      class: "button primary",
      "data-testid": "retry-job",
      title: t("job.retryHint"),
      onclick: () => act("retry"),
    },
    t("do.retry"),
  );
  const other = element(
    "a",
    { class: "button", href: address("/jobs", { compare: own.id }) },
    t("job.compareWith"),
  );
  const erase = confirmButton(t("job.delete"), t("job.deleteSure"), () =>
    attempt(notice, () => remove(`/api/v1/jobs/${own.id}`)).then(() => (location.hash = "#/jobs")),
  );
  const { access, scopes } = account.get();
  const refine = (!access || scopes.includes("submit")) && refining({ signal, shown });
  const share = account.get().access && own.yours && sharing(own.id, signal);
  const guest = account.get().access && account.get().user === null;
  const seen = guest && element("p", { class: "soft", "data-testid": "job-guest" }, t("job.guest"));
  const actions = element(
    "div",
    { class: "actions" },
    cancel,
    retry,
    refine && refine.node,
    share,
    other,
    erase,
    seen,
  );
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
        reused,
        words,
        bar.node,
        error,
      ),
      actions,
    ),
    update(job, result) {
      const over = finished(job.state);
      state.update(job.state, t(`state.${job.state}`));
      setText(caption, captionOf(job, result));
      if (reused.dataset.key !== reusedKey(result)) setChildren(reused, reusedWords(job, result));
      reused.dataset.key = reusedKey(result);
      if (refine) {
        refine.node.hidden = !over || !result.provenance || !countComputed(result);
        refine.update(job, result);
      }
      cancel.hidden = over || !job.yours;
      retry.hidden = !job.yours || (job.state !== "failed" && job.state !== "cancelled");
      other.hidden = job.state !== "done" || guest;
      erase.hidden = !over || !job.yours;
      bar.node.hidden = words.hidden = job.state === "done";
      bar.update(shareDone(job.progress), progressWords(job.progress));
      if (over || Date.now() - told > 1000)
        [told] = [
          Date.now(),
          setText(
            words,
            job.state === "queued" && !job.progress.preparing
              ? t("job.queued")
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

/** @type {(result: Result) => string} */
const reusedKey = ({ provenance }) => JSON.stringify(provenance?.reused ?? null);

/**
 * What a job started from, with a link to it.
 * @type {(job: Job, result: Result) => Child[]}
 */
function reusedWords({ progress }, { provenance }) {
  if (!provenance?.reused) return [];
  const { job, points: done, seeds } = provenance.reused;
  const link = element("a", { href: `#/jobs/${job}` }, t("job.earlier"));
  return seeds
    ? tNodes("job.reusedSeeds", { count: seeds, done, link })
    : tNodes("job.reused", { done, count: progress.total, link });
}
