/**
 * The only way to create DOM nodes in this page. Text is always text: innerHTML is not used
 * anywhere.
 */

/** @import { Child, Properties, Row } from "./types.d.ts" */

const PROPERTIES = new Set([
  "value",
  "checked",
  "selected",
  "disabled",
  "hidden",
  "readOnly",
  "multiple",
]);

/**
 * element("a", { href: "#/", class: "quiet", onclick: f }, "Gallery", icon): a node with
 * attributes, listeners, children. Children are nodes, strings, numbers, or arrays of them; null
 * and false are skipped.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Properties} [properties]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function element(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/**
 * The same for SVG.
 * @template {keyof SVGElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Properties} [properties]
 * @param {...Child} children
 * @returns {SVGElementTagNameMap[Tag]}
 */
export function svg(tag, properties = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), properties, children);
}

/**
 * Replace the text of a node only where it differs (screen readers repeat what is replaced).
 * @type {(node: Element, text: string) => void}
 */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Replace all children of a node.
 * @type {(node: Element, ...children: Child[]) => void}
 */
export function setChildren(node, ...children) {
  node.replaceChildren(...children.flatMap(nodesOf));
}

/**
 * Keep the children of `parent` in step with `items`: a node is created once for each key and then
 * only updated, so that focus, selection and plots survive. `create(item)` returns { node,
 * update(item), stop?() }.
 * @template Item
 * @param {Element} parent
 * @param {(item: Item) => string} keyOf
 * @param {(item: Item) => Row<Item>} create
 * @returns {(items: Item[]) => void}
 */
export function keyedList(parent, keyOf, create) {
  /** @type {Map<string, Row<Item>>} */
  let rows = new Map();
  return (items) => {
    /** @type {Map<string, Row<Item>>} */
    const next = new Map();
    for (const item of items) {
      const key = keyOf(item);
      const row = rows.get(key) ?? create(item);
      row.update(item);
      next.set(key, row);
    }
    for (const [key, row] of rows) {
      if (next.has(key)) continue;
      row.stop?.();
      row.node.remove();
    }
    [...next.values()].forEach(
      ({ node }, k) =>
        parent.children[k] !== node && parent.insertBefore(node, parent.children[k] ?? null),
    );
    rows = next;
  };
}

/** @type {(child: Child) => (Node | string)[]} */
function nodesOf(child) {
  if (Array.isArray(child)) return child.flatMap(nodesOf);
  if (child === 0) return ["0"];
  if (!child) return [];
  return [typeof child === "number" ? String(child) : child];
}

/**
 * @template {HTMLElement | SVGElement} Made
 * @param {Made} node
 * @param {Properties} properties
 * @param {Child[]} children
 * @returns {Made}
 */
function fill(node, properties, children) {
  setChildren(node, ...children);
  const { style = {}, ...others } = properties;
  for (const [name, value] of Object.entries(style)) node.style.setProperty(name, value);
  for (const [name, value] of Object.entries(others)) {
    if (typeof value === "function")
      node.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    else if (PROPERTIES.has(name)) Object.assign(node, { [name]: value });
    else if (value !== null && value !== undefined && value !== false)
      node.setAttribute(name, value === true ? "" : String(value));
  }
  return node;
}
