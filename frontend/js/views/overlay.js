/** Slices of several jobs in one plot. */

import { THEMES } from "../colors.js";
import { distinctLabels } from "../compare.js";
import { picture } from "../drawing.js";
import { element } from "../element.js";
import { revision } from "../live.js";
import { exportPng } from "../png.js";
import { slicesFigure } from "../slices.js";
import { theme } from "../state.js";
import { t } from "../text.js";

/** @import { Chosen, Entry, Job, Make, Result } from "../types.d.ts" */

/**
 * Slices overlaid in one plot.
 * @type {(jobs: Job[], chosen: Chosen, signal: AbortSignal) => { node: HTMLElement; redraw():
 *   void; change(id: string, entry: Entry): void; png(name: string, title: string, caption:
 *   string): Promise<void> }}
 */
export function overlay(jobs, chosen, signal) {
  const host = element("div", { class: "picture wide", "data-testid": "slices" });
  const labels = new Map(distinctLabels(jobs).map((label, k) => [jobs[k].id, label]));
  const plot = picture(host, {
    label: t("plot.slicesOf", { names: [...labels.values()].join("; ") }),
  });
  /** @type {Map<string, Entry>} */
  const entries = new Map();
  /** @type {() => { label: string; result: Result }[]} */
  const items = () =>
    jobs.flatMap(({ id }) => {
      const result = entries.get(id)?.result;
      return result ? [{ label: labels.get(id) ?? id, result }] : [];
    });
  /** @type {Make} */
  const make = ({ width }) =>
    slicesFigure(items(), { theme: THEMES[theme.get()], height: chosen.height, width });
  const redraw = () =>
    items().length &&
    plot.show(
      make,
      [chosen.height, theme.get(), ...items().map(({ result }) => revision(result))].join(),
    );
  theme.subscribe(redraw, signal);
  signal.addEventListener("abort", plot.stop);
  return {
    redraw,
    node: element("div", { class: "card" }, host),
    change: (id, entry) => jobs.some((job) => job.id === id) && [entries.set(id, entry), redraw()],
    png: (name, title, caption) =>
      exportPng(
        {
          title,
          caption: [caption],
          rows: [""],
          columns: [""],
          cells: [[{ make }]],
          colors: THEMES[theme.get()],
          name,
        },
        [960, 560],
      ),
  };
}
