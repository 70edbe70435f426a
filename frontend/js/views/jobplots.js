/** The plots of one job: tiles and surface while it runs, its result when it is done. */

import { THEMES } from "../colors.js";
import { picture } from "../drawing.js";
import { cameraGroup } from "../linkedcameras.js";
import { element, setChildren, setText } from "../element.js";
import { FIGURES, keyOf } from "../figures.js";
import { holes, sentence, captionOf } from "../format.js";
import { drawable, isLine } from "../grid.js";
import { revision } from "../live.js";
import { prepare } from "../network.js";
import { exportPng } from "../png.js";
import { gridOf, zoomed } from "../refine.js";
import { choice } from "../route.js";
import { HEIGHT_NAMES, defaultHeight, sharedScale } from "../scales.js";
import { bandOf, defaultSliceHeight, slicesFigure } from "../slices.js";
import { theme, replaceQuery } from "../state.js";
import { t } from "../text.js";
import { attempt, iconOf } from "./parts.js";
import { colorKey, heightWords, pictureControls, valuesOf } from "./plotparts.js";

/**
 * @import { Chosen, ColorKey, Height, Job, Make, Notice, Part, Pictures, PlotOptions, Result,
 *   Route, Scale } from "../types.d.ts"
 */

/**
 * While the job runs: the tiles on the left, the surface on the right as it is refined.
 * @type {(options: PlotOptions) => Pictures}
 */
export function runningPictures({ job, signal }) {
  const tiles = element("div", { class: "picture", "data-testid": "heatmap" });
  const shape = element("div", { class: "picture", "data-testid": "surface" });
  const waiting = element("p", { class: "waiting" }, t("job.soFarEmpty"));
  const left = picture(tiles, {
    label: t("job.tilesOf", { name: job.name }),
    bar: false,
  });
  const right = picture(shape, {
    label: t("job.soFarOf", { name: job.name }),
    cameras: cameraGroup(),
    pause: 500,
  });
  const key = element("div", { class: "key-row" });
  /** @type {Result | null} */
  let latest = null;
  const update = (result = latest) => {
    latest = result;
    if (!result) return;
    const part = drawable(result);
    const scale = sharedScale([result], { height: defaultHeight([result]) });
    const colors = THEMES[theme.get()];
    const drawnAs = [scale.low, scale.high, scale.clip, colors.name, revision(result)].join();
    left.show(() => FIGURES.heatmap(result, { scale, theme: colors }), drawnAs);
    waiting.hidden = Boolean(part);
    if (part) right.show(() => FIGURES.surface(part, { scale, theme: colors }), drawnAs);
    setChildren(key, colorKey(keyOf(scale, "surface", colors)));
  };
  theme.subscribe(() => update(), signal);
  signal.addEventListener("abort", () => [left.stop(), right.stop()]);
  return {
    update,
    node: element(
      "div",
      { class: "pair" },
      element("div", { class: "card" }, element("h2", { class: "small" }, t("job.tiles")), tiles),
      element(
        "div",
        { class: "card" },
        element("h2", { class: "small" }, t("job.soFar")),
        shape,
        waiting,
      ),
      key,
    ),
  };
}

/**
 * The finished surface, large, with its choices.
 * @type {(options: PlotOptions) => Pictures}
 */
export function resultPicture({ job, result, route, signal, notice }) {
  const chosen = choices(route, HEIGHT_NAMES, defaultHeight([result]), valuesOf([result]));
  const host = element("div", { class: "picture large", "data-testid": "result" });
  const cameras = cameraGroup();
  const plot = picture(host, { cameras, label: t("plot.of", { name: job.name }) });
  const key = element("div", { class: "key-row" });
  const says = element("p", { class: "says" });
  let latest = result;
  /** @type {Make} */
  let make = () => ({ data: [], layout: {} });
  /** @type {ColorKey | null} */
  let shownKey = null;
  const update = (/** @type {Result | null} */ fresh = null) => {
    latest = fresh ?? latest;
    const part = drawable(latest);
    const scale = sharedScale([latest], chosen);
    const colors = THEMES[theme.get()];
    host.hidden = key.hidden = !part && chosen.view !== "heatmap";
    if (host.hidden) return setText(says, t("plot.tooFew"));
    make = ({ width }) =>
      FIGURES[chosen.view](chosen.view === "heatmap" || !part ? latest : part, {
        scale,
        theme: colors,
        labels: width > 600,
      });
    plot.show(
      make,
      [chosen.view, chosen.value, chosen.height, colors.name, revision(latest)].join(),
    );
    shownKey = keyOf(scale, chosen.view, colors);
    setChildren(key, colorKey(shownKey));
    setText(says, saysHow(scale, chosen, latest, part));
  };
  const controls = pictureControls(chosen, (change) => [replaceQuery(route, change), update()], {
    reset: cameras.reset,
    values: valuesOf([result]),
  });
  theme.subscribe(() => update(), signal);
  signal.addEventListener("abort", plot.stop);
  const png = () =>
    exportPng(
      {
        title: job.name,
        caption: [captionOf(job, latest), says.textContent],
        key: shownKey,
        rows: [""],
        columns: [""],
        cells: [[{ make }]],
        colors: THEMES[theme.get()],
        camera: cameras.camera(),
        name: `${job.id}.png`,
      },
      [960, 680],
    );
  return {
    update,
    shown: () => zoomed(gridOf(latest), plot.ranges()),
    node: element(
      "div",
      {},
      controls,
      element("div", { class: "card" }, host, element("div", { class: "under" }, key, says)),
      downloads(job, png, notice),
    ),
  };
}

/** @type {(scale: Scale, chosen: Chosen, result: Result, part: Part | null) => string} */
function saysHow(scale, { view, height, value }, result, part) {
  const { provenance, non_finite: lost, alphas } = result;
  const thinned = part !== null && part.alphas.length < alphas.length && view !== "heatmap";
  return [
    t("plot.saysHow", { how: sentence(heightWords(scale, { view, height, value })) }),
    thinned && t("plot.thinned", { rows: part.alphas.length, columns: part.betas.length }),
    provenance && !provenance.center.on_grid && t("plot.offGrid"),
    lost.length > 0 && t("plot.holes", { holes: holes(lost) }),
  ]
    .filter(Boolean)
    .join(" ");
}

/**
 * A slice, growing or done.
 * @type {(options: PlotOptions) => Pictures}
 */
export function slicePicture({ job, result, route, signal, notice }) {
  const chosen = choices(route, ["linear", "log"], defaultSliceHeight([result]));
  const host = element("div", { class: "picture large", "data-testid": "result" });
  const plot = picture(host, { label: t("plot.sliceOf", { name: job.name }) });
  let latest = result;
  /** @type {Make} */
  const make = ({ width }) =>
    slicesFigure([{ result: latest, label: job.name }], {
      theme: THEMES[theme.get()],
      height: chosen.height,
      width,
    });
  const update = (/** @type {Result | null} */ fresh = null) => {
    latest = fresh ?? latest;
    plot.show(make, [chosen.height, theme.get(), revision(latest)].join());
  };
  const controls = pictureControls(chosen, (change) => [replaceQuery(route, change), update()], {
    views: [],
    values: [],
    heights: ["linear", "log"],
  });
  theme.subscribe(() => update(), signal);
  signal.addEventListener("abort", plot.stop);
  const png = () =>
    exportPng(
      {
        title: job.name,
        caption: [captionOf(job, latest)],
        rows: [""],
        columns: [""],
        cells: [[{ make }]],
        colors: THEMES[theme.get()],
        name: `${job.id}.png`,
      },
      [960, 560],
    );
  return {
    update,
    shown: () => zoomed(gridOf(latest), plot.ranges()),
    node: element(
      "div",
      {},
      controls,
      element(
        "div",
        { class: "card" },
        host,
        element("p", { class: "under says" }, bandOf(latest).says),
      ),
      downloads(job, png, notice),
    ),
  };
}

/** @type {(route: Route, heights: Height[], height: Height, values?: string[]) => Chosen} */
const choices = ({ query }, heights, height, values = ["loss"]) => ({
  view: choice(query, "view", ["surface", "contour", "heatmap"], "surface"),
  height: choice(query, "height", heights, height),
  value: choice(query, "value", values, "loss"),
});

/** @type {(job: Job, png: () => Promise<void>, notice: Notice) => HTMLElement} */
function downloads(job, png, notice) {
  /** @type {(format: string) => HTMLElement} */
  const link = (format) => {
    const href = `/api/v1/jobs/${job.id}/result?format=${format}`;
    /** @type {(event: Event) => Promise<void>} */
    const save = async (event) => {
      event.preventDefault();
      await attempt(notice, () => prepare(href)).then(
        () => location.assign(href),
        () => {},
      );
    };
    return element(
      "a",
      { class: "button", href, download: "", "data-testid": `download-${format}`, onclick: save },
      iconOf("down"),
      format.toUpperCase(),
    );
  };
  const picture = element(
    "button",
    {
      type: "button",
      class: "button",
      "data-testid": "download-png",
      onclick: () => attempt(notice, png).catch(() => {}),
    },
    iconOf("down"),
    t("job.png"),
  );
  return element(
    "div",
    { class: "downloads" },
    [
      "json",
      "npz",
      "csv",
      "h5",
      "html",
      "svg",
      ...(isLine(job.kind) ? ["vtp"] : ["vtp", "stl", "obj"]),
    ].map(link),
    picture,
  );
}
