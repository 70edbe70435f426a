/**
 * Comparison of results: whether they are comparable, what they share, the columns of the table.
 * Pure.
 */

import { holes, specWords } from "./format.js";
import { number, percent, range } from "./numbers.js";
import { extent } from "./scales.js";
import { t } from "./text.js";

/**
 * @import { Comparison, Job, Key, Provenance, Result, Spec, SummaryNumber } from "./types.d.ts"
 */

/**
 * @typedef {{ spec: Spec; provenance: Provenance | null }} Item
 * @typedef {{ key: string; name?: string; label: string; unit: string; means: string }} Column
 * @typedef {Column & {
 *   of(result: Result): number | null;
 *   text(value: number | null, result: Result): string;
 * }} ResultColumn
 */

/**
 * Choices that must be equal for two results to be comparable, and choices whose difference is
 * worth a note.
 * @type {[Key, (item: Item) => unknown][]}
 */
const MUST = [
  ["differ.kind", ({ spec }) => spec.kind],
  ["differ.data", ({ provenance: p, spec }) => p?.data_sha256 ?? spec.dataset],
  ["differ.dataset", ({ spec }) => spec.dataset],
  ["differ.images", ({ spec }) => [spec.split, spec.subset?.count, spec.subset?.seed].join()],
  [
    "differ.loss",
    ({ spec }) =>
      [spec.loss ?? "cross_entropy", spec.label_smoothing ?? 0, spec.weight_decay ?? 0].join(),
  ],
  [
    "differ.normalization",
    ({ provenance: p, spec }) =>
      [
        spec.normalization,
        spec.orthogonality ?? "filter",
        spec.biases ?? "fixed",
        p?.scales?.length ?? 0, // without scales it does not matter what has filters
      ].join(),
  ],
  ["differ.batchNorm", ({ spec }) => spec.batch_norm ?? "frozen"],
  [
    "differ.range",
    ({ spec }) =>
      Object.values(spec.grid ?? {})
        .map(range)
        .join(" × "),
  ],
];
/** @type {[Key, (item: Item) => unknown][]} */
const NOTE = [
  [
    "differ.points",
    ({ spec }) =>
      Object.values(spec.grid ?? {})
        .map(({ count }) => count)
        .join(" × "),
  ],
  ["differ.seed", ({ spec }) => spec.seed],
  ["differ.precision", ({ spec }) => spec.precision],
];

/**
 * What differs between jobs with results ({ spec, provenance } each): { serious: [names], minor:
 * [names] }. With a serious difference the results are not comparable.
 * @type {(items: Item[]) => { serious: string[]; minor: string[] }}
 */
export function differences(items) {
  const finished = items.filter(({ provenance }) => provenance);
  /** @type {(choice: [Key, (item: Item) => unknown]) => boolean} */
  const differ = ([, of]) =>
    new Set(
      (finished.length === items.length
        ? items
        : items.map((item) => ({ ...item, provenance: null }))
      ).map(of),
    ).size > 1;
  const names = (/** @type {typeof MUST} */ choices) => choices.filter(differ).map(([key]) => key);
  const serious = names(MUST);
  const explained = serious.includes("differ.dataset") || serious.includes("differ.images");
  return {
    serious: serious.filter((key) => key !== "differ.data" || !explained).map((key) => t(key)),
    minor: names(NOTE).map((key) => t(key)),
  };
}

/**
 * The parts that all captions share, in the order of the first: one caption for the whole figure.
 * @type {(captions: string[]) => string}
 */
export function commonCaption(captions) {
  const [first = [], ...others] = captions.map((caption) => caption.split(" · "));
  return first.filter((part) => others.every((parts) => parts.includes(part))).join(" · ");
}

/**
 * The parts of a caption that the others do not share.
 * @type {(caption: string, captions: string[]) => string}
 */
export function ownCaption(caption, captions) {
  const common = new Set(commonCaption(captions).split(" · "));
  return caption
    .split(" · ")
    .filter((part) => !common.has(part))
    .join(" · ");
}

/**
 * A label for each job: its name and, where names repeat, the choices that differ.
 * @type {(jobs: Pick<Job, "name" | "spec">[]) => string[]}
 */
export function distinctLabels(jobs) {
  const names = jobs.map(({ name }) => name);
  const words = jobs.map(({ spec }) => specWords(spec));
  return names.map((name, k) => {
    const own =
      names.filter((other) => other === name).length > 1 ? ownCaption(words[k], words) : "";
    return own ? `${name} · ${own}` : name;
  });
}

/**
 * Loss and accuracy at (0, 0): from the provenance, else from the grid.
 * @type {(result: Result) => { loss: number | null; accuracy: number | null; onGrid: boolean;
 *   error: number | null }}
 */
export function centerOf(result) {
  const center = result.provenance?.center;
  if (center)
    return {
      loss: center.loss,
      accuracy: center.accuracy,
      onGrid: center.on_grid,
      error: center.standard_error,
    };
  const [i, j] = [result.alphas.indexOf(0), result.betas.indexOf(0)];
  if (i < 0 || j < 0) return { loss: null, accuracy: null, onGrid: false, error: null };
  return {
    loss: result.losses[i][j],
    accuracy: result.accuracies[i][j],
    onGrid: true,
    error: result.standard_errors[i][j],
  };
}

/**
 * First columns of the table: label, unit, meaning, text and plain value of a result. The service
 * adds more.
 * @type {ResultColumn[]}
 */
export const COLUMNS = [
  {
    key: "center_loss",
    label: t("number.centerLoss"),
    unit: t("number.nats"),
    means: t("number.centerLossMeans"),
    of: (r) => centerOf(r).loss,
    text: (value) => number(value),
  },
  {
    key: "center_accuracy",
    label: t("number.centerAccuracy"),
    unit: "%",
    means: t("number.centerAccuracyMeans"),
    of: (r) => centerOf(r).accuracy,
    text: (value) => inPercent(value),
  },
  {
    key: "least",
    label: t("number.least"),
    unit: t("number.nats"),
    means: t("number.leastMeans"),
    of: (r) => finite(r)?.[0] ?? null,
    text: (value) => number(value),
  },
  {
    key: "most",
    label: t("number.most"),
    unit: t("number.nats"),
    means: t("number.mostMeans"),
    of: (r) => finite(r)?.[1] ?? null,
    text: (value) => number(value),
  },
  {
    key: "cosine",
    label: t("number.cosine"),
    unit: "",
    means: t("number.cosineMeans"),
    of: (r) => r.provenance?.cosine ?? null,
    text: (value) => number(value),
  },
  {
    key: "non_finite",
    label: t("number.nonFinite"),
    unit: t("number.points"),
    means: t("number.nonFiniteMeans"),
    of: (r) => r.non_finite.length,
    text: (_, r) => holes(r.non_finite) || "0",
  },
];

/**
 * Rows of the table: [{ key, text, value }] for each column.
 * @type {(result: Result) => { key: string; value: number | null; text: string }[]}
 */
export const numbersOf = (result) =>
  COLUMNS.map(({ key, of, text }) => ({ key, value: of(result), text: text(of(result), result) }));

/** @type {(result: Result) => [number, number] | null} */
function finite(result) {
  return result.losses.flat().some((value) => value !== null) ? extent([result.losses]) : null;
}

/** @type {(share: number | null) => string} */
function inPercent(share) {
  return share === null ? "–" : percent(share).replace(/\s*%$/, "");
}

/**
 * The summary numbers of the service (each { name, value, unit, error, definition, … }) as columns, in
 * their order.
 * @type {(lists: SummaryNumber[][]) => Column[]}
 */
export function furtherColumns(lists) {
  const known = new Map(lists.flat().map((one) => [one.name, one]));
  return [...known.values()].map(({ name, unit, definition }) => ({
    key: name.replaceAll(" ", "_"),
    name,
    label: name,
    unit,
    means: definition,
  }));
}

/**
 * 0.698 ± 0.088: a number with its error.
 * @type {(number: Pick<SummaryNumber, "value" | "error">) => string}
 */
export function withError({ value, error }) {
  if (value === null) return "–";
  return error ? `${number(value, 3)} ± ${number(error, 2)}` : number(value, 3);
}

/**
 * Number of columns for `count` plots in no particular order: nearly square.
 * @type {(count: number) => number}
 */
export const columnsFor = (count) => (count <= 3 ? count : count === 4 ? 2 : count <= 9 ? 3 : 4);

/**
 * The shipped comparison whose cells are exactly these jobs, or null.
 * @type {(jobs: string[], comparisons: Comparison[]) => Comparison | null}
 */
export function asShipped(jobs, comparisons) {
  const wanted = [...jobs].sort().join();
  return (
    comparisons.find(
      ({ cells }) =>
        cells
          .flat()
          .map(({ job }) => job)
          .sort()
          .join() === wanted,
    ) ?? null
  );
}

/**
 * The shipped rows and columns where the jobs are a shipped comparison, else nearly square.
 * @type {(jobs: Job[], shipped: Comparison | null) => { rows: string[]; columns: string[];
 *   cells: ({ id: string | null; label: string } | null)[][] }}
 */
export function layoutOf(jobs, shipped) {
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

/** @type {(jobs: Job[], ids: (string | null)[]) => Job[]} */
export const inOrder = (jobs, ids) => jobs.sort((a, b) => ids.indexOf(a.id) - ids.indexOf(b.id));

/** @type {(jobs: Job[]) => string} */
export const titleOf = (jobs) =>
  jobs.length === 2
    ? t("compare.two", { first: jobs[0].name, second: jobs[1].name })
    : jobs.length === 1
      ? jobs[0].name
      : t("compare.side", { count: jobs.length });
