/** The log of a job, updated while it runs. */

import { element, setText } from "../element.js";
import { plural } from "../format.js";
import { get, repeat } from "../network.js";

const PAGE = 200;
const POLL_SECONDS = 2; // seconds, while the job runs

/** The log of job `id`. `update(over)` says whether more may come; a failed job's log should be `open`. */
export function jobLog(id, signal) {
  const lines = element("ol", { class: "log-lines", "data-testid": "job-log-lines" });
  const last = element("span", { class: "soft" });
  const node = element(
    "details",
    { class: "card log", hidden: true, "data-testid": "job-log" },
    element("summary", {}, element("span", {}, "Log"), last),
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
      if (items.length)
        setText(
          last,
          lines.children.length > 1
            ? `${plural(total, "line")} · ${items.at(-1).text}`
            : items.at(-1).text,
        );
      node.hidden = total === 0;
      if (!items.length || lines.children.length >= total) break;
    }
    if (asked) leaving.abort();
  }
  const again = repeat(
    () => load().catch((error) => error.name === "AbortError" || leaving.abort()),
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

const NAMES = { info: "", warning: "Warning: ", error: "Error: " };

function line({ at, level, text }) {
  const when = new Date(at);
  return element(
    "li",
    { class: level },
    element(
      "time",
      { datetime: at, title: when.toLocaleString() },
      when.toLocaleTimeString([], { hour12: false }),
    ),
    element("span", {}, element("span", { class: "unseen" }, NAMES[level]), text),
  );
}
