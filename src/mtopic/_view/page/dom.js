/* Elements of the page. Text goes in as text, so that a name is never markup. */

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function button(text, title, onclick, properties = {}) {
  return element("button", { type: "button", textContent: text, title, onclick, ...properties });
}

function choice(label, options, value, onchange) {
  const made = element("select", { ariaLabel: label, onchange: () => onchange(made.value) });
  for (const [group, entries] of options) {
    const parent = group ? element("optgroup", { label: group }) : made;
    for (const [key, text] of entries) parent.append(element("option", { value: key, textContent: text }));
    if (group) made.append(parent);
  }
  made.value = value;
  return element("label", {}, element("span", { textContent: label }), made);
}

function slider(label, min, max, step, value, oninput) {
  const made = element("input", { ariaLabel: label, type: "range", min, max, step, value, oninput: () => oninput(Number(made.value)) });
  return element("label", {}, element("span", { textContent: label }), made);
}

function table(heads, rows) {
  const head = element("tr", {}, ...heads.map((text) => element("th", { scope: "col", textContent: text })));
  const cells = (row) =>
    row.map((cell) => (cell instanceof Node ? element("td", {}, cell) : element("td", { textContent: cell })));
  const lines = rows.map((row) => element("tr", {}, ...cells(row)));
  return element(
    "div",
    { className: "wide", tabIndex: 0, role: "region", ariaLabel: heads.filter(Boolean).join(", ") },
    element("table", {}, element("thead", {}, head), element("tbody", {}, ...lines)),
  );
}

function bar(share, colour) {
  const inner = element("i");
  inner.style.width = `${share > 0 ? Math.min(100, 100 * share) : 0}%`;
  if (colour) inner.style.background = colour;
  return element("span", { className: "bar" }, inner);
}

/* Builds a part of the page anew; what had the focus, or what is in its place, has it again. */
function keepingFocus(part, build) {
  const fields = () => [...part.querySelectorAll("select, input, button")];
  const at = fields().indexOf(document.activeElement);
  build();
  fields()[at]?.focus({ preventScroll: true });
}

function heading(text) {
  return element("h2", { textContent: text });
}

function note(text) {
  return element("p", { className: "note", textContent: text });
}
