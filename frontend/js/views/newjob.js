/** A new job: a sentence to complete. */

import { copy } from "../drawing.js";
import { element, setChildren, setText } from "../element.js";
import { duration } from "../format.js";
import { get, post, unlessAborted } from "../network.js";
import { DEFAULTS, PLACES, allImages, asCurl, asPython, centerOnGrid, cost, estimate, jobSpec, problems } from "../request.js";
import { emptyState, noticeLine, segmented } from "./parts.js";

export function newJob({ route, signal }) {
  const node = element("div", { class: "view new-job" }, element("header", { class: "view-head" }, element("h1", {}, "New job")), element("p", { class: "empty" }, "Loading…"));
  load(node, route, signal).catch(unlessAborted);
  return { title: "New job", node };
}

async function load(node, route, signal) {
  const [checkpoints, datasets, jobs] = await Promise.all([get("/api/checkpoints?limit=200", signal), get("/api/datasets", signal), get("/api/jobs?state=done&limit=50", signal)]);
  const ready = checkpoints.items.filter(({ architecture }) => architecture);
  const asked = route.query.checkpoint;
  if (asked && !ready.some(({ id }) => id === asked)) await get(`/api/checkpoints/${asked}`, signal).then((one) => one.architecture && ready.push(one), () => {});
  const empty = emptyState("No checkpoint to begin with", "A job needs a network: drop a checkpoint anywhere on this page.", element("a", { class: "button primary", href: "#/library" }, "Add a checkpoint"));
  setChildren(node, node.firstChild, ready.length ? sentence({ ready, datasets: datasets.items, jobs: jobs.items, asked }) : empty);
}

function sentence({ ready, datasets, jobs, asked }) {
  const form = { ...DEFAULTS, checkpoint: ready.find(({ id }) => id === asked)?.id ?? ready[0].id, dataset: datasets[0]?.name ?? DEFAULTS.dataset };
  const inputs = {};
  const says = {};
  const touched = new Set();
  const refused = {}; // what the service said, until that place is changed
  const dataset = () => datasets.find(({ name }) => name === form.dataset) ?? null;

  const place = (name, control, testid, label) => {
    const describe = `problem-${name}`;
    Object.assign(control, { id: `field-${name}` });
    control.setAttribute("data-testid", testid);
    control.setAttribute("aria-label", label);
    control.setAttribute("aria-describedby", describe);
    control.addEventListener("input", () => {
      form[name] = control.type === "checkbox" ? control.checked : control.value;
      touched.add(name);
      delete refused[name];
      refresh();
    });
    inputs[name] = control;
    return control;
  };
  const select = (name, testid, label, options) => place(name, element("select", {}, options.map(([value, text]) => element("option", { value, selected: value === form[name] }, text))), testid, label);
  const field = (name, testid, label, width) => place(name, element("input", { type: "text", inputmode: "numeric", autocomplete: "off", spellcheck: "false", value: form[name], style: { "--characters": String(width) } }), testid, label);

  const kind = select("kind", "job-kind", "What to compute", [["surface", "Surface"], ["slice", "Slice"]]);
  const checkpoint = select("checkpoint", "job-checkpoint", "Checkpoint", ready.map((own) => [own.id, nameOf(own, ready)]));
  const data = select("dataset", "job-dataset", "Data set", datasets.map(({ name }) => [name, name]));
  const split = select("split", "job-split", "Part of the data", [["train", "training"], ["test", "test"]]);
  const images = select("images", "job-images", "How many images", [["all", "all"], ["some", "a fixed subset of"]]);
  const subset = element("span", { class: "part" }, " ", field("subsetCount", "job-subset", "Number of images", 6));
  const beta = element("span", { class: "part" }, " × ", field("betaCount", "job-count-beta", "Points along β", 5));
  const square = element("span", { class: "power" });
  const ownRange = element("span", { class: "part" }, " × [", field("betaMin", "job-min-beta", "Smallest β", 5), ", ", field("betaMax", "job-max-beta", "Largest β", 5), "]");
  const text = element("p", { class: "sentence" }, kind, " of ", checkpoint, " on ", images, subset, " ", split, " images of ", data, ", ", field("alphaCount", "job-count-alpha", "Points along α", 5), beta, " points on [", field("alphaMin", "job-min", "Smallest α", 5), ", ", field("alphaMax", "job-max", "Largest α", 5), "]", square, ownRange, ", seed ", field("seed", "job-seed", "Seed of the directions", 6), ".");

  const betaChoice = element("label", { class: "check" }, place("ownBeta", element("input", { type: "checkbox" }), "job-own-beta", "A range of its own for β"), "β has a range of its own");
  const advanced = element("details", { class: "advanced" }, element("summary", {}, "More choices"), element("div", { class: "choices" },
    betaChoice,
    element("label", {}, "Precision ", select("precision", "job-precision", "Precision", [["float32", "float32"], ["float64", "float64"]])),
    element("label", {}, "Seed of the subset ", field("subsetSeed", "job-subset-seed", "Seed of the subset", 6)),
    element("label", { class: "grow" }, "Name ", place("name", element("input", { type: "text", value: "", placeholder: "made from the network and the data", autocomplete: "off", maxlength: 300 }), "job-name", "Name of the job")),
    element("p", { class: "soft" }, "Directions are random, filter-normalised and orthogonal in every filter. BatchNorm statistics stay frozen; the model is not changed.")));
  const costLine = element("p", { class: "cost", "data-testid": "job-cost" });
  const centerLine = element("p", { class: "soft", hidden: true }, "The center (0, 0) is not a point of this grid: it is evaluated besides, and the result says so.");
  const troubles = element("ul", { class: "troubles", role: "alert" });
  const notice = noticeLine();
  const start = element("button", { type: "submit", class: "button primary large", "data-testid": "start-job" }, "Start");
  const [curl, python] = [codeBlock("request-curl"), codeBlock("request-python")];
  const language = segmented({ name: "request", legend: "Language", value: "curl", options: [{ value: "curl", label: "curl" }, { value: "python", label: "Python" }], onchange: (value) => [[curl.node.hidden, python.node.hidden] = [value !== "curl", value !== "python"]] });
  python.node.hidden = true;
  const request = element("section", { class: "card request" }, element("header", {}, element("h3", {}, "The same request"), language.node), curl.node, python.node);

  function refresh(all = false) {
    const surface = form.kind === "surface";
    beta.hidden = betaChoice.hidden = !surface;
    ownRange.hidden = !surface || !form.ownBeta;
    setText(square, surface && !form.ownBeta ? "²" : "");
    subset.hidden = inputs.subsetSeed.parentElement.hidden = form.images === "all";
    setText(images.options[0], allImages(dataset(), form.split));
    const found = { ...problems(form, dataset()), ...refused };
    for (const [name, control] of Object.entries(inputs)) control.setAttribute("aria-invalid", String(Boolean(found[name]) && (all || touched.has(name))));
    setChildren(troubles, Object.entries(found).filter(([name]) => all || touched.has(name) || refused[name]).map(([name, words]) => element("li", { id: `problem-${name}`, "data-testid": "job-problem", "data-field": name }, element("a", { href: `#field-${name}`, onclick: (event) => [event.preventDefault(), inputs[name]?.focus()] }, inputs[name]?.getAttribute("aria-label") ?? name), `: ${words}`)));
    const sound = Object.keys(found).length === 0;
    const spec = jobSpec(form);
    setText(costLine, sound ? costWords(spec, dataset(), jobs) : "");
    centerLine.hidden = !sound || centerOnGrid(spec);
    curl.show(sound ? asCurl(spec, location.origin) : "");
    python.show(sound ? asPython(spec, location.origin) : "");
    return sound;
  }

  async function submit(event) {
    event.preventDefault();
    notice.say(null);
    if (!refresh(true)) return inputs[Object.keys(problems(form, dataset()))[0]]?.focus();
    start.disabled = true;
    try {
      const { id } = await post("/api/jobs", jobSpec(form));
      location.hash = `#/jobs/${id}`;
    } catch (error) {
      const name = PLACES[error.field];
      if (name) refused[name] = error.message;
      else notice.say(error.message);
      refresh(true);
      if (name && advanced.contains(inputs[name])) advanced.open = true;
      inputs[name]?.focus();
    } finally {
      start.disabled = false;
    }
  }

  refresh();
  const own = element("form", { class: "card", novalidate: true, onsubmit: submit }, text, troubles, advanced, notice.node, element("div", { class: "start" }, start, element("div", {}, costLine, centerLine)));
  return element("div", { class: "new-job-columns" }, own, request);
}

/** What distinguishes a checkpoint in the list: its network, and its file where the network alone does not. */
function nameOf(own, all) {
  const twins = all.filter(({ architecture }) => architecture.label === own.architecture.label);
  return twins.length > 1 ? `${own.architecture.label} (${own.name})` : own.architecture.label;
}

function costWords(spec, dataset, jobs) {
  const seconds = estimate(spec, jobs, dataset);
  return `${cost(spec, dataset)}${seconds ? `; about ${duration(seconds)}, going by an earlier job on this checkpoint` : ""}.`;
}

function codeBlock(testid) {
  const code = element("code", { "data-testid": testid });
  const button = element("button", { type: "button", class: "quiet copy" }, "Copy");
  button.addEventListener("click", async () => {
    const copied = await copy(code.textContent).then(() => true, () => false);
    setText(button, copied ? "Copied" : "Select and copy it by hand");
    setTimeout(() => setText(button, "Copy"), 2000);
  });
  return { node: element("div", { class: "code" }, element("pre", { tabindex: 0 }, code), button), show(text) {
      setText(code, text || "Once the sentence is complete, the request stands here.");
      button.hidden = !text;
    } };
}

