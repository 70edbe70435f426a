/** The shipped comparisons as large live pictures, filling while one watches. */

import { commonCaption } from "../compare.js";
import { element, keyedList, setChildren, setText } from "../element.js";
import { captionOf, number, percent } from "../format.js";
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
  const sections = new Set();
  const controls = pictureControls(chosen, (part) => {
    replaceQuery(route, part);
    sections.forEach(({ redraw }) => redraw());
  }, { reset: () => sections.forEach(({ reset }) => reset()) });
  const state = element("div", {}, element("p", { class: "empty" }, "Loading the comparisons…"));
  const wall = element("div", {});
  const update = keyedList(wall, ({ name }) => name, (comparison) => {
    const made = section(comparison, { chosen, signal, notice, again: () => again() });
    sections.add(made);
    if (sections.size === 1) made.head.append(controls);
    return made;
  });
  const below = element("section", { class: "below" }, element("h2", {}, "Your own network"), filePicker((files) => {
    send(files);
    location.hash = "#/library";
  }));
  let complete = false;

  async function load() {
    const { comparisons } = await get("/api/gallery", signal);
    complete = comparisons.length > 0 && comparisons.every(({ cells }) => cells.flat().every(({ job }) => job));
    setChildren(state, !comparisons.length && nothing());
    update(comparisons);
  }
  const again = repeat(load, () => (complete ? 30 : 3), signal);
  const node = element("div", { class: "view gallery" }, element("h1", { class: "unseen" }, "Gallery"), notice.node, state, wall, below);
  return { title: "Gallery", node };
}

function nothing() {
  return emptyState("No comparisons here yet", "This service was started without the shipped networks. Start it with `landscape up --demo`, or add a checkpoint of your own.", element("a", { class: "button primary", href: "#/library" }, "Add a checkpoint"));
}

/** One comparison. Its pictures are made again when its jobs become others (they are submitted one after the other). */
function section({ name }, { chosen, signal, notice, again }) {
  const [title, lead] = [element("h2"), element("p", { class: "lead" })];
  const caption = element("p", { class: "caption", "data-testid": "caption" });
  const detail = element("a", { class: "button", "data-testid": "gallery-compare" }, "Compare in detail");
  const head = element("header", { class: "view-head" }, element("div", { class: "titles" }, title, lead, caption), detail);
  const place = element("div", {});
  let matrix = null;
  let shown = "";
  let inner = new AbortController();
  signal.addEventListener("abort", () => inner.abort());

  function fill({ rows, columns, cells }) {
    inner.abort();
    inner = new AbortController();
    const jobs = [...new Set(cells.flat().map(({ job }) => job).filter(Boolean))];
    const captions = new Map();
    const retry = (id) => post(`/api/jobs/${id}/retry`).then(again, (error) => notice.say(error.message)).then(() => following.reload(id));
    matrix = pictureMatrix({
      rows, columns, chosen, signal: inner.signal, onRetry: retry, testid: "gallery-cell", pause: 700,
      cells: cells.map((row, r) => row.map((cell, c) => ({ id: cell.job, label: `${columns[c]} ${rows[r]}`, facts: facts(cell.record) }))),
    });
    setChildren(place, matrix.node);
    detail.href = address("/compare", { jobs: jobs.join() });
    const following = follow(jobs, inner.signal, (id, entry) => {
      matrix.change(id, entry);
      if (entry.job) captions.set(id, captionOf(entry.job, entry.result));
      setText(caption, commonCaption([...captions.values()]));
    });
  }
  return {
    head, node: element("section", { class: "comparison", "data-testid": "comparison", "data-name": name }, head, place),
    redraw: () => matrix.redraw(),
    reset: () => matrix.reset(),
    update(comparison) {
      setText(title, comparison.title);
      setText(lead, comparison.text);
      const key = JSON.stringify(comparison.cells.map((row) => row.map(({ job }) => job)));
      if (key !== shown) fill(comparison);
      shown = key;
    },
  };
}

/** The two facts of a shipped network, as its training measured them. */
function facts(record) {
  if (!record || record.train_loss === undefined) return null;
  return () => [element("span", { title: "Mean loss over the training images when its training ended", "data-value": String(record.train_loss) }, `train loss ${number(record.train_loss, 2)}`), element("span", { title: "Share of the test images classified correctly" }, ` · test acc ${percent(1 - record.test_error, 1)}`)];
}
