/**
 * Refine or extend a result: a new job with more points, another range, a region or one more seed.
 */

import { element, setText } from "../element.js";
import { finer, gridOf, oneMoreSeed, pointsOf, region, scaled, wider } from "../refine.js";
import { LIMITS } from "../kinds.js";
import { post } from "../network.js";
import { numberOf } from "../request.js";
import { t } from "../text.js";
import { attempt, dropdown, noticeLine } from "./parts.js";

/** @import { Child, Grid, Job, Ranges, Refinement, Result } from "../types.d.ts" */

/**
 * One way to refine: its name, its button, and the refinement it makes of a result, or why it makes
 * none.
 * @typedef {{ node: HTMLElement; update(): void }} Way
 */

/** @typedef {{ job: Job; result: Result }} Known */

/**
 * A panel that opens from the button "Refine". `update` gives it the job and its result; `shown`
 * are the ranges that the plot shows now.
 * @type {(options: { signal: AbortSignal; shown(): Ranges | null }) => { node: HTMLElement;
 *   update(job: Job, result: Result): void }}
 */
export function refining({ signal, shown }) {
  const notice = noticeLine();
  /** @type {Known | null} */
  let known = null;
  /** @type {(body: Refinement) => Promise<unknown>} */
  const send = (body) => startRefined(notice, known?.job.id ?? "", body);
  const inputs = regionInputs(() => ways.forEach(({ update }) => update()));
  /**
   * @type {(name: string, title: string, make: (known: Known) => Refinement | null, more?: Child)
   * => Way}
   */
  const way = (name, title, make, more) =>
    row({ name, title, more, make, send, known: () => known });
  const ways = [
    way("finer", t("refine.finer"), finer),
    way("wider", t("refine.wider"), ({ result }) => wider(gridOf(result))),
    way(
      "region",
      t("refine.region"),
      ({ result }) => inputs.refinement(gridOf(result)),
      inputs.node,
    ),
    way("seed", t("refine.seed"), ({ job }) => oneMoreSeed(job)),
  ];
  const list = element(
    "ul",
    { class: "refinements" },
    ways.map(({ node }) => node),
  );
  const content = [element("p", {}, t("refine.lead")), list, notice.node];
  const onopen = () => {
    if (!known) return;
    inputs.fill(gridOf(known.result), shown());
    for (const { update } of ways) update();
  };
  const node = dropdown(t("refine.title"), "refine", content, { onopen, signal });
  return {
    node,
    update(job, result) {
      known = { job, result };
      if (node.open) for (const { update } of ways) update();
    },
  };
}

/**
 * Refines a job and shows the page of the new one; a refusal is said by `notice`.
 * @type {(notice: ReturnType<typeof noticeLine>, jobId: string, refinement: Refinement) =>
 *   Promise<unknown>}
 */
export function startRefined(notice, jobId, refinement) {
  return attempt(notice, () => post(`/api/v1/jobs/${jobId}/refine`, refinement)).then(
    ({ id }) => (location.hash = `#/jobs/${id}`),
    () => {},
  );
}

/**
 * @type {(options: { name: string; title: string; more: Child; known(): Known | null;
 *   make(known: Known): Refinement | null; send(body: Refinement): Promise<unknown> }) => Way}
 */
function row({ name, title, more, known, make, send }) {
  const words = element("p", {
    class: "soft",
    id: `refine-${name}-says`,
    "data-testid": `refine-${name}-says`,
  });
  /** @type {Refinement | null} */
  let made = null;
  const start = async () => {
    button.disabled = true;
    if (made) await send(made);
    button.disabled = false;
  };
  const button = element(
    "button",
    {
      type: "button",
      class: "button",
      "data-testid": `refine-${name}`,
      "aria-label": t("refine.startNamed", { name: title }),
      "aria-describedby": words.id,
      onclick: start,
    },
    t("refine.start"),
  );
  const node = element("li", {}, element("div", {}, element("b", {}, title), more, words), button);
  return {
    node,
    update() {
      const now = known();
      made = now && make(now);
      node.hidden = !made && !more;
      button.disabled = !made || !now || pointsOf(now.result, made).points > LIMITS.points;
      setText(words, made && now ? counts(now.result, made) : t("refine.noRegion"));
    },
  };
}

/**
 * How many points a refinement has, and how many of them are reused, in words.
 * @type {(result: Result, refinement: Refinement) => string}
 */
export function counts(result, refinement) {
  const { points, reused } = pointsOf(result, refinement);
  if (points > LIMITS.points)
    return t("problem.points", { points: String(points), most: String(LIMITS.points) });
  return refinement.repeats
    ? t("refine.seeds", { count: points, reused })
    : t("refine.points", { count: points, reused, added: points - reused });
}

const AXES = /** @type {const} */ ([
  ["alpha", "α"],
  ["beta", "β"],
]);

/**
 * Inputs for the ends of a region.
 * @type {(onchange: () => void) => { node: HTMLElement; fill(grid: Grid, shown: Ranges | null):
 * void;
 *   refinement(grid: Grid): Refinement | null }}
 */
function regionInputs(onchange) {
  /** @type {(name: string, label: string) => HTMLInputElement} */
  const input = (name, label) =>
    element("input", {
      type: "text",
      inputmode: "decimal",
      autocomplete: "off",
      "aria-label": label,
      "data-testid": `refine-${name}`,
      oninput: onchange,
    });
  const axes = AXES.map(([name, symbol]) => {
    const min = input(`${name}-min`, t("refine.least", { axis: symbol }));
    const max = input(`${name}-max`, t("refine.most", { axis: symbol }));
    const node = element("span", {}, `${symbol} `, min, " – ", max);
    return { name, min, max, node };
  });
  return {
    node: element(
      "div",
      { class: "ranges" },
      axes.map(({ node }) => node),
    ),
    fill(grid, shown) {
      const middle = scaled(grid, 0.5);
      for (const { name, min, max, node } of axes) {
        const range = shown?.[name] ?? middle[name];
        node.hidden = !grid[name];
        min.value = range ? rounded(range.min, range) : "";
        max.value = range ? rounded(range.max, range) : "";
      }
    },
    refinement(grid) {
      const [alpha, beta] = axes.map(({ min, max }) => ({
        min: numberOf(min.value),
        max: numberOf(max.value),
      }));
      const valid = [alpha, ...(grid.beta ? [beta] : [])].every(({ min, max }) => min < max);
      return valid ? region(grid, { alpha, beta }) : null;
    },
  };
}

/**
 * A coordinate with as many digits as its range needs: three of its width.
 * @type {(value: number, range: { min: number; max: number }) => string}
 */
function rounded(value, { min, max }) {
  const digits = Math.max(0, 2 - Math.floor(Math.log10(max - min)));
  return String(Number(value.toFixed(Math.min(digits, 20)))).replace("-", "−");
}
