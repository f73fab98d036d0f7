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

/* Where each panel is on a common page, in CSS pixels. */
function layout(panels) {
  const boxes = panels.map(({ box }) => box.getBoundingClientRect());
  const left = Math.min(...boxes.map((box) => box.left));
  const top = Math.min(...boxes.map((box) => box.top));
  const placed = panels.map((panel, p) => ({ panel, x: boxes[p].left - left, y: boxes[p].top - top }));
  const width = Math.max(...boxes.map((box) => box.right)) - left;
  return { placed, width, height: Math.max(...boxes.map((box) => box.bottom)) - top };
}

async function png(app) {
  const { placed, width, height } = layout(app.panels);
  const ratio = 2;
  const canvas = element("canvas", { width: width * ratio, height: height * ratio });
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  context.fillStyle = getComputedStyle(document.body).backgroundColor;
  context.fillRect(0, 0, width, height);
  context.fillStyle = ink();
  context.font = "13px system-ui, sans-serif";
  for (const { panel, x, y } of placed) {
    context.fillText(panel.title, x + 4, y + MARGIN - 8);
    context.drawImage(panel.canvas, x, y + MARGIN, panel.canvas.clientWidth, panel.canvas.clientHeight);
  }
  return new Promise((done, failed) =>
    canvas.toBlob((blob) => (blob ? done(blob) : failed(new Error("the picture is too large for this browser"))), "image/png"),
  );
}

/* Few points are circles; many are a picture of the panel. */
function svg(app) {
  const { placed, width, height } = layout(app.panels);
  const parts = placed.map(({ panel, x, y }) => {
    const few = panel.section.rows.length <= SMOOTH_UP_TO;
    const [w, h] = [panel.canvas.clientWidth, panel.canvas.clientHeight];
    const drawn = few
      ? circles(panel)
      : `<image width="${w}" height="${h}" href="${panel.canvas.toDataURL("image/png")}"/>`;
    const title = `<text x="4" y="-8" font-family="sans-serif" font-size="13" fill="${ink()}">${escaped(panel.title)}</text>`;
    return `<g transform="translate(${x} ${y + MARGIN})">${title}<svg width="${w}" height="${h}">${drawn}</svg></g>`;
  });
  const size = `width="${width}" height="${height}"`;
  const back = getComputedStyle(document.body).backgroundColor;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size}><rect ${size} fill="${back}"/>${parts.join("")}</svg>`;
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
