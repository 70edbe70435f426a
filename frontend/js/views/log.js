/** The log of a job, updated while it runs. */

import { element, setText } from "../element.js";
import { clock, joined, toTheSecond } from "../format.js";
import { get, repeat, isAbort } from "../network.js";
import { t } from "../text.js";

/** @import { LogLine } from "../types.d.ts" */

const PAGE = 200;
const POLL_SECONDS = 2; // seconds, while the job runs

/**
 * The log of job `id`. `update(over)` says whether more may come; a failed job's log should be
 * `open`.
 * @type {(id: string, signal: AbortSignal) => { node: HTMLElement; update(ended: boolean):
 *   void; open(): void }}
 */
export function jobLog(id, signal) {
  const lines = element("ol", { class: "log-lines", "data-testid": "job-log-lines" });
  const last = element("span", { class: "soft" });
  const node = element(
    "details",
    { class: "card log", hidden: true, "data-testid": "job-log" },
    element("summary", {}, element("span", {}, t("log.title")), last),
    lines,
  );
  const leaving = new AbortController();
  signal.addEventListener("abort", () => leaving.abort());
  let over = false;

  async function load() {
    const asked = over; // a log that was read after the job ended is complete
    for (;;) {
      const { items, total } = await get(
        `/api/v1/jobs/${id}/log?limit=${PAGE}&offset=${lines.children.length}`,
        signal,
      );
      lines.append(...items.map(line));
      const newest = items.at(-1)?.text;
      if (newest)
        setText(last, joined(lines.children.length > 1 && t("lines", { count: total }), newest));
      node.hidden = total === 0;
      if (!items.length || lines.children.length >= total) break;
    }
    if (asked) leaving.abort();
  }
  const again = repeat(
    () => load().catch((error) => isAbort(error) || leaving.abort()),
    POLL_SECONDS,
    leaving.signal,
  );
  return {
    node,
    update(ended) {
      if (ended && !over) setTimeout(again);
      over = ended;
    },
    open: () => (node.open = true),
  };
}

/** @type {Record<LogLine["level"], string>} */
const NAMES = { info: "", warning: t("log.warning"), error: t("log.error") };

/** @type {(entry: LogLine) => HTMLElement} */
function line({ at, level, text }) {
  return element(
    "li",
    { class: level },
    element("time", { datetime: at, title: toTheSecond(at) }, clock(at)),
    element("span", {}, element("span", { class: "unseen" }, NAMES[level]), text),
  );
}
