/** The shipped comparisons as large live pictures, filling while one watches. */

import { commonCaption } from "../compare.js";
import { element, setChildren, setText } from "../element.js";
import { number, percent } from "../format.js";
import { follow, get, post, repeat } from "../network.js";
import { address, choice } from "../route.js";
import { HEIGHTS } from "../scales.js";
import { replaceQuery } from "../state.js";
import { send } from "../uploads.js";
import { pictureMatrix } from "./matrix.js";
import { emptyState, filePicker, noticeLine, pictureControls } from "./parts.js";

export function gallery({ route, signal }) {
  const chosen = {
    view: choice(route.query, "view", ["surface", "contour", "heatmap"], "surface"),
    height: choice(route.query, "height", Object.keys(HEIGHTS), "paper"),
    value: choice(route.query, "value", ["loss", "accuracy"], "loss"),
  };
  const notice = noticeLine();
  const body = element("div", {}, element("p", { class: "empty" }, "Loading the comparisons…"));
  const below = element("section", { class: "below" }, element("h2", {}, "Your own network"), filePicker((files) => {
    send(files);
    location.hash = "#/library";
  }));
  const node = element("div", { class: "view gallery" }, element("h1", { class: "unseen" }, "Gallery"), notice.node, body, below);
  let shown = "";
  let inner = new AbortController();
  signal.addEventListener("abort", () => inner.abort());

  async function load() {
    const { comparisons } = await get("/api/gallery", signal);
    const ids = JSON.stringify(comparisons.map(({ cells }) => cells));
    if (ids === shown) return;
    shown = ids;
    inner.abort();
    inner = new AbortController();
    setChildren(body, comparisons.length ? wall(comparisons, { chosen, route, signal: inner.signal, notice }) : nothing());
  }
  const complete = () => shown.length > 2 && !shown.includes("null");
  repeat(load, () => (complete() ? 60 : 3), signal);
  return { title: "Gallery", node };
}

function nothing() {
  return emptyState("No comparisons here yet", "This service was started without the shipped networks. Start it with `landscape up --demo`, or add a checkpoint of your own.", element("a", { class: "button primary", href: "#/library" }, "Add a checkpoint"));
}

/** All comparisons, one set of controls, one following of all their jobs. */
function wall(comparisons, { chosen, route, signal, notice }) {
  const made = comparisons.map((comparison) => section(comparison, { chosen, signal, onRetry: retry }));
  const ids = [...new Set(comparisons.flatMap(({ cells }) => cells.flat().map(({ job }) => job)).filter(Boolean))];
  const following = follow(ids, signal, (id, entry) => made.forEach(({ change }) => change(id, entry)));
  async function retry(id) {
    await post(`/api/jobs/${id}/retry`).catch((error) => notice.say(error.message));
    following.reload(id);
  }
  const controls = pictureControls(chosen, (part) => {
    replaceQuery(route, part);
    made.forEach(({ redraw }) => redraw());
  }, { reset: () => made.forEach(({ reset }) => reset()) });
  made[0].head.append(controls);
  return made.map(({ node }) => node);
}

function section(comparison, { chosen, signal, onRetry }) {
  const { name, title, text, rows, columns, cells } = comparison;
  const matrix = pictureMatrix({
    rows, columns, chosen, signal, onRetry, testid: "gallery-cell", pause: 700,
    cells: cells.map((row, r) => row.map((cell, c) => cell.job && { id: cell.job, label: `${columns[c]} ${rows[r]}`, facts: facts(cell.record) })),
  });
  const caption = element("p", { class: "caption", "data-testid": "caption" });
  const captions = new Map();
  const jobs = cells.flat().map(({ job }) => job).filter(Boolean);
  const head = element("header", { class: "view-head" }, element("div", { class: "titles" }, element("h2", {}, title), element("p", { class: "lead" }, text), caption), element("a", { class: "button", href: address("/compare", { jobs: jobs.join() }), "data-testid": "gallery-compare" }, "Compare in detail"));
  return {
    head, redraw: matrix.redraw, reset: matrix.reset,
    node: element("section", { class: "comparison", "data-testid": "comparison", "data-name": name }, head, matrix.node),
    change(id, entry) {
      if (!jobs.includes(id)) return;
      matrix.change(id, entry);
      if (entry.result) captions.set(id, entry.result.caption);
      setText(caption, commonCaption([...captions.values()]));
    },
  };
}

/** The two facts of a shipped network, as its training measured them. */
function facts(record) {
  if (!record || record.train_loss === undefined) return null;
  return [element("span", { title: "Mean loss over the training images when its training ended", "data-value": String(record.train_loss) }, `train loss ${number(record.train_loss, 2)}`), element("span", { title: "Share of the test images classified correctly" }, ` · test acc ${percent(1 - record.test_error, 1)}`)];
}
