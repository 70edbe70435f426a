/** The form of a new job, worded as a sentence. */

import { copy } from "../drawing.js";
import { element, setChildren, setText } from "../element.js";
import { costWords, dataName, directionsWords, isReady, keyOf, nameOf } from "../jobwords.js";
import { ApiError, get, messageOf, post, unlessAborted } from "../network.js";
import { DEFAULTS, KINDS, alike, centerOnGrid, gridDefaults } from "../request.js";
import { allImages } from "../cost.js";
import { asCurl, asPython } from "../requestcode.js";
import { inputOf, isDrawn, jobSpec, otherSplit, samples } from "../request.js";
import { problems } from "../problems.js";
import { emptyState, noticeLine, segmented } from "./parts.js";

/**
 * @import { Child, Dataset, Form, Input, Job, Problems, ReadyCheckpoint, Route, View,
 *   ViewContext } from "../types.d.ts"
 */

/**
 * Inputs for further checkpoints, and which of the others each takes at first.
 * @type {[Input, number][]}
 */
const FURTHER = [
  ["end", 0],
  ["second", 0],
  ["third", 1],
];

/** @type {(context: ViewContext) => View} */
export function newJob({ route, signal }) {
  const node = element(
    "div",
    { class: "view new-job" },
    element("header", { class: "view-head" }, element("h1", {}, "New job")),
    element("p", { class: "empty" }, "Loading…"),
  );
  load(node, route, signal).catch(unlessAborted);
  return { title: "New job", node };
}

/** @type {(node: HTMLElement, route: Route, signal: AbortSignal) => Promise<void>} */
async function load(node, route, signal) {
  const [checkpoints, datasets, jobs] = await Promise.all([
    get("/api/v1/checkpoints?limit=200", signal),
    get("/api/v1/datasets?limit=200", signal),
    get("/api/v1/jobs?state=done&limit=50", signal),
  ]);
  const ready = checkpoints.items.filter(isReady);
  const asked = route.query.checkpoint;
  if (asked && !ready.some(({ id }) => id === asked))
    await get(`/api/v1/checkpoints/${asked}`, signal).then(
      (one) => isReady(one) && ready.push(one),
      () => {},
    );
  const empty = emptyState(
    "No checkpoints yet",
    "A job needs a checkpoint: drop one anywhere on this page.",
    element("a", { class: "button primary", href: "#/library" }, "Add a checkpoint"),
  );
  setChildren(
    node,
    node.firstChild,
    ready.length
      ? sentence({
          ready,
          datasets: datasets.items.filter(({ state }) => state === "ready"),
          jobs: jobs.items,
          asked,
        })
      : empty,
  );
}

/**
 * @type {(known: { ready: ReadyCheckpoint[]; datasets: Dataset[]; jobs: Job[]; asked?: string
 *   }) => HTMLElement}
 */
function sentence({ ready, datasets, jobs, asked }) {
  /** @type {Form} */
  const form = {
    ...DEFAULTS,
    checkpoint: ready.find(({ id }) => id === asked)?.id ?? ready[0].id,
    dataset: datasets[0] ? keyOf(datasets[0]) : DEFAULTS.dataset,
  };
  /** @type {Partial<Record<Input, HTMLElement>>} */
  const inputs = {};
  /** @type {Set<string>} */
  const touched = new Set();
  /** @type {Problems} */
  const refused = {}; // errors of the service, until that input is changed
  const dataset = () => datasets.find((own) => keyOf(own) === form.dataset) ?? null;

  /**
   * @type {<T extends HTMLInputElement | HTMLSelectElement>(name: Input, control: T, testid:
   *   string, label: string) => T}
   */
  const place = (name, control, testid, label) => {
    const describe = `problem-${name}`;
    Object.assign(control, { id: `field-${name}` });
    control.setAttribute("data-testid", testid);
    control.setAttribute("aria-label", label);
    control.setAttribute("aria-describedby", describe);
    control.addEventListener("input", () => {
      Object.assign(form, { [name]: checked(control) ?? control.value });
      touched.add(name);
      delete refused[name];
      follow(name);
      refresh();
    });
    inputs[name] = control;
    return control;
  };
  /**
   * @type {(name: Input, testid: string, label: string, options: [string, string][]) =>
   *   HTMLSelectElement}
   */
  const select = (name, testid, label, options) =>
    place(
      name,
      element(
        "select",
        {},
        options.map(([value, text]) =>
          element("option", { value, selected: value === form[name] }, text),
        ),
      ),
      testid,
      label,
    );
  /** @type {(name: Input, testid: string, label: string, width: number) => HTMLInputElement} */
  const field = (name, testid, label, width) =>
    place(
      name,
      element("input", {
        type: "text",
        inputmode: "numeric",
        autocomplete: "off",
        spellcheck: "false",
        value: String(form[name]),
        style: { "--characters": String(width) },
      }),
      testid,
      label,
    );

  /** @type {(...children: Child[]) => HTMLElement} */
  const part = (...children) => element("span", { class: "part" }, children);

  const kind = select(
    "kind",
    "job-kind",
    "What to compute",
    Object.entries(KINDS).map(([value, { label }]) => [value, label]),
  );
  const checkpoint = select(
    "checkpoint",
    "job-checkpoint",
    "Checkpoint",
    ready.map((own) => [own.id, nameOf(own, ready)]),
  );
  const data = select(
    "dataset",
    "job-dataset",
    "Data set",
    datasets.map((own) => [keyOf(own), dataName(own, datasets)]),
  );
  const split = select("split", "job-split", "Split", []);
  const images = select("images", "job-images", "Which images", [
    ["all", "all"],
    ["some", "a fixed subset of"],
  ]);
  const subset = part(" ", field("subsetCount", "job-subset", "Number of images", 6));
  const beta = part(" × ", field("betaCount", "job-count-beta", "Points along β", 5));
  const square = element("span", { class: "power" });
  const ownRange = part(
    " × [",
    field("betaMin", "job-min-beta", "Smallest β", 5),
    ", ",
    field("betaMax", "job-max-beta", "Largest β", 5),
    "]",
  );
  const [preposition, noun, around] = [element("span"), element("span"), element("span")];
  const end = element("span", {}, " to ", select("end", "job-end", "Checkpoint at the end", []));
  const three = element(
    "span",
    {},
    ", ",
    select("second", "job-second", "Second checkpoint", []),
    " and ",
    select("third", "job-third", "Third checkpoint", []),
  );
  const grid = element(
    "span",
    {},
    field("alphaCount", "job-count-alpha", "Points along α", 5),
    beta,
    " points on ",
    part(
      "[",
      field("alphaMin", "job-min", "Smallest α", 5),
      ", ",
      field("alphaMax", "job-max", "Largest α", 5),
      "]",
      square,
    ),
    ownRange,
  );
  const seed = part(", seed ", field("seed", "job-seed", "Seed of the directions", 6));
  const text = element(
    "p",
    { class: "sentence" },
    kind,
    preposition,
    checkpoint,
    end,
    three,
    " on ",
    images,
    subset,
    " ",
    split,
    noun,
    data,
    ", ",
    around,
    grid,
    seed,
    ".",
  );

  const epochs = element("fieldset", {
    class: "epochs",
    id: "field-epochs",
    tabindex: -1,
    "data-testid": "job-epochs",
    "aria-label": "Checkpoints of the trajectory",
    "aria-describedby": "problem-epochs",
  });
  inputs.epochs = epochs;

  /**
   * @type {(label: string, name: Input, testid: string, options: (string | [string, string])[])
   *   => HTMLElement}
   */
  const choice = (label, name, testid, options) =>
    element(
      "label",
      {},
      `${label} `,
      select(
        name,
        testid,
        label,
        options.map((option) => (Array.isArray(option) ? option : [option, option])),
      ),
    );
  const betaChoice = element(
    "label",
    { class: "check" },
    place(
      "ownBeta",
      element("input", { type: "checkbox" }),
      "job-own-beta",
      "Separate range for β",
    ),
    "separate range for β",
  );
  const repeatable = [
    choice("Directions", "directions", "job-directions", [
      "random",
      ["gradient", "along the gradient"],
      ["eigenvectors", "along the sharpest eigenvectors"],
    ]),
    element("label", {}, "Repeats ", field("repeats", "job-repeats", "Repeats", 3)),
  ];
  const drawn = [
    choice("Normalization", "normalization", "job-normalization", [
      "filter",
      "layer",
      "weight",
      "dfilter",
      "dlayer",
      "none",
    ]),
    choice("Orthogonality", "orthogonality", "job-orthogonality", [
      ["filter", "in every filter"],
      ["overall", "overall"],
      "none",
    ]),
    choice("Biases", "biases", "job-biases", [
      ["fixed", "fixed"],
      ["parameter", "perturbed as one parameter"],
      ["random", "perturbed at random"],
    ]),
  ];
  const subsetSeed = element(
    "label",
    {},
    "Seed of the subset ",
    field("subsetSeed", "job-subset-seed", "Seed of the subset", 6),
  );
  const how = element("p", { class: "soft" });
  const advanced = element(
    "details",
    { class: "advanced" },
    element("summary", {}, "More options"),
    element(
      "div",
      { class: "choices" },
      betaChoice,
      repeatable,
      drawn,
      choice("Loss", "loss", "job-loss", [
        ["cross_entropy", "cross-entropy"],
        ["mse", "mean squared error"],
      ]),
      choice("BatchNorm", "batchNorm", "job-batch-norm", [
        ["frozen", "frozen"],
        ["recalibrated", "recalibrated at every point"],
        ["batch", "statistics of each batch"],
      ]),
      choice("Also", "also", "job-also", ["none", ["other", "the other split"]]),
      choice("Precision", "precision", "job-precision", ["float32", "float64", "bfloat16"]),
      subsetSeed,
      element(
        "label",
        { class: "grow" },
        "Name ",
        place(
          "name",
          element("input", {
            type: "text",
            value: "",
            placeholder: "generated from network and data",
            autocomplete: "off",
            maxlength: 300,
          }),
          "job-name",
          "Name of the job",
        ),
      ),
      how,
    ),
  );
  const costLine = element("p", { class: "cost", "data-testid": "job-cost" });
  const centerLine = element(
    "p",
    { class: "soft", hidden: true },
    "The center (0, 0) is not a point of this grid; it is evaluated separately.",
  );
  const troubles = element("ul", { class: "troubles" });
  const notice = noticeLine();
  const start = element(
    "button",
    { type: "submit", class: "button primary large", "data-testid": "start-job" },
    "Start",
  );
  const [curl, python] = [codeBlock("request-curl"), codeBlock("request-python")];
  const language = segmented({
    name: "request",
    legend: "Language",
    value: "curl",
    options: [
      { value: "curl", label: "curl" },
      { value: "python", label: "Python" },
    ],
    onchange: (value) => [
      ([curl.node.hidden, python.node.hidden] = [value !== "curl", value !== "python"]),
    ],
  });
  python.node.hidden = true;
  const request = element(
    "section",
    { class: "card request" },
    element(
      "header",
      {},
      element("h2", { class: "small" }, "The same request as code"),
      language.node,
    ),
    curl.node,
    python.node,
  );

  const boxes = () => [...epochs.querySelectorAll("input")];
  const forgetRefused = () => {
    for (const own of /** @type {Input[]} */ (Object.keys(refused))) delete refused[own];
  };
  /** @type {(own: string, value: string) => void} */
  const setDefault = (own, value) => {
    if (touched.has(own)) return;
    Object.assign(form, { [own]: value });
    Object.assign(Object.entries(inputs).find(([name]) => name === own)?.[1] ?? {}, { value });
  };
  /** @type {(name: string) => string} */
  const labelOf = (name) =>
    Object.entries(inputs)
      .find(([own]) => own === name)?.[1]
      .getAttribute("aria-label") ?? name;
  const twins = () => {
    const center = ready.find(({ id }) => id === form.checkpoint);
    return center ? alike(center, ready) : [];
  };

  /**
   * Update what depends on an input: the checkpoints of the same architecture, the splits of the data set, the grid of
   * the kind.
   * @type {(name: Input) => void}
   */
  function follow(name) {
    // the errors were about the previous request
    if (["kind", "checkpoint", "dataset"].includes(name)) forgetRefused();
    if (name === "kind")
      for (const [own, value] of Object.entries(gridDefaults(form.kind))) setDefault(own, value);
    if (name === "checkpoint") {
      form.epochs = [];
      const others = twins().filter(({ id }) => id !== form.checkpoint);
      for (const [own, k] of FURTHER) {
        fillOptions(
          own,
          others.length
            ? others.map(({ id, name: file }) => [id, file])
            : [["", "no other checkpoint"]],
          others[k]?.id ?? "",
        );
      }
      setChildren(
        epochs,
        element("legend", {}, "The trajectory, in the order of training"),
        twins().map(({ id, name: file }) =>
          element(
            "label",
            {},
            element("input", {
              type: "checkbox",
              value: id,
              "data-testid": "job-epoch",
              onchange: chooseEpochs,
            }),
            file,
          ),
        ),
        twins().length > 4 &&
          element(
            "button",
            { type: "button", class: "quiet", "data-testid": "job-epochs-all", onclick: chooseAll },
            "Select all",
          ),
      );
    }
    if (name === "dataset" || name === "split") {
      const known = Object.keys(dataset()?.splits ?? { train: 0, test: 0 });
      if (name === "dataset")
        fillOptions(
          "split",
          known.map((own) => [own, own === "train" ? "training" : own]),
          known.includes(form.split) ? form.split : known[0],
        );
      const other = otherSplit(form.split);
      /** @type {[string, string][]} */
      const also = [["none", "none"]];
      if (known.includes(other)) also.push(["other", other === "train" ? "training" : "test"]);
      fillOptions("also", also, known.includes(other) ? form.also : "none");
    }
  }

  /** @type {(name: Input, options: [string, string][], value: string) => void} */
  function fillOptions(name, options, value) {
    Object.assign(form, { [name]: value });
    delete refused[name];
    const select = inputs[name];
    if (!select) return;
    setChildren(
      select,
      options.map(([own, words]) =>
        element("option", { value: own, selected: own === value }, words),
      ),
    );
  }

  function chooseEpochs() {
    form.epochs = boxes().flatMap(({ checked, value }) => (checked ? [value] : []));
    touched.add("epochs");
    delete refused.epochs;
    refresh();
  }

  function chooseAll() {
    for (const box of boxes()) box.checked = true;
    chooseEpochs();
  }

  /** @type {(all?: boolean) => boolean} */
  function refresh(all = false) {
    const asked = KINDS[form.kind];
    const path = form.kind === "trajectory";
    const square2 = asked.grid && asked.beta;
    beta.hidden = betaChoice.hidden = !square2;
    ownRange.hidden = !square2 || !form.ownBeta;
    setText(square, square2 && !form.ownBeta ? "²" : "");
    grid.hidden = !asked.grid;
    seed.hidden = !asked.drawn;
    end.hidden = form.kind !== "interpolation";
    three.hidden = form.kind !== "plane";
    epochs.hidden = !path;
    setText(preposition, prepositionOf(form));
    setText(noun, ` ${samples(dataset())} of `);
    setText(
      around,
      asked.grid
        ? ""
        : `25 × 25 points around ${path ? "the trajectory" : "the three checkpoints"}`,
    );
    for (const node of repeatable) node.hidden = !asked.repeatable;
    for (const node of drawn) node.hidden = !isDrawn(form);
    setText(how, directionsWords(form));
    subset.hidden = subsetSeed.hidden = form.images === "all";
    setText(images.options[0], allImages(dataset(), form.split));
    /** @type {Record<string, string>} */
    const found = { ...problems(form, dataset(), ready), ...refused };
    for (const [name, control] of Object.entries(inputs))
      control.setAttribute(
        "aria-invalid",
        String(Boolean(found[name]) && (all || touched.has(name))),
      );
    setChildren(
      troubles,
      Object.entries(found)
        .filter(([name]) => all || touched.has(name) || name in refused)
        .map(([name, words]) =>
          element(
            "li",
            { id: `problem-${name}`, "data-testid": "job-problem", "data-field": name },
            element(
              "a",
              {
                href: `#field-${name}`,
                onclick: (event) => [event.preventDefault(), reveal(name)],
              },
              labelOf(name),
            ),
            `: ${words}`,
          ),
        ),
    );
    const sound = Object.keys(found).length === 0;
    const spec = jobSpec(form);
    setText(
      costLine,
      sound
        ? costWords(
            spec,
            dataset(),
            jobs,
            ready.find(({ id }) => id === form.checkpoint)?.architecture.label,
          )
        : "",
    );
    centerLine.hidden = !sound || centerOnGrid(spec);
    curl.show(sound ? asCurl(spec, location.origin) : "");
    python.show(sound ? asPython(spec, location.origin) : "");
    return sound;
  }

  /** @type {(event: Event) => Promise<void>} */
  async function submit(event) {
    event.preventDefault();
    notice.say(null);
    if (!refresh(true))
      return reveal(Object.keys({ ...problems(form, dataset(), ready), ...refused })[0]);
    start.disabled = true;
    try {
      const { id } = await post("/api/v1/jobs", jobSpec(form));
      location.hash = `#/jobs/${id}`;
    } catch (error) {
      const name = error instanceof ApiError ? inputOf(error.field) : undefined;
      if (name) refused[name] = messageOf(error);
      else notice.say(messageOf(error));
      refresh(true);
      reveal(name);
    } finally {
      start.disabled = false;
    }
  }

  /** @type {(name: string | undefined) => void} */
  function reveal(name) {
    const control = Object.entries(inputs).find(([own]) => own === name)?.[1];
    if (!control) return;
    if (advanced.contains(control)) advanced.open = true;
    control.focus();
  }

  follow("checkpoint");
  follow("dataset");
  refresh();
  const own = element(
    "form",
    { class: "card", novalidate: true, onsubmit: submit },
    text,
    epochs,
    element("div", { role: "alert" }, troubles),
    advanced,
    notice.node,
    element("div", { class: "start" }, start, element("div", {}, costLine, centerLine)),
  );
  return element("div", { class: "new-job-columns" }, own, request);
}

/** @type {(form: Form) => string} */
function prepositionOf({ kind, epochs }) {
  if (kind === "interpolation") return " from ";
  if (kind === "plane") return " through ";
  if (kind !== "trajectory") return " of ";
  return ` through ${epochs.length || "the"} checkpoints selected below, of the same network as `;
}

/** @type {(control: HTMLInputElement | HTMLSelectElement) => boolean | undefined} */
const checked = (control) =>
  control instanceof HTMLInputElement && control.type === "checkbox" ? control.checked : undefined;

/** @type {(testid: string) => { node: HTMLElement; show(text: string): void }} */
function codeBlock(testid) {
  const code = element("code", { "data-testid": testid });
  const button = element("button", { type: "button", class: "quiet copy" }, "Copy");
  button.addEventListener("click", async () => {
    const copied = await copy(code.textContent).then(
      () => true,
      () => false,
    );
    setText(button, copied ? "Copied" : "Select and copy manually");
    setTimeout(() => setText(button, "Copy"), 2000);
  });
  return {
    node: element("div", { class: "code" }, element("pre", { tabindex: 0 }, code), button),
    show(text) {
      setText(code, text || "The request appears here once the form is complete.");
      button.hidden = !text;
    },
  };
}
