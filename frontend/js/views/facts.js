/** The numbers of a result, its self-check, its provenance. */

import { centerOf, withError } from "../compare.js";
import { element, setChildren } from "../element.js";
import { holes, gridWords } from "../format.js";
import { get } from "../network.js";
import { duration, number, percent } from "../numbers.js";
import { extent } from "../scales.js";
import { t } from "../text.js";
import { caveat, selfCheck } from "./plotparts.js";
import { planeNote, zoomNote } from "./settle.js";

/** @import { Job, Provenance, Result } from "../types.d.ts" */

/**
 * The numbers of a result, its self-check, its provenance.
 * @type {(job: Job, result: Result, signal: AbortSignal) => HTMLElement}
 */
export function factsOf(job, result, signal) {
  const { loss, accuracy, onGrid } = centerOf(result);
  const [least, most] = result.losses.flat().some((loss) => loss !== null)
    ? extent([result.losses])
    : [null, null];
  /**
   * @type {(label: string, text: string, value: number | null, testid: string,
   *   note?: string | null) => HTMLElement}
   */
  const fact = (label, text, value, testid, note) =>
    element(
      "div",
      {},
      element("dt", {}, label),
      element("dd", { "data-testid": testid, "data-value": String(value) }, text),
      note && element("dd", { class: "soft note", "data-testid": `${testid}-note` }, note),
    );
  const lost = holes(result.non_finite);
  const off = result.provenance !== null && !onGrid;
  const unit = result.provenance?.loss?.unit ?? t("number.nats");
  const further = element("dl", { class: "facts-list further" });
  if (job.state === "done")
    get(`/api/v1/jobs/${job.id}/numbers`, signal).then(
      ({ items }) =>
        setChildren(
          further,
          items.map((one) =>
            element(
              "div",
              { title: one.definition },
              element("dt", {}, one.name),
              element(
                "dd",
                {
                  "data-testid": `number-${one.name.replaceAll(" ", "_")}`,
                  "data-value": String(one.value),
                },
                withError(one),
                element("span", { class: "unit" }, one.unit),
              ),
              zoomNote(one, job, result),
            ),
          ),
        ),
      () => {},
    );
  return element(
    "div",
    { class: "result-facts" },
    element(
      "div",
      { class: "card" },
      element(
        "dl",
        { class: "facts-list" },
        fact(
          t(off ? "fact.centerLossOff" : "fact.centerLoss"),
          `${number(loss)} ${unit}`,
          loss,
          "result-loss-center",
          intervalWords(result.provenance),
        ),
        fact(
          t(off ? "fact.centerAccuracyOff" : "fact.centerAccuracy"),
          percent(accuracy),
          accuracy,
          "result-accuracy-center",
        ),
        fact(t("fact.least"), `${number(least)} ${unit}`, least, "result-least"),
        fact(t("fact.most"), `${number(most)} ${unit}`, most, "result-most"),
        lost && fact(t("fact.nonFinite"), lost, result.non_finite.length, "non-finite"),
      ),
      further,
      job.state === "done" && planeNote(job),
      selfCheck(result.self_check) ?? element("p", { class: "soft" }, t("check.pending")),
      result.provenance && provenance(result.provenance, job),
    ),
    caveat(job.kind),
  );
}

/** @type {(facts: Provenance, job: Job) => HTMLElement} */
function provenance(facts, job) {
  const rows = Object.entries(facts).flatMap(([name, value]) =>
    value && typeof value === "object" && !Array.isArray(value)
      ? Object.entries(value).map(([key, own]) => row(`${name}.${key}`, own))
      : [row(name, value)],
  );
  const { grid } = job.spec;
  return element(
    "details",
    { class: "provenance", "data-testid": "provenance" },
    element("summary", {}, t("fact.provenance")),
    element(
      "table",
      {},
      element(
        "tbody",
        {},
        row(t("fact.job"), job.id),
        grid && row(t("fact.grid"), gridWords(grid)),
        rows,
      ),
    ),
  );
}

/** @type {(name: string, value: unknown) => HTMLElement} */
const row = (name, value) =>
  element(
    "tr",
    {},
    element("th", { scope: "row" }, name.replaceAll("_", " ")),
    element("td", {}, textOf(name, value)),
  );

/** @type {(name: string, value: unknown) => string} */
function textOf(name, value) {
  if (value === null) return "–";
  if (name === "seconds") return duration(Number(value));
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/**
 * The interval in which the mean loss of further samples lies, or that these are too few for one;
 * null where the samples depend on each other.
 * @type {(provenance: Provenance | null) => string | null}
 */
function intervalWords(provenance) {
  const found = provenance?.center?.interval;
  if (!found) return null;
  if (!found.reliable) return t("fact.fewCarry");
  return t("fact.interval", { low: number(found.low), high: number(found.high) });
}
