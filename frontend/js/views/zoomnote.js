/** What the grid of a result cannot settle about a number, and the zoom that does. */

import { element } from "../element.js";
import { post } from "../network.js";
import { gridOf, pointsOf, region } from "../refine.js";
import { account } from "../state.js";
import { t } from "../text.js";
import { attempt, noticeLine } from "./parts.js";

/** @import { Job, Refinement, Result, SummaryNumber } from "../types.d.ts" */

/**
 * The note of a number and, where a window is known and jobs may be started, the button "Zoom",
 * which refines the job in that window; null without a note.
 * @type {(number: SummaryNumber, job: Job, result: Result) => HTMLElement | null}
 */
export function zoomNote({ name, note, window }, job, result) {
  if (!note) return null;
  const { access, scopes } = account.get();
  const notice = noticeLine();
  const refinement = window && region(gridOf(result), window);
  const start = async () => {
    button.disabled = true;
    await attempt(notice, () => post(`/api/v1/jobs/${job.id}/refine`, refinement)).then(
      ({ id }) => (location.hash = `#/jobs/${id}`),
      () => {},
    );
    button.disabled = false;
  };
  const button = element(
    "button",
    {
      type: "button",
      class: "button",
      "data-testid": "zoom",
      "aria-label": t("number.zoomNamed", { name }),
      title: refinement && t("refine.points", counts(result, refinement)),
      onclick: start,
    },
    t("number.zoom"),
  );
  return element(
    "dd",
    { class: "soft note", "data-testid": `note-${name.replaceAll(" ", "_")}` },
    note,
    refinement && (!access || scopes.includes("submit")) && [" ", button],
    notice.node,
  );
}

/** @type {(result: Result, refinement: Refinement) => { count: number; reused: number; added: number }} */
function counts(result, refinement) {
  const { points, reused } = pointsOf(result, refinement);
  return { count: points, reused, added: points - reused };
}
