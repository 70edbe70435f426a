/** The only way to create DOM nodes in this page. Text is always text: innerHTML is not used anywhere. */

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
 * element("a", { href: "#/", class: "quiet", onclick: f }, "Gallery", icon): a node with attributes, listeners, children.
 * Children are nodes, strings, numbers, or arrays of them; null and false are skipped.
 */
export function element(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** The same for SVG. */
export function svg(tag, properties = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), properties, children);
}

/** Replace the text of a node only where it differs (screen readers repeat what is replaced). */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Replace all children of a node. */
export function setChildren(node, ...children) {
  node.replaceChildren(...children.flat(Infinity).filter((child) => child || child === 0));
}

/**
 * Keep the children of `parent` in step with `items`: a node is created once for each key and then only updated, so
 * that focus, selection and plots survive. `create(item)` returns { node, update(item), stop?() }.
 */
export function keyedList(parent, keyOf, create) {
  let rows = new Map();
  return (items) => {
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

function fill(node, properties, children) {
  setChildren(node, ...children);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style")
      for (const [key, own] of Object.entries(value)) node.style.setProperty(key, own);
    else if (PROPERTIES.has(name)) node[name] = value;
    else if (value !== null && value !== undefined && value !== false)
      node.setAttribute(name, value === true ? "" : value);
  }
  return node;
}
