/** The table of numbers below a comparison. */

import { COLUMNS, furtherColumns, numbersOf, ownCaption, withError } from "../compare.js";
import { element, setChildren } from "../element.js";
import { revision } from "../live.js";
import { get } from "../network.js";
import { t } from "../text.js";

/** @import { Entry, Job, Result, SummaryNumber } from "../types.d.ts" */

/** @import { Column } from "../compare.js" */
/**
 * The table of numbers: ours first, then the service's. It scrolls horizontally rather than wrap.
 * @type {(jobs: Job[]) => { node: HTMLElement; update(entries?: Map<string, Entry>): void;
 *   fetchNumbers(id: string, signal: AbortSignal): Promise<void> }}
 */
export function numbersTable(jobs) {
  const head = element("tr");
  const body = element("tbody");
  const node = element(
    "div",
    { class: "card table-card", tabindex: 0, role: "region", "aria-label": t("compare.numbers") },
    element("table", { class: "numbers" }, element("thead", {}, head), body),
  );
  /** @type {Map<string, SummaryNumber[]>} */
  const further = new Map();
  let [known, shown] = [new Map(), ""];
  function update(entries = known) {
    known = entries;
    const key = [
      further.size,
      ...jobs.map(({ id }) =>
        entries.get(id)?.result
          ? revision(entries.get(id).result)
          : (entries.get(id)?.error?.message ?? ""),
      ),
    ].join();
    if (key === shown) return;
    shown = key;
    const results = jobs.map(({ id }) => entries.get(id)?.result).filter(Boolean);
    const captions = results.map(({ caption }) => caption);
    const extra = furtherColumns([...further.values()]);
    const columns = [
      ...COLUMNS.filter((column) => column.key !== "non_finite" || results.some(column.of)),
      ...extra,
    ];
    const own = new Map(
      jobs.map((job) => [job.id, ownChoices(job, entries.get(job.id)?.result, captions)]),
    );
    const choices = [...own.values()].some(Boolean);
    setChildren(
      head,
      element("th", { scope: "col" }, t("compare.network")),
      columns.map(({ label, unit, means }) =>
        element(
          "th",
          { scope: "col", title: means },
          label,
          unit && element("span", { class: "unit" }, unit),
        ),
      ),
      choices && element("th", { scope: "col" }, t("compare.settings")),
    );
    setChildren(
      body,
      jobs.map((job) =>
        rowOf(
          job,
          entries.get(job.id),
          columns,
          further.get(job.id),
          choices && (own.get(job.id) || "–"),
        ),
      ),
    );
  }
  return {
    node,
    update,
    async fetchNumbers(id, signal) {
      if (further.has(id)) return;
      further.set(id, []);
      const { items } = await get(`/api/v1/jobs/${id}/numbers`, signal).catch(() => ({
        items: [],
      }));
      further.set(id, items);
      shown = "";
      update();
    },
  };
}

/** @type {(job: Job, result: Result | null | undefined, captions: string[]) => string} */
const ownChoices = (job, result, captions) =>
  result
    ? ownCaption(result.caption, captions)
        .split(" · ")
        .filter((part) => part !== job.checkpoint.label)
        .join(" · ")
    : "";

/**
 * @type {(job: Job, entry: Entry | undefined, columns: Column[], further: SummaryNumber[] |
 *   undefined, choices: string | false) => HTMLElement}
 */
function rowOf(job, entry, columns, further, choices) {
  const label = element(
    "th",
    { scope: "row" },
    element("a", { href: `#/jobs/${job.id}` }, job.checkpoint.label),
    job.name.startsWith(job.checkpoint.label) ? null : element("span", { class: "unit" }, job.name),
  );
  if (!entry?.result)
    return element(
      "tr",
      { "data-job": job.id },
      label,
      element(
        "td",
        { colspan: columns.length + 1, class: "soft" },
        entry?.error?.message ?? t("compare.loading"),
      ),
    );
  const ours = new Map(numbersOf(entry.result).map((one) => [one.key, one]));
  /** @type {(column: Column) => HTMLElement} */
  const cell = ({ key, name }) => {
    const theirs = name && further?.find((one) => one.name === name);
    const { text, value } =
      ours.get(key) ??
      (theirs ? { text: withError(theirs), value: theirs.value } : { text: "–", value: null });
    return element("td", { "data-testid": `number-${key}`, "data-value": String(value) }, text);
  };
  return element(
    "tr",
    { "data-job": job.id },
    label,
    columns.map(cell),
    choices && element("td", { class: "soft own" }, choices),
  );
}
