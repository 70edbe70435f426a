/** Inputs of the form of a new job: each is bound to its entry of the form and named by the catalogue. */

import { element, setChildren } from "../element.js";
import { t } from "../text.js";

/** @import { Form, Input } from "../types.d.ts" */

/**
 * @typedef {HTMLInputElement | HTMLSelectElement} Control
 * @typedef {ReturnType<typeof formFields>} Fields
 * @typedef {[value: string, text: string][]} Options
 */

/**
 * Makes inputs that write what is entered into `form` and then call `onInput` with their name. `inputs` holds all of
 * them, by name.
 * @param {Form} form
 * @param {(name: Input) => void} onInput
 */
export function formFields(form, onInput) {
  /** @type {Map<Input, HTMLElement>} */
  const inputs = new Map();

  /** @type {<Made extends Control>(name: Input, control: Made, testid: string) => Made} */
  function place(name, control, testid) {
    control.id = `field-${name}`;
    control.dataset.testid = testid;
    control.setAttribute("aria-label", t(`input.${name}`));
    control.setAttribute("aria-describedby", `problem-${name}`);
    control.addEventListener("input", () => {
      Object.assign(form, { [name]: valueOf(control) });
      onInput(name);
    });
    inputs.set(name, control);
    return control;
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
   * Other options for a select, and its new value.
   * @type {(name: Input, options: Options, value: string) => void}
   */
  function setOptions(name, options, value) {
    Object.assign(form, { [name]: value });
    const control = inputs.get(name);
    if (control instanceof HTMLSelectElement) fill(control, options, value);
  }

  /** @type {(name: Input, value: string) => void} */
  function setValue(name, value) {
    Object.assign(form, { [name]: value });
    Object.assign(inputs.get(name) ?? {}, { value });
  }

  return { inputs, select, field, checkbox, setOptions, setValue };
}

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
