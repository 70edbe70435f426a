/** What a result leaves open about its numbers, each with the refinement that settles it. */

import { element } from "../element.js";
import { gridOf, moreSeeds, region } from "../refine.js";
import { account } from "../state.js";
import { t } from "../text.js";
import { noticeLine } from "./parts.js";
import { counts, startRefined } from "./refine.js";

/** @import { Job, Refinement, Result, SummaryNumber } from "../types.d.ts" */

const SEEDS = 5; // enough for a spread

/**
 * The note of a number and, where a window is known and jobs may be started, the button "Zoom",
 * which refines the job in that window; null without a note.
 * @type {(number: SummaryNumber, job: Job, result: Result) => HTMLElement | null}
 */
export function zoomNote({ name, note, window }, job, result) {
  if (!note) return null;
  const refinement = window && region(gridOf(result), window);
  return element(
    "dd",
    { class: "soft note", "data-testid": `note-${name.replaceAll(" ", "_")}` },
    note,
    refinement &&
      starter(job, refinement, "zoom", t("number.zoom"), {
        "aria-label": t("number.zoomNamed", { name }),
        title: counts(result, refinement),
      }),
  );
}

/**
 * What the errors of the numbers leave out: the choice of the plane. With the button that repeats
 * the job over several seeds; null where it is a mean over as many, or its directions have none.
 * @type {(job: Job) => HTMLElement | null}
 */
export function planeNote(job) {
  const refinement = moreSeeds(job, SEEDS);
  if (!refinement) return null;
  return element(
    "p",
    { class: "soft note", "data-testid": "plane-note" },
    t("number.plane"),
    starter(job, refinement, "repeat", t("number.repeat", { count: SEEDS })),
  );
}

/**
 * A button that starts a refinement and shows its page, with its notice; null if this account may
 * start no jobs.
 * @type {(job: Job, refinement: Refinement, testid: string, text: string, more?: Record<string,
 *   string>) => HTMLElement[] | null}
 */
function starter(job, refinement, testid, text, more = {}) {
  const { access, scopes } = account.get();
  if (access && !scopes.includes("submit")) return null;
  const notice = noticeLine();
  const start = async () => {
    button.disabled = true;
    await startRefined(notice, job.id, refinement);
    button.disabled = false;
  };
  const button = element(
    "button",
    { type: "button", class: "button", "data-testid": testid, ...more, onclick: start },
    text,
  );
  return [button, notice.node];
}
