/**
 * Inputs of the form of a new job: each is bound to its entry of the form and named by the
 * catalogue.
 */

import { element, setChildren } from "../element.js";
import { named } from "../text.js";

/** @import { Child, Form, Input } from "../types.d.ts" */

/**
 * @typedef {HTMLInputElement | HTMLSelectElement} Control
 * @typedef {ReturnType<typeof formFields>} Fields
 * @typedef {[value: string, text: string][]} Options
 */

/**
 * Makes inputs that write what is entered into `form` and then call `onInput` with their name.
 * `inputs` holds all of them, by name.
 * @param {Form} form
 * @param {(name: Input) => void} onInput
 */
export function formFields(form, onInput) {
  /** @type {Map<Input, HTMLElement>} */
  const inputs = new Map();

  /** @type {<Made extends Control>(name: Input, control: Made, testid: string) => Made} */
  function place(name, control, testid) {
    mark(name, control, testid);
    control.addEventListener("input", () => {
      form[name] = valueOf(control);
      onInput(name);
    });
    return control;
  }

  /** @type {(name: Input, node: HTMLElement, testid: string) => void} */
  function mark(name, node, testid) {
    node.id = `field-${name}`;
    node.dataset.testid = testid;
    node.setAttribute("aria-label", labelOf(name));
    node.setAttribute("aria-describedby", `about-${name} problem-${name}`);
    inputs.set(name, node);
  }

  /** @type {(name: Input, testid: string, options: Options) => HTMLSelectElement} */
  const select = (name, testid, options) => {
    const control = place(name, element("select"), testid);
    fill(control, options, String(form[name]));
    return control;
  };

  /**
   * A number or a name, `width` characters wide.
   * @type {(name: Input, testid: string, width: number, more?: object) => HTMLInputElement}
   */
  const field = (name, testid, width, more = { inputmode: "numeric" }) =>
    place(
      name,
      element("input", {
        type: "text",
        autocomplete: "off",
        spellcheck: "false",
        value: String(form[name]),
        style: { "--characters": String(width) },
        ...more,
      }),
      testid,
    );

  /** @type {(name: Input, testid: string) => HTMLInputElement} */
  const checkbox = (name, testid) => place(name, element("input", { type: "checkbox" }), testid);

  /**
   * Boxes of which any number can be checked; the value is a list in their order.
   * @type {(name: Input, testid: string, options: Options) => HTMLFieldSetElement}
   */
  function checkboxes(name, testid, options) {
    const node = element("fieldset", { class: "boxes", tabindex: -1 });
    mark(name, node, testid);
    setBoxes(name, options);
    return node;
  }

  /**
   * Other boxes, none of them checked, and what follows them.
   * @type {(name: Input, options: Options, after?: Child) => void}
   */
  function setBoxes(name, options, after) {
    const node = inputs.get(name);
    form[name] = [];
    if (!node) return;
    const change = () => {
      form[name] = boxesIn(node).flatMap(({ checked, value }) => (checked ? [value] : []));
      onInput(name);
    };
    const boxes = options.map(([value, text]) =>
      element(
        "label",
        {},
        element("input", { type: "checkbox", value, "data-testid": `${node.dataset.testid}-box` }),
        text,
      ),
    );
    node.onchange = change;
    setChildren(node, boxes, after);
  }

  /** @type {(name: Input) => void} */
  function checkAll(name) {
    const node = inputs.get(name);
    if (!node) return;
    for (const box of boxesIn(node)) box.checked = true;
    node.dispatchEvent(new Event("change"));
  }

  /**
   * Other options for a select, and its new value.
   * @type {(name: Input, options: Options, value: string) => void}
   */
  function setOptions(name, options, value) {
    form[name] = value;
    const control = inputs.get(name);
    if (control instanceof HTMLSelectElement) fill(control, options, value);
  }

  /** @type {(name: Input, value: string | string[]) => void} */
  function setValue(name, value) {
    form[name] = value;
    const control = inputs.get(name);
    if (Array.isArray(value))
      for (const box of control ? boxesIn(control) : []) box.checked = value.includes(box.value);
    else Object.assign(control ?? {}, { value });
  }

  return { inputs, select, field, checkbox, checkboxes, checkAll, setBoxes, setOptions, setValue };
}

/** @type {(node: HTMLElement) => HTMLInputElement[]} */
const boxesIn = (node) => [...node.querySelectorAll("input")];

/**
 * What an input is called: an option, a checkpoint or a part of one of them.
 * @type {(name: Input) => string}
 */
export const labelOf = (name) =>
  named(`option.${name}`) || named(`role.${name}`) || named(`input.${name}`, name);

/** @type {(control: Control) => string | boolean} */
const valueOf = (control) =>
  control instanceof HTMLInputElement && control.type === "checkbox"
    ? control.checked
    : control.value;

/** @type {(control: HTMLSelectElement, options: Options, value: string) => void} */
const fill = (control, options, value) =>
  setChildren(
    control,
    options.map(([own, text]) => element("option", { value: own, selected: own === value }, text)),
  );
