/** Two or more results side by side: same scale, same camera, the numbers below. */

import { THEMES } from "../colors.js";
import {
  COLUMNS,
  asShipped,
  columnsFor,
  commonCaption,
  differences,
  distinctLabels,
  furtherColumns,
  listed,
  numbersOf,
  ownCaption,
  withError,
} from "../compare.js";
import { MAX_SCENES, exportPng, picture } from "../drawing.js";
import { element, setChildren, setText } from "../element.js";
import { captionOf, plural } from "../format.js";
import { isLine } from "../grid.js";
import { revision } from "../live.js";
import { follow, get, post, unlessAborted } from "../network.js";
import { address, choice, jobsOf } from "../route.js";
import { HEIGHTS } from "../scales.js";
import { defaultSliceHeight, slicesFigure } from "../slices.js";
import { replaceQuery, theme } from "../state.js";
import { pictureMatrix } from "./matrix.js";
import { caveat, emptyState, emptyView, noticeLine, pictureControls, warningsOf } from "./parts.js";

export function compare({ route, signal }) {
  const ids = jobsOf(route.query);
  const node = element(
    "div",
    { class: "view compare" },
    element("p", { class: "empty" }, "Loading…"),
  );
  (ids.length ? fillComparison(node, ids, { route, signal }) : fillPicker(node, signal))
    .catch(unlessAborted)
    .catch((error) => setChildren(node, unreachable(error)));
  return { title: "Compare", node };
}

const unreachable = (error) =>
  emptyView(
    "Cannot show this comparison",
    error.message,
    element("a", { class: "button", href: "#/jobs" }, "Select results again"),
  );

/** Nothing is selected: links to the shipped comparisons and to the list of jobs. */
async function fillPicker(node, signal) {
  const { comparisons } = await get("/api/v1/gallery", signal);
  const links = comparisons.map(({ title, cells }) =>
    element(
      "a",
      {
        class: "button",
        href: address("/compare", {
          jobs: cells
            .flat()
            .map(({ job }) => job)
            .filter(Boolean)
            .join(),
        }),
      },
      title,
    ),
  );
  setChildren(
    node,
    element("h1", { class: "unseen" }, "Compare"),
    emptyState(
      "Nothing to compare yet",
      `Select two or more results in the list of jobs${links.length ? ", or open a shipped comparison" : ""}.`,
      element(
        "a",
        { class: "button primary", href: address("/jobs", { state: "done" }) },
        "Select results",
      ),
      links,
    ),
  );
}

async function fillComparison(node, ids, { route, signal }) {
  const [{ comparisons }, ...jobs] = await Promise.all([
    get("/api/v1/gallery", signal).catch(() => ({ comparisons: [] })),
    ...ids.map((id) =>
      get(`/api/v1/jobs/${id}`, signal).catch((error) => ({ id, gone: error.message })),
    ),
  ]);
  const present = jobs.filter(({ gone }) => !gone);
  const missing = jobs.length - present.length;
  if (!present.length) return setChildren(node, unreachable({ message: jobs[0].gone }));
  const surfaces = present.filter(({ kind }) => !isLine(kind));
  const slices = present.filter(({ kind }) => isLine(kind));
  const shipped = asShipped(
    surfaces.map(({ id }) => id),
    comparisons,
  );
  if (shipped)
    inOrder(
      present,
      shipped.cells.flat().map(({ job }) => job),
    );
  const many = surfaces.length > MAX_SCENES;
  const curves = surfaces.length
    ? []
    : (
        await Promise.all(
          slices.map(({ id }) => get(`/api/v1/jobs/${id}/result`, signal).catch(() => null)),
        )
      ).filter(Boolean);
  const chosen = {
    view: choice(
      route.query,
      "view",
      many ? ["contour", "heatmap"] : ["surface", "contour", "heatmap"],
      many ? "contour" : "surface",
    ),
    height: choice(
      route.query,
      "height",
      surfaces.length ? Object.keys(HEIGHTS) : ["linear", "log"],
      surfaces.length ? "paper" : defaultSliceHeight(curves),
    ),
    value: choice(route.query, "value", ["loss", "accuracy"], "loss"),
  };
  const notice = noticeLine();
  const retry = (id) =>
    post(`/api/v1/jobs/${id}/retry`).then(
      (job) =>
        job.id === id
          ? following.reload(id)
          : (location.hash = address("/compare", {
              ...route.query,
              jobs: ids.map((own) => (own === id ? job.id : own)).join(),
            })),
      (error) => notice.say(error.message),
    );
  const matrix = surfaces.length
    ? pictureMatrix({
        ...layoutOf(surfaces, shipped),
        chosen,
        signal,
        testid: "compare-cell",
        onRetry: retry,
      })
    : null;
  const lines = slices.length ? overlay(slices, chosen, signal) : null;
  const title = shipped?.title ?? titleOf(present);
  const caption = element("p", { class: "caption", "data-testid": "caption" });
  const warning = element("p", { class: "notice", hidden: true, "data-testid": "comparable" });
  const warnings = element("div", { class: "warnings" });
  const labels = new Map(distinctLabels(present).map((label, k) => [present[k].id, label]));
  const table = numbersTable(present);
  const entries = new Map();
  const controls = pictureControls(
    chosen,
    (part) => {
      replaceQuery(route, part);
      matrix?.redraw();
      lines?.redraw();
    },
    {
      views: surfaces.length
        ? many
          ? ["contour", "heatmap"]
          : ["surface", "contour", "heatmap"]
        : [],
      values: surfaces.length ? undefined : [],
      heights: surfaces.length ? undefined : ["linear", "log"],
      reset: matrix?.reset,
    },
  );
  const save = element(
    "button",
    {
      type: "button",
      class: "button",
      "data-testid": "export-png",
      onclick: () => savePng().catch((error) => notice.say(error.message)),
    },
    "Save as PNG",
  );
  const savePng = () =>
    matrix
      ? matrix.png("comparison.png", title, caption.textContent)
      : lines.png("comparison.png", title, caption.textContent);

  setChildren(
    node,
    element(
      "header",
      { class: "view-head" },
      element("div", { class: "titles" }, element("h1", {}, title), caption),
      save,
      controls,
    ),
    notice.node,
    warning,
    warnings,
    many &&
      element(
        "p",
        { class: "notice" },
        `${plural(surfaces.length, "surface")} are drawn as contours: a browser shows at most ${MAX_SCENES} in 3-D.`,
      ),
    missing > 0 &&
      element(
        "p",
        { class: "notice" },
        `${plural(missing, "result")} of this comparison no longer exist${missing === 1 ? "s" : ""}.`,
      ),
    matrix?.node,
    lines?.node,
    table.node,
    present.length === 1 &&
      element(
        "p",
        { class: "notice" },
        "This is a single result. ",
        element("a", { href: "#/jobs" }, "Select another to compare it with."),
      ),
    caveat("compare"),
  );

  const following = follow(
    present.map(({ id }) => id),
    signal,
    (id, entry) => {
      entries.set(id, entry);
      matrix?.change(id, entry);
      lines?.change(id, entry);
      const known = [...entries.values()].filter(({ result }) => result);
      setText(caption, commonCaption(known.map(({ job, result }) => captionOf(job, result))));
      table.update(entries);
      if (entry.job?.state === "done" && entry.result) table.fetchNumbers(id, signal);
      warn(warning, known);
      const told = known.map(({ job, result }) => [labels.get(job.id), result.provenance]);
      const said = JSON.stringify(told.map(([label, provenance]) => [label, provenance?.warnings]));
      if (warnings.dataset.key !== said)
        setChildren(
          warnings,
          told.map(([label, provenance]) => warningsOf(provenance, label)),
        );
      warnings.dataset.key = said;
    },
  );
}

/** The shipped rows and columns where the jobs are a shipped comparison, else nearly square. */
function layoutOf(jobs, shipped) {
  if (shipped)
    return {
      rows: shipped.rows,
      columns: shipped.columns,
      cells: shipped.cells.map((row, r) =>
        row.map(({ job }, c) => ({ id: job, label: `${shipped.columns[c]} ${shipped.rows[r]}` })),
      ),
    };
  const width = columnsFor(jobs.length);
  const labels = distinctLabels(jobs);
  const rows = Array.from({ length: Math.ceil(jobs.length / width) }, (_, r) =>
    jobs.slice(r * width, (r + 1) * width),
  );
  const cells = rows.map((row, r) =>
    Array.from({ length: width }, (_, c) =>
      row[c] ? { id: row[c].id, label: labels[r * width + c] } : null,
    ),
  );
  return { rows: rows.map(() => ""), columns: Array(width).fill(""), cells };
}

const inOrder = (jobs, ids) => jobs.sort((a, b) => ids.indexOf(a.id) - ids.indexOf(b.id));

const titleOf = (jobs) =>
  jobs.length === 2
    ? `${jobs[0].name} vs ${jobs[1].name}`
    : jobs.length === 1
      ? jobs[0].name
      : `${plural(jobs.length, "result")} side by side`;

function warn(node, known) {
  const { serious, minor } = differences(
    known.map(({ job, result }) => ({ spec: job.spec, provenance: result.provenance })),
  );
  node.hidden = !serious.length && !minor.length;
  node.classList.toggle("warning", serious.length > 0);
  node.dataset.serious = serious.join();
  if (serious.length)
    setText(
      node,
      `! These results differ in ${listed(serious)}: their heights and shapes are not comparable.`,
    );
  else if (minor.length) setText(node, `These results differ in ${listed(minor)}.`);
}

/** Slices overlaid in one plot. */
function overlay(jobs, chosen, signal) {
  const host = element("div", { class: "picture wide", "data-testid": "slices" });
  const labels = new Map(distinctLabels(jobs).map((label, k) => [jobs[k].id, label]));
  const plot = picture(host, {
    label: `Loss along one direction of ${[...labels.values()].join("; ")}`,
  });
  const entries = new Map();
  const items = () =>
    jobs
      .filter(({ id }) => entries.get(id)?.result)
      .map(({ id }) => ({ label: labels.get(id), result: entries.get(id).result }));
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

/** The table of numbers: ours first, then the service's. It scrolls horizontally rather than wrap. */
function numbersTable(jobs) {
  const head = element("tr");
  const body = element("tbody");
  const node = element(
    "div",
    { class: "card table-card", tabindex: 0, role: "region", "aria-label": "Numbers" },
    element("table", { class: "numbers" }, element("thead", {}, head), body),
  );
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
      element("th", { scope: "col" }, "network"),
      columns.map(({ label, unit, means }) =>
        element(
          "th",
          { scope: "col", title: means },
          label,
          unit && element("span", { class: "unit" }, unit),
        ),
      ),
      choices && element("th", { scope: "col" }, "other settings"),
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

const ownChoices = (job, result, captions) =>
  result
    ? ownCaption(result.caption, captions)
        .split(" · ")
        .filter((part) => part !== job.checkpoint.label)
        .join(" · ")
    : "";

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
        entry?.error?.message ?? "loading…",
      ),
    );
  const ours = new Map(numbersOf(entry.result).map((one) => [one.key, one]));
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
