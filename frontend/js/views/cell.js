/** One plot of several in rows and columns: its state, its numbers, the plot itself. */

import { centerOf } from "../compare.js";
import { picture } from "../drawing.js";
import { element, setChildren, setText } from "../element.js";
import { FIGURES } from "../figures.js";
import { holes, progressWords, shareDone, valueWords } from "../format.js";
import { revision } from "../live.js";
import { number, percent } from "../numbers.js";
import { t } from "../text.js";
import { iconOf, progressBar } from "./parts.js";
import { factsLine, selfCheck } from "./plotparts.js";
import { contours, thumbnailColors } from "./thumbnail.js";

/**
 * @import { CameraGroup, Cell, CellOptions, Child, Entry, Part, ProgressBar, Result,
 *   Scale } from "../types.d.ts"
 */

/**
 * @type {(own: CellOptions, place: string, shared: { cameras: CameraGroup; pause: number;
 *   testid: string; onRetry?: (id: string) => unknown }) => Cell}
 */
export function makeCell({ id, label, facts }, place, { cameras, pause, testid, onRetry }) {
  const status = element("div", { class: "cell-status" });
  const numbers = element("div", { class: "facts" });
  const frame = element("div", { class: "picture", "data-testid": "plot" });
  // until the plot is drawn, and while it is scrolled away
  const standIn = element("div", { class: "stand-in", "aria-hidden": "true" });
  frame.append(standIn);
  const waiting = element("p", { class: "waiting" });
  const bar = progressBar(t("progress.of", { name: label }), "cell-progress");
  const link = element(
    "a",
    { class: "cell-link", href: id && `#/jobs/${id}`, title: label },
    element("span", { class: "cell-label" }, place || label),
    iconOf("out"),
    element("span", { class: "unseen" }, t("gallery.open", { name: label })),
  );
  /** @type {HTMLElement} */
  const rotate = element(
    "button",
    { type: "button", class: "rotate", "aria-pressed": "false", onclick: () => turn(node, rotate) },
    t("plot.rotate"),
  );
  /** @type {HTMLElement} */
  const node = element(
    "article",
    {
      class: "cell",
      "data-testid": testid,
      "data-job": id,
      "data-state": "waiting",
      "aria-label": label,
    },
    element("header", {}, status, numbers, link),
    frame,
    waiting,
    rotate,
    bar.node,
  );
  const plot = picture(frame, { cameras, pause, bar: false, label: t("plot.of", { name: label }) });
  /** @type {Cell} */
  const cell = {
    id,
    label,
    node,
    make: null,
    entry: { job: null, result: null, error: null },
    stop: plot.stop,
    change(entry) {
      const before = cell.entry;
      cell.entry = entry;
      node.dataset.state = entry.job?.state ?? "unknown";
      showProgress(entry, bar, node);
      const line = statusLine(entry, onRetry);
      if (line.key !== status.dataset.key) setChildren(status, line.nodes());
      status.dataset.key = line.key;
      if (
        entry.result &&
        (before.result?.provenance !== entry.result.provenance || !numbers.firstChild)
      )
        setChildren(
          numbers,
          facts ? facts() : factsLine(centerOf(entry.result), "cell-loss-center"),
        );
    },
    draw(part, scale, colors, view) {
      setText(waiting, part ? "" : waitingWords(cell.entry));
      const { result } = cell.entry;
      if (!part || !result) return;
      const drawnAs = `${part.level} ${colors.name}`;
      if (standIn.dataset.drawn !== drawnAs)
        setChildren(standIn, contours(part, thumbnailColors()));
      standIn.dataset.drawn = drawnAs;
      cell.make = () =>
        FIGURES[view](view === "heatmap" ? result : part, {
          scale,
          theme: colors,
          compact: true,
        });
      plot.show(
        cell.make,
        [
          view,
          scale.value,
          scale.height,
          scale.low,
          scale.high,
          scale.clip,
          colors.name,
          view === "heatmap" ? revision(result) : revisionOf(part),
        ].join(),
      );
      plot.describe(describe(label, result, scale));
    },
  };
  return cell;
}

/**
 * A key for redraws during refinement: the level, and the share of the next one that has arrived,
 * in eighths.
 * @type {(part: Part) => string}
 */
function revisionOf(part) {
  const points = part.losses.flat().length;
  return `${part.state}:${part.level}:${points}:${Math.floor((8 * part.seen) / points)}`;
}

/** @type {(label: string, result: Result, scale: Scale) => string} */
function describe(name, result, scale) {
  const { loss } = centerOf(result);
  const value = valueWords(scale.value);
  return loss === null
    ? t("plot.describe", { value, name })
    : t("plot.describeCenter", { value, name, loss: number(loss, 3) });
}

/** @type {(entry: Entry) => string} */
function waitingWords({ job, error }) {
  if (error) return error.message;
  if (job?.progress.preparing) return progressWords(job.progress);
  if (!job || job.state === "queued") return t("plot.waiting");
  return job.state === "running" ? t("plot.computing") : t("plot.nothing");
}

/** @type {(entry: Entry, bar: ProgressBar, node: HTMLElement) => void} */
function showProgress({ job }, bar, node) {
  const running = job && (job.state === "running" || job.state === "queued");
  node.classList.toggle("running", Boolean(running));
  if (job) bar.update(shareDone(job.progress), progressWords(job.progress));
}

/**
 * The self-check when done, else the state. The line is replaced when its key changes.
 * @type {(entry: Entry, onRetry?: (id: string) => unknown) => { key: string; nodes(): Child }}
 */
function statusLine({ job, result, error }, onRetry) {
  if (error)
    return {
      key: "error",
      nodes: () =>
        element("span", { class: "state", "data-state": "failed" }, `✕ ${t("state.notFound")}`),
    };
  if (!job) return { key: "none", nodes: () => [] };
  if (job.state === "done" && result) {
    const lost = holes(result.non_finite);
    return {
      key: `done:${lost}:${result.self_check?.passed}`,
      nodes: () => [
        selfCheck(result.self_check),
        lost && element("span", { class: "holes", "data-testid": "non-finite" }, `◆ ${lost}`),
      ],
    };
  }
  if (job.state === "failed" || job.state === "cancelled")
    return {
      key: job.state,
      nodes: () => [
        element(
          "span",
          { class: "state", "data-state": job.state, title: job.error ?? "" },
          `${job.state === "failed" ? "✕" : "–"} ${t(`state.${job.state}`)}`,
        ),
        onRetry &&
          element(
            "button",
            {
              type: "button",
              class: "link",
              "data-testid": "retry-job",
              onclick: () => onRetry(job.id),
            },
            t("do.retry"),
          ),
      ],
    };
  const share = percent(Math.floor((100 * job.progress.done) / job.progress.total) / 100, 0);
  return {
    key: `${job.state}:${share}`,
    nodes: () =>
      element(
        "span",
        { class: "state", "data-state": job.state },
        job.state === "queued" ? `○ ${t("state.queued")}` : `◐ ${share}`,
      ),
  };
}

/**
 * On a phone a swipe scrolls; rotating is switched on by a button.
 * @type {(node: HTMLElement, button: HTMLElement) => void}
 */
function turn(node, button) {
  const on = node.classList.toggle("turning");
  button.setAttribute("aria-pressed", String(on));
  setText(button, t(on ? "plot.rotateDone" : "plot.rotate"));
}
