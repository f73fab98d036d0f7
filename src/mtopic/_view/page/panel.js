/* One canvas: a variable at the places of one section, with what lies over and under it. */

class Panel {
  constructor(app, section, variable) {
    Object.assign(this, { app, section, variable });
    this.canvas = element("canvas", { tabIndex: 0, role: "img" });
    this.box = element("figure", { className: "panel" }, element("figcaption", {}, this.title), this.canvas);
    this.canvas.setAttribute("aria-label", this.title);
    new Gestures(this);
  }

  get title() {
    const { place, name } = this.section;
    const where = place.sections.length > 1 ? name : this.app.state.place === "all" ? place.name : "";
    return [this.variable.title, where].filter(Boolean).join(" · ");
  }

  get view() {
    return this.app.views.get(this.section.place);
  }

  measure(ratio = window.devicePixelRatio || 1) {
    this.width = Math.max(1, Math.round(this.canvas.clientWidth * ratio));
    this.height = Math.max(1, Math.round(this.canvas.clientHeight * ratio));
    this.ratio = ratio;
    if (this.canvas.width !== this.width || this.canvas.height !== this.height) {
      this.canvas.width = this.width;
      this.canvas.height = this.height;
    }
    const fit = fitting(this.section.place.sections, this.width, this.height);
    this.projection = new Projection(this.section, this.view, this.width, this.height, fit);
    const radius = pointRadius(this.section, this.projection.scale, this.section.rows.length, this.app.state.size);
    this.radius = Math.max(radius, 0.5);
  }

  /* Points are drawn anew unless only marks over them have changed. */
  draw(anew = true) {
    this.measure();
    if (anew || !this.drawn) this.drawn = this.points();
    const context = this.canvas.getContext("2d");
    context.clearRect(0, 0, this.width, this.height);
    this.drawImage(context);
    context.drawImage(this.drawn, 0, 0, this.width, this.height);
    this.drawMarks(context);
    this.drawScaleBar(context);
  }

  points() {
    const { app, section, variable, projection } = this;
    const finer = section.rows.length <= SMOOTH_UP_TO ? 2 : 1;
    const [width, height] = [this.width * finer, this.height * finer];
    const fine = new Projection(section, this.view, width, height, projection.scale * finer / this.view.zoom);
    const image = rasterised(
      section, variable, app.table(variable), fine, width, height, this.radius * finer, app.selection.faded,
    );
    const canvas = element("canvas", { width, height });
    canvas.getContext("2d").putImageData(image, 0, 0);
    return canvas;
  }

  drawImage(context) {
    const { image } = this.section;
    const opacity = this.app.state.opacity;
    if (!image || !image.loaded || !opacity) return;
    const [left, top] = this.projection.pixel(image.left, image.top);
    const [right, bottom] = this.projection.pixel(image.right, image.bottom);
    context.globalAlpha = opacity;
    context.drawImage(image.loaded, left, top, right - left, bottom - top);
    context.globalAlpha = 1;
  }

  /* The pinned and the pointed at observation, and lassos. */
  drawMarks(context) {
    const { app, section, ratio } = this;
    context.lineWidth = 2 * ratio;
    for (const [i, colour] of [[app.hovered, ink()], [app.state.pinned, "#e6194b"]]) {
      const at = i === null ? -1 : section.at(i);
      if (at < 0) continue;
      context.beginPath();
      context.arc(...this.projection.pixel(section.x[at], section.y[at]), this.radius + 3 * ratio, 0, 2 * Math.PI);
      context.strokeStyle = colour;
      context.stroke();
    }
    for (const { name, where, path } of app.selection.paths) {
      if (where !== section) continue;
      context.beginPath();
      path.forEach(([x, y]) => context.lineTo(...this.projection.pixel(x, y)));
      context.closePath();
      context.strokeStyle = SELECTED[name];
      context.stroke();
    }
  }

  drawScaleBar(context) {
    const { place } = this.section;
    if (place.embedding) return;
    const { length, pixels, text } = scaleBar(place, this.projection.scale, this.width);
    if (!length) return;
    const { ratio } = this;
    const [x, y] = [10 * ratio, this.height - 12 * ratio];
    context.fillStyle = context.strokeStyle = ink();
    context.lineWidth = 2 * ratio;
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(x + pixels, y);
    context.stroke();
    context.font = `${11 * ratio}px system-ui, sans-serif`;
    context.fillText(text, x, y - 5 * ratio);
  }

  /* The observation under a place of the canvas, in CSS pixels; null if there is none. */
  under(x, y) {
    if (!this.projection) return null;
    const place = this.projection.place(x * this.ratio, y * this.ratio);
    const reach = Math.max(this.radius, 6 * this.ratio) / this.projection.scale;
    const at = this.section.grid.nearest(...place, reach);
    return at < 0 ? null : this.section.rows[at];
  }
}

/* A round length that takes about a fifth of the width. */
function scaleBar(place, scale, width) {
  const unit = place.length / scale; /* of what a pixel is long */
  const wanted = 0.2 * width * unit;
  const power = 10 ** Math.floor(Math.log10(wanted));
  const length = [5, 2, 1].find((digit) => digit * power <= wanted) * power;
  const named = place.micrometres ? (length >= 1000 ? `${shown(length / 1000)} mm` : `${shown(length)} µm`) : null;
  return { length, pixels: length / unit, text: named ?? shown(length) };
}

function ink() {
  return getComputedStyle(document.documentElement).getPropertyValue("--ink").trim();
}

/* Moving, zooming, pointing and lassos, by mouse, pen and fingers. */
class Gestures {
  constructor(panel) {
    Object.assign(this, { panel, app: panel.app, canvas: panel.canvas, pointers: new Map(), path: null });
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", (event) => this.up(event));
    canvas.addEventListener("pointercancel", (event) => this.up(event));
    canvas.addEventListener("pointerleave", () => this.app.hover(null));
    canvas.addEventListener("dblclick", () => this.app.home(panel.section.place));
    canvas.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        this.zoom(1.0015 ** -event.deltaY, event.offsetX, event.offsetY);
      },
      { passive: false },
    );
  }

  place(event) {
    const { ratio, projection } = this.panel;
    return projection.place(event.offsetX * ratio, event.offsetY * ratio);
  }

  down(event) {
    if (event.button || !this.panel.projection) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
    this.moved = 0;
    this.path = this.app.state.tool !== "move" && this.pointers.size === 1 ? [this.place(event)] : null;
  }

  move(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) {
      this.app.hover(this.panel.under(event.offsetX, event.offsetY), event);
      return;
    }
    const now = [event.offsetX, event.offsetY];
    this.moved += Math.hypot(now[0] - before[0], now[1] - before[1]);
    if (this.pointers.size === 2) this.pinch(event.pointerId, before, now);
    else if (this.path) this.app.selection.outline(this.panel.section, this.path, this.place(event));
    else this.shift(now[0] - before[0], now[1] - before[1]);
    this.pointers.set(event.pointerId, now);
  }

  up(event) {
    if (!this.pointers.delete(event.pointerId)) return;
    if (event.type === "pointercancel") this.path = null;
    else if (this.path && this.path.length > 2) this.app.selection.take(this.panel.section, this.path);
    else if (this.moved < 5 && !this.pointers.size) this.app.pin(this.panel.under(event.offsetX, event.offsetY));
    this.path = null;
  }

  shift(dx, dy) {
    const { view, projection, ratio } = this.panel;
    view.x -= (dx * ratio) / projection.scale;
    view.y -= (projection.up * dy * ratio) / projection.scale;
    this.app.redraw();
  }

  pinch(id, before, now) {
    const other = [...this.pointers].find(([key]) => key !== id)[1];
    const distance = (at) => Math.hypot(at[0] - other[0], at[1] - other[1]);
    this.zoom(distance(now) / Math.max(1, distance(before)), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
  }

  zoom(by, x, y) {
    if (!this.panel.projection) return;
    const { view, ratio } = this.panel;
    const before = this.panel.projection.place(x * ratio, y * ratio);
    view.zoom = Math.min(400, Math.max(0.5, view.zoom * by));
    this.panel.measure();
    const after = this.panel.projection.place(x * ratio, y * ratio);
    view.x += before[0] - after[0];
    view.y += before[1] - after[1];
    this.app.redraw();
  }
}
