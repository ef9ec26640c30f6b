// Makes elements, and changes what is shown into what should be shown without losing focus, selection or scroll.

const SVG = "http://www.w3.org/2000/svg";

export function h(tag, props, ...children) {
  return built(document.createElement(tag), props, children);
}

export function s(tag, props, ...children) {
  return built(document.createElementNS(SVG, tag), props, children);
}

// Elements with the same data-key stay the same element wherever they move; those with data-island keep their children.
export function patch(parent, ...nodes) {
  const wanted = flat(nodes);
  const keyed = new Map();
  for (const child of parent.children) if (child.dataset.key !== undefined) keyed.set(child.dataset.key, child);
  let at = parent.firstChild;
  for (const node of wanted) {
    const old = keyOf(node) === undefined ? at : keyed.get(keyOf(node));
    if (old && isSame(old, node)) {
      if (old === at) at = at.nextSibling;
      else parent.insertBefore(old, at);
      sync(old, node);
    } else if (at && keyOf(at) === undefined && keyOf(node) === undefined) {
      const next = at.nextSibling;
      at.replaceWith(node);
      at = next;
    } else {
      parent.insertBefore(node, at);
    }
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

function built(node, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "style") for (const [property, text] of Object.entries(value)) node.style.setProperty(property, text);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...flat(children));
  return node;
}

function flat(children) {
  return children
    .flat(Infinity)
    .filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (child instanceof Node ? child : document.createTextNode(child)));
}

function keyOf(node) {
  return node.dataset?.key;
}

function isSame(old, node) {
  return old.nodeType === node.nodeType && old.nodeName === node.nodeName && keyOf(old) === keyOf(node);
}

function sync(old, node) {
  if (node.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== node.data) old.data = node.data;
    return;
  }
  syncAttributes(old, node);
  if (!node.hasAttribute("data-island")) patch(old, ...node.childNodes);
  if (/^(INPUT|SELECT|TEXTAREA)$/.test(old.nodeName) && old !== document.activeElement) {
    if (old.value !== node.value) old.value = node.value;
    if (old.checked !== node.checked) old.checked = node.checked;
  }
}

function syncAttributes(old, node) {
  const isOpenable = old.nodeName === "DETAILS" || old.nodeName === "DIALOG"; // whoever opened it closes it
  for (const { name, value } of [...node.attributes]) {
    if (name !== "style" && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) {
    if (node.hasAttribute(name) || name === "style" || (isOpenable && name === "open")) continue;
    old.removeAttribute(name);
  }
  if (old.style.cssText !== node.style.cssText) old.style.cssText = node.style.cssText;
}
