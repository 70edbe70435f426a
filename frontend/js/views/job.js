/** One job: its tiles and surface while it runs, its result when it is done. */

import { THEMES } from "../colors.js";
import { centerOf, withError } from "../compare.js";
import { cameraGroup, exportPng, picture } from "../drawing.js";
import { element, setChildren, setText } from "../element.js";
import { FIGURES, keyOf } from "../figures.js";
import {
  captionOf,
  duration,
  gridWords,
  holes,
  number,
  percent,
  progressWords,
  sentence,
  whole,
} from "../format.js";
import { drawable, isLine } from "../grid.js";
import { countComputed, revision } from "../live.js";
import { finished, follow, get, post, remove } from "../network.js";
import { address, choice } from "../route.js";
import { HEIGHTS, defaultHeight, extent, sharedScale } from "../scales.js";
import { defaultSliceHeight, slicesFigure } from "../slices.js";
import { account, replaceQuery, theme } from "../state.js";
import { jobLog } from "./log.js";
import { sharing } from "./share.js";
import {
  attempt,
  badge,
  caveat,
  colorKey,
  confirmButton,
  emptyState,
  emptyView,
  iconOf,
  noticeLine,
  pictureControls,
  progressBar,
  selfCheck,
  valuesOf,
  warningsOf,
} from "./parts.js";

export function job({ route, signal }) {
  const node = element(
    "div",
    { class: "view job" },
    element("p", { class: "empty" }, "Loading the job…"),
  );
  let page = null;
  const log = jobLog(route.id, signal);
  const following = follow([route.id], signal, (_, { job: own, result, error }) => {
    if (own) log.update(finished(own.state));
    if (own?.error || error?.code === "damaged") log.open();
    if (error && !page)
      return setChildren(node, broken(error, route.id), error.code === "damaged" && log.node);
    if (own && !result && !page) return setChildren(node, early(own), log.node);
    if (!own || !result) return;
    page ??= layOut(node, own, { route, signal, log, reload: () => following.reload(route.id) });
    page.update(own, result);
  });
  return { title: "Job", node };
}

/** No such job, or one whose values were damaged on the disk and can be computed again. */
function broken({ code, message }, id) {
  const notice = noticeLine();
  const all = element("a", { class: "button", href: "#/jobs" }, "All jobs");
  if (code !== "damaged") return emptyView("Cannot show this job", message, all);
  const again = () =>
    attempt(notice, () => post(`/api/v1/jobs/${id}/retry`)).then(
      (job) => (location.hash = `#/jobs/${job.id}`),
      () => {},
    );
  const retry = element(
    "button",
    { type: "button", class: "button primary", "data-testid": "retry-job", onclick: again },
    "Retry",
  );
  return element(
    "div",
    { "data-testid": "damaged" },
    emptyView("This result is damaged", message, retry, all),
    notice.node,
  );
}

/** A plane or a trajectory whose range is not computed yet, or never will be. */
function early(job) {
  const words =
    job.error ??
    (finished(job.state)
      ? `The job was ${job.state} before it started.`
      : "The plot appears once a worker has loaded the checkpoints and computed the range.");
  return emptyView(
    `${job.name}: ${job.state}`,
    words,
    element("a", { class: "button", href: "#/jobs" }, "All jobs"),
  );
}

function layOut(node, own, { route, signal, log, reload }) {
  const notice = noticeLine();
  const head = header(own, notice, { reload, signal });
  const warnings = element("div", { class: "warnings" });
  const place = element("div", {});
  const side = element("div", {});
  setChildren(node, head.node, notice.node, warnings, place, side, log.node);
  document.title = `${own.name} – Loss Landscape`;
  let mode = "";
  let pictures = null;
  let inner = new AbortController();
  signal.addEventListener("abort", () => inner.abort());
  return {
    update(job, result) {
      head.update(job, result);
      const next =
        finished(job.state) && !countComputed(result)
          ? "nothing"
          : isLine(job.kind)
            ? "slice"
            : finished(job.state)
              ? "result"
              : "running";
      if (next !== mode) {
        inner.abort();
        inner = new AbortController();
        mode = next;
        pictures = {
          nothing,
          slice: slicePicture,
          result: resultPicture,
          running: runningPictures,
        }[mode]({ job, result, route, signal: inner.signal, notice });
        setChildren(place, pictures.node);
      }
      pictures.update(result, job);
      if (warnings.dataset.key !== factsKey(job, result))
        setChildren(warnings, warningsOf(result.provenance));
      warnings.dataset.key = factsKey(job, result);
      if (side.dataset.key !== factsKey(job, result))
        setChildren(
          side,
          mode === "nothing"
            ? []
            : finished(job.state)
              ? factsOf(job, result, signal)
              : caveat(job.kind),
        );
      side.dataset.key = factsKey(job, result);
    },
  };
}

const factsKey = (job, result) =>
  [
    job.state,
    Boolean(result.provenance),
    result.non_finite.length,
    finished(job.state) && job.progress.done,
  ].join();

/** Name, state, caption, progress, actions. */
function header(own, notice, { reload, signal }) {
  const state = badge("job-state");
  const caption = element("p", { class: "caption", "data-testid": "caption" });
  const error = element("p", { class: "notice error", hidden: true });
  const words = element("p", { class: "progress-words", "aria-live": "polite" });
  const bar = progressBar("Progress of the job", "job-progress");
  const act = (path) =>
    attempt(notice, () => post(`/api/v1/jobs/${own.id}/${path}`)).then(
      ({ id }) => (id === own.id ? reload() : (location.hash = `#/jobs/${id}`)),
      () => {},
    );
  const cancel = element(
    "button",
    { type: "button", class: "button", "data-testid": "cancel-job", onclick: () => act("cancel") },
    "Cancel",
  );
  const retry = element(
    "button",
    {
      type: "button",
      class: "button primary",
      "data-testid": "retry-job",
      title: "Computes the missing points and keeps the others",
      onclick: () => act("retry"),
    },
    "Retry",
  );
  const other = element(
    "a",
    { class: "button", href: address("/jobs", { compare: own.id }) },
    "Compare with…",
  );
  const erase = confirmButton("Delete this job", "Delete the job and its result", () =>
    attempt(notice, () => remove(`/api/v1/jobs/${own.id}`)).then(() => (location.hash = "#/jobs")),
  );
  const share = account.get().access && own.yours && sharing(own.id, signal);
  const guest = account.get().access && account.get().user === null;
  const seen =
    guest &&
    element("p", { class: "soft", "data-testid": "job-guest" }, "Shared with you by link.");
  const actions = element("div", { class: "actions" }, cancel, retry, share, other, erase, seen);
  let told = 0;
  return {
    node: element(
      "header",
      { class: "view-head" },
      element(
        "div",
        { class: "titles" },
        element("h1", {}, own.name, " ", state.node),
        caption,
        words,
        bar.node,
        error,
      ),
      actions,
    ),
    update(job, result) {
      const over = finished(job.state);
      state.update(job.state);
      setText(caption, captionOf(job, result));
      cancel.hidden = over || !job.yours;
      retry.hidden = !job.yours || (job.state !== "failed" && job.state !== "cancelled");
      other.hidden = job.state !== "done" || guest;
      erase.hidden = !over || !job.yours;
      bar.node.hidden = words.hidden = job.state === "done";
      bar.update(job.progress.done / job.progress.total, progressWords(job.progress));
      if (over || Date.now() - told > 1000)
        [told] = [
          Date.now(),
          setText(
            words,
            job.state === "queued"
              ? "Waiting for a worker; it starts with 25 points."
              : progressWords(
                  over
                    ? { ...job.progress, levels: 1, points_per_second: null, eta_seconds: null }
                    : job.progress,
                ),
          ),
        ];
      error.hidden = !job.error;
      setText(error, job.error ?? "");
    },
  };
}

/** The job ended before its first point. */
const nothing = () => ({
  update() {},
  node: emptyState(
    "Nothing was computed",
    "There is nothing to show. The log says what happened; Retry computes it.",
  ),
});

/** While the job runs: the tiles on the left, the surface on the right as it is refined. */
function runningPictures({ job, signal }) {
  const tiles = element("div", { class: "picture", "data-testid": "heatmap" });
  const shape = element("div", { class: "picture", "data-testid": "surface" });
  const waiting = element(
    "p",
    { class: "waiting" },
    "The surface appears with the first 25 points.",
  );
  const left = picture(tiles, {
    label: `Tiles of ${job.name}: computed points in full color, the rest dimmed`,
    bar: false,
  });
  const right = picture(shape, {
    label: `Surface of ${job.name}, refining`,
    cameras: cameraGroup(),
    pause: 500,
  });
  const key = element("div", { class: "key-row" });
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
      element("div", { class: "card" }, element("h2", { class: "small" }, "Tiles"), tiles),
      element(
        "div",
        { class: "card" },
        element("h2", { class: "small" }, "Surface so far"),
        shape,
        waiting,
      ),
      key,
    ),
  };
}

/** The finished surface, large, with its choices. */
function resultPicture({ job, result, route, signal, notice }) {
  const chosen = choices(route, Object.keys(HEIGHTS), defaultHeight([result]), valuesOf([result]));
  const host = element("div", { class: "picture large", "data-testid": "result" });
  const cameras = cameraGroup();
  const plot = picture(host, { cameras, label: `Loss surface of ${job.name}` });
  const key = element("div", { class: "key-row" });
  const says = element("p", { class: "says" });
  let latest = result;
  let make = null;
  let shownKey = null;
  const update = (fresh = latest) => {
    latest = fresh;
    const part = drawable(latest);
    const scale = sharedScale([latest], chosen);
    const colors = THEMES[theme.get()];
    host.hidden = key.hidden = !part && chosen.view !== "heatmap";
    if (host.hidden)
      return setText(
        says,
        "Too few points were computed for a plot. Retry computes the missing ones.",
      );
    make = ({ width }) =>
      FIGURES[chosen.view](chosen.view === "heatmap" ? latest : part, {
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
    node: element(
      "div",
      {},
      controls,
      element("div", { class: "card" }, host, element("div", { class: "under" }, key, says)),
      downloads(job, png, notice),
    ),
  };
}

function saysHow(scale, { view, height, value }, result, part) {
  const how =
    value !== "loss"
      ? sentence(scale.title)
      : view === "contour"
        ? sentence(scale.contours.says)
        : sentence(HEIGHTS[height].says) +
          (scale.clip === null ? "" : `, clipped at ${scale.clip}`);
  const thinned =
    part && part.alphas.length < result.alphas.length && view !== "heatmap"
      ? ` Drawn from ${whole(part.alphas.length)} × ${whole(part.betas.length)} of its points.`
      : "";
  const center =
    result.provenance && !result.provenance.center.on_grid
      ? " (0, 0) is not a grid point; it was evaluated separately."
      : "";
  const lost = result.non_finite.length ? ` ◆ ${holes(result.non_finite)}: shown as holes.` : "";
  return `${how}.${thinned}${center}${lost}`;
}

/** A slice, growing or done. */
function slicePicture({ job, result, route, signal, notice }) {
  const chosen = choices(route, ["linear", "log"], defaultSliceHeight([result]));
  const host = element("div", { class: "picture large", "data-testid": "result" });
  const plot = picture(host, { label: `Loss and accuracy along one direction of ${job.name}` });
  let latest = null;
  const make = ({ width }) =>
    slicesFigure([{ result: latest, label: job.name }], {
      theme: THEMES[theme.get()],
      height: chosen.height,
      width,
    });
  const update = (result = latest) => {
    latest = result;
    if (result) plot.show(make, [chosen.height, theme.get(), revision(result)].join());
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
    node: element(
      "div",
      {},
      controls,
      element(
        "div",
        { class: "card" },
        host,
        element(
          "p",
          { class: "under says" },
          "The band is ± one standard error of the mean over the images.",
        ),
      ),
      downloads(job, png, notice),
    ),
  };
}

const choices = ({ query }, heights, height, values = ["loss"]) => ({
  view: choice(query, "view", ["surface", "contour", "heatmap"], "surface"),
  height: choice(query, "height", heights, height),
  value: choice(query, "value", values, "loss"),
});

function downloads(job, png, notice) {
  const link = (format) =>
    element(
      "a",
      {
        class: "button",
        href: `/api/v1/jobs/${job.id}/result?format=${format}`,
        download: "",
        "data-testid": `download-${format}`,
      },
      iconOf("down"),
      format.toUpperCase(),
    );
  const picture = element(
    "button",
    {
      type: "button",
      class: "button",
      "data-testid": "download-png",
      onclick: () => attempt(notice, png).catch(() => {}),
    },
    iconOf("down"),
    "PNG with caption",
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

/** The numbers of a result, its self-check, its provenance. */
function factsOf(job, result, signal) {
  const { loss, accuracy, onGrid } = centerOf(result);
  const [least, most] = result.losses.flat().some((loss) => loss !== null)
    ? extent([result.losses])
    : [null, null];
  const fact = (label, text, value, testid) =>
    element(
      "div",
      {},
      element("dt", {}, label),
      element("dd", { "data-testid": testid, "data-value": String(value) }, text),
    );
  const lost = holes(result.non_finite);
  const unit = result.provenance?.loss?.unit ?? "nats";
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
            ),
          ),
        ),
      () => {},
    );
  const where = result.provenance && !onGrid ? "at the center (not a grid point)" : "at the center";
  return element(
    "div",
    { class: "result-facts" },
    element(
      "div",
      { class: "card" },
      element(
        "dl",
        { class: "facts-list" },
        fact(`loss ${where}`, `${number(loss)} ${unit}`, loss, "result-loss-center"),
        fact(`accuracy ${where}`, percent(accuracy), accuracy, "result-accuracy-center"),
        fact("smallest loss", `${number(least)} ${unit}`, least, "result-least"),
        fact("largest loss", `${number(most)} ${unit}`, most, "result-most"),
        lost && fact("non-finite", lost, result.non_finite.length, "non-finite"),
      ),
      further,
      selfCheck(result.self_check) ??
        element("p", { class: "soft" }, "The self-check is made when the job is done."),
      result.provenance && provenance(result.provenance, job),
    ),
    caveat(job.kind),
  );
}

function provenance(facts, job) {
  const rows = Object.entries(facts).flatMap(([name, value]) =>
    value && typeof value === "object" && !Array.isArray(value)
      ? Object.entries(value).map(([key, own]) => [`${name}.${key}`, own])
      : [[name, value]],
  );
  const text = (name, value) =>
    value === null
      ? "–"
      : name === "seconds"
        ? duration(value)
        : typeof value === "object"
          ? JSON.stringify(value)
          : String(value);
  return element(
    "details",
    { class: "provenance", "data-testid": "provenance" },
    element("summary", {}, "Provenance"),
    element(
      "table",
      {},
      element(
        "tbody",
        {},
        [["job", job.id], job.spec.grid && ["grid", gridWords(job.spec.grid)], ...rows]
          .filter(Boolean)
          .map(([name, value]) =>
            element(
              "tr",
              {},
              element("th", { scope: "row" }, name.replaceAll("_", " ")),
              element("td", {}, text(name, value)),
            ),
          ),
      ),
    ),
  );
}
