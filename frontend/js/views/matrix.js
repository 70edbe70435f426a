/**
 * Plots in rows and columns with the same camera, height and scale, as in Figures 5 and 6 of the
 * paper: for the gallery and the comparison. On a phone it is a strip, one plot at a time.
 */

import { THEMES } from "../colors.js";
import { cameraGroup } from "../linkedcameras.js";
import { element, setChildren, setText } from "../element.js";
import { keyOf } from "../figures.js";
import { drawable } from "../grid.js";
import { exportPng } from "../png.js";
import { sharedScale } from "../scales.js";
import { theme } from "../state.js";
import { t } from "../text.js";
import { makeCell } from "./cell.js";
import { iconOf } from "./parts.js";
import { colorKey, heightWords } from "./plotparts.js";

/** @import { Chosen, Entry, MatrixOptions, Scale } from "../types.d.ts" */

/**
 * `rows` and `columns` are labels ("" for none), `cells[r][c]` is { id, label, facts? } or null;
 * `id` is null where the job does not exist yet. `chosen` is { view, height, value }, read at each
 * `update`. Returns { node, change(id, entry), redraw(), reset(), png(name, title, caption) }.
 * @type {(options: MatrixOptions) => { node: HTMLElement; change(id: string, entry: Entry):
 *   void; redraw(): void; reset(): void; png(name: string, title: string, caption: string):
 *   Promise<void> }}
 */
export function pictureMatrix({
  rows,
  columns,
  cells,
  chosen,
  testid,
  signal,
  onRetry,
  pause = 250,
}) {
  const cameras = cameraGroup();
  const made = cells.map((row, r) =>
    row.map(
      (cell, c) =>
        cell &&
        makeCell(cell, [columns[c], rows[r]].filter(Boolean).join(", "), {
          cameras,
          pause,
          testid,
          onRetry,
        }),
    ),
  );
  const flat = made.flat().flatMap((cell) => cell ?? []);
  const key = element("div", { class: "key-row" });
  const says = element("p", { class: "says" });
  const grid = element(
    "div",
    {
      class: `matrix${rows.some(Boolean) ? " labelled" : ""}`,
      style: {
        "--columns": String(columns.length),
        "--picture":
          rows.length === 1
            ? "clamp(260px, 54vh, 560px)"
            : columns.length < 3
              ? "clamp(250px, 40vh, 520px)"
              : "clamp(230px, 33vh, 460px)",
      },
      role: "group",
      "aria-label": t("plot.plots"),
    },
    columns.some(Boolean) && [
      rows.some(Boolean) && element("span", { class: "corner" }),
      columns.map((label) => element("span", { class: "column-label" }, label)),
    ],
    made.map((row, r) => [
      rows.some(Boolean) && element("span", { class: "row-label" }, element("span", {}, rows[r])),
      row.map((cell) => cell?.node ?? element("span")),
    ]),
  );
  const node = element(
    "div",
    { class: "matrix-frame" },
    grid,
    flat.length > 1 && swipeButtons(grid),
    element("div", { class: "under" }, key, says),
  );

  /** @type {Scale | null} */
  let drawnScale = null;

  function redraw() {
    const parts = flat.map(({ entry }) => entry.result && drawable(entry.result));
    const scale = sharedScale(
      parts.flatMap((part) => part ?? []),
      chosen,
    );
    const colors = THEMES[theme.get()];
    for (const [k, cell] of flat.entries()) cell.draw(parts[k], scale, colors, chosen.view);
    setChildren(key, colorKey(keyOf(scale, chosen.view, colors)));
    drawnScale = scale;
    setText(says, sayHow(scale, chosen, flat.length));
  }

  /** @type {(name: string, title: string, caption: string) => Promise<void>} */
  function png(name, title, caption) {
    const colors = THEMES[theme.get()];
    const pictures = made.map((row) =>
      row.map((cell) => (cell?.make ? { make: cell.make, label: cell.label } : null)),
    );
    return exportPng({
      title,
      caption: [caption, says.textContent],
      rows,
      columns,
      cells: pictures,
      key: drawnScale && keyOf(drawnScale, chosen.view, colors),
      colors,
      camera: cameras.camera(),
      name,
    });
  }

  theme.subscribe(redraw, signal);
  signal.addEventListener("abort", () => flat.forEach(({ stop }) => stop()));
  redraw();
  let due = 0;
  return {
    node,
    redraw,
    png,
    reset: cameras.reset,
    change(id, entry) {
      flat.filter((cell) => cell.id === id).forEach((cell) => cell.change(entry));
      due ||= setTimeout(() => ([due] = [0, redraw()]), 120); // several tiles, one redraw
    },
  };
}

/** @type {(scale: Scale, chosen: Chosen, count: number) => string} */
function sayHow(scale, chosen, count) {
  const how = heightWords(scale, chosen);
  if (count < 2) return t("plot.saysHow", { how });
  return t(chosen.view === "surface" ? "plot.sameCamera" : "plot.sameScale", { how });
}

/** @type {(strip: HTMLElement) => HTMLElement} */
function swipeButtons(strip) {
  /** @type {(by: number) => void} */
  const go = (step) => strip.scrollBy({ left: step * strip.clientWidth, behavior: "smooth" });
  return element(
    "div",
    { class: "swipe" },
    element(
      "button",
      { type: "button", class: "icon", onclick: () => go(-1) },
      iconOf("left"),
      element("span", { class: "unseen" }, t("plot.previous")),
    ),
    element("span", { class: "soft" }, t("plot.swipe")),
    element(
      "button",
      { type: "button", class: "icon", onclick: () => go(1) },
      iconOf("right"),
      element("span", { class: "unseen" }, t("plot.next")),
    ),
  );
}
