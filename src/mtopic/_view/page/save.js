/* What is shown, as a file. */

function save(name, content, type) {
  const link = element("a", { download: name, href: URL.createObjectURL(new Blob([content].flat(), { type })) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/* One text for each row, as a million of them are too long for one. */
function csv(rows) {
  const cell = (value) => {
    const text = String(value ?? "");
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return rows.map((row) => row.map(cell).join(",") + "\n");
}

/* Observations with their places and the values of the variables. */
function valuesAsCsv(app, variables) {
  const place = app.panels[0].section.place;
  const shownSections = place.sections.filter((section) => app.panels.some((panel) => panel.section === section));
  const rows = [["name", "section", "x", "y", ...variables.map(({ title }) => title)]];
  for (const section of shownSections) {
    for (let k = 0; k < section.rows.length; k++) {
      const i = section.rows[k];
      const values = variables.map((one) => {
        const value = one.at(i);
        return typeof value === "number" ? (Number.isNaN(value) ? "" : Number(value.toPrecision(6))) : value;
      });
      rows.push([app.names[i], section.name, ...place.coordinates(section.x[k], section.y[k]), ...values]);
    }
  }
  return rows;
}

const MARGIN = 24;
const ROW = 20;

/* Where each panel is on a common page, in CSS pixels, and the legend below. */
function layout(app) {
  const { panels } = app;
  const boxes = panels.map(({ box }) => box.getBoundingClientRect());
  const left = Math.min(...boxes.map((box) => box.left));
  const top = Math.min(...boxes.map((box) => box.top));
  const placed = panels.map((panel, p) => ({ panel, x: boxes[p].left - left, y: boxes[p].top - top }));
  const width = Math.max(...boxes.map((box) => box.right)) - left;
  const below = Math.max(...boxes.map((box) => box.bottom)) - top + ROW;
  const legend = legendOf(app, width);
  const last = Math.max(0, ...legend.map(({ y }) => y));
  return { placed, width, height: below + last + ROW, legend: legend.map((one) => ({ ...one, y: one.y + below })) };
}

/* Colours and words of the legend, from row to row: a colour is a square, or a part of a scale. */
function legendOf(app, width) {
  const [variable] = app.shownVariables();
  if (variable.kind === "number") {
    const [low, high] = app.shownVariables().length > 1 && app.state.scale === "own" ? ["0", "highest of each topic"] : app.limits(variable).map(shown);
    const steps = app.map().filter((_, i) => i % 4 === 0);
    const begin = 12 + 8 * low.length;
    const scale = steps.map((colour, i) => ({ colour, x: begin + 3 * i, y: 0, width: 3 }));
    return [{ text: low, x: 4, y: 0 }, ...scale, { text: high, x: begin + 3 * steps.length + 8, y: 0 }];
  }
  const colours = app.colours(variable);
  let [x, y] = [4, 0];
  return variable.labels.flatMap((text, code) => {
    const size = 30 + 8 * text.length;
    if (x > 4 && x + size > width) [x, y] = [4, y + ROW];
    const entry = [{ colour: colours[code], x, y, width: 12 }, { text, x: x + 17, y }];
    x += size;
    return entry;
  });
}

async function png(app) {
  const { placed, width, height, legend } = layout(app);
  const ratio = 2;
  const canvas = element("canvas", { width: width * ratio, height: height * ratio });
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  context.fillStyle = getComputedStyle(document.body).backgroundColor;
  context.fillRect(0, 0, width, height);
  context.font = "13px system-ui, sans-serif";
  for (const { panel, x, y } of placed) {
    context.fillStyle = ink();
    context.fillText(panel.title, x + 4, y + MARGIN - 8);
    context.drawImage(panel.canvas, x, y + MARGIN, panel.canvas.clientWidth, panel.canvas.clientHeight);
  }
  for (const { text, colour, x, y, width: wide } of legend) {
    context.fillStyle = colour ?? ink();
    if (colour) context.fillRect(x, y, wide, 12);
    else context.fillText(text, x, y + 11);
  }
  return new Promise((done, failed) =>
    canvas.toBlob((blob) => (blob ? done(blob) : failed(new Error("the picture is too large for this browser"))), "image/png"),
  );
}

/* Few points are circles; many are a picture of the panel. */
function svg(app) {
  const { placed, width, height, legend } = layout(app);
  const parts = placed.map(({ panel, x, y }) => {
    const [w, h] = [panel.canvas.clientWidth, panel.canvas.clientHeight];
    const few = panel.section.rows.length <= SMOOTH_UP_TO;
    const whole = () => `<image width="${w}" height="${h}" href="${panel.canvas.toDataURL("image/png")}"/>`;
    const drawn = few ? tissueOf(panel) + circles(panel) + barOf(panel) : whole();
    return `<g transform="translate(${x} ${y + MARGIN})">${words(panel.title, 4, -8)}<svg width="${w}" height="${h}">${drawn}</svg></g>`;
  });
  const below = legend.map(({ text, colour, x, y, width: wide }) =>
    colour ? `<rect x="${x}" y="${y}" width="${wide}" height="12" fill="${colour}"/>` : words(text, x, y + 11),
  );
  const size = `width="${width}" height="${height}"`;
  const back = getComputedStyle(document.body).backgroundColor;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size}><rect ${size} fill="${back}"/>${parts.join("")}${below.join("")}</svg>`;
}

function words(text, x, y) {
  return `<text x="${x}" y="${y}" font-family="sans-serif" font-size="13" fill="${ink()}">${escaped(text)}</text>`;
}

function tissueOf({ section: { image }, projection, ratio, app }) {
  if (!image?.loaded || !app.state.opacity) return "";
  const [left, top] = projection.pixel(image.left, image.top).map((at) => at / ratio);
  const [right, bottom] = projection.pixel(image.right, image.bottom).map((at) => at / ratio);
  const size = `x="${left}" y="${top}" width="${right - left}" height="${bottom - top}"`;
  return `<image ${size} preserveAspectRatio="none" opacity="${app.state.opacity}" href="${image.data}"/>`;
}

function barOf({ section: { place }, projection, ratio, width, height }) {
  if (place.embedding) return "";
  const { pixels, text } = scaleBar(place, projection.scale, width);
  const y = height / ratio - 12;
  return `<rect x="10" y="${y}" width="${pixels / ratio}" height="2" fill="${ink()}"/>${words(text, 10, y - 5)}`;
}

function circles(panel) {
  const { section, variable, projection, radius, ratio } = panel;
  const table = panel.app.table(variable);
  const level = (i) => (variable.values[i] === variable.missing ? 1 : variable.values[i] + 2);
  const order = Array.from(section.rows, (i, k) => [level(i), k]);
  if (variable.kind === "number") order.sort((a, b) => a[0] - b[0]);
  return order
    .map(([q, k]) => {
      const [x, y] = projection.pixel(section.x[k], section.y[k]).map((at) => (at / ratio).toFixed(2));
      const pale = panel.app.selection.faded?.(section.rows[k]) ? ' opacity="0.22"' : "";
      const bytes = [0, 8, 16].map((shift) => ((table[q] >> shift) & 255).toString(16).padStart(2, "0"));
      return `<circle cx="${x}" cy="${y}" r="${(radius / ratio).toFixed(2)}" fill="#${bytes.join("")}"${pale}/>`;
    })
    .join("");
}

function escaped(text) {
  return text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}
