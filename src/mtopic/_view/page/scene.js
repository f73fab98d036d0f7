/* A section of observations at their places, drawn on one canvas; and what is under the pointer. */

const SMOOTH_UP_TO = 20000; /* more points than these are drawn without smooth edges */

class Section {
  constructor(section, place) {
    Object.assign(this, section, { place });
    const [left, right] = extremes(this.x);
    const [top, bottom] = extremes(this.y);
    this.centre = [(left + right) / 2, (top + bottom) / 2];
    this.size = [right - left || 1, bottom - top || 1];
    this.corner = [left, top];
  }

  /* Points by the cells of a grid, made when first asked for. */
  get grid() {
    if (!this._grid) this._grid = new Grid(this);
    return this._grid;
  }
}

function extremes(values) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low <= high ? [low, high] : [0, 1];
}

class Grid {
  constructor({ x, y, size, corner }) {
    this.columns = Math.max(1, Math.ceil(Math.sqrt((x.length / 2) * (size[0] / size[1]))));
    this.rows = Math.max(1, Math.ceil(x.length / 2 / this.columns));
    this.step = [size[0] / this.columns || 1, size[1] / this.rows || 1];
    Object.assign(this, { x, y, corner });
    this.begin = new Uint32Array(this.columns * this.rows + 1);
    for (let i = 0; i < x.length; i++) this.begin[this.cell(x[i], y[i]) + 1]++;
    for (let c = 0; c < this.columns * this.rows; c++) this.begin[c + 1] += this.begin[c];
    const next = this.begin.slice();
    this.order = new Uint32Array(x.length);
    for (let i = 0; i < x.length; i++) this.order[next[this.cell(x[i], y[i])]++] = i;
  }

  column(x) {
    return Math.min(this.columns - 1, Math.max(0, Math.floor((x - this.corner[0]) / this.step[0])));
  }

  row(y) {
    return Math.min(this.rows - 1, Math.max(0, Math.floor((y - this.corner[1]) / this.step[1])));
  }

  cell(x, y) {
    return this.row(y) * this.columns + this.column(x);
  }

  /* The point nearest to a place, -1 if none is within the distance. */
  nearest(x, y, within) {
    let found = -1;
    let least = within * within;
    for (let r = this.row(y - within); r <= this.row(y + within); r++) {
      const first = this.begin[r * this.columns + this.column(x - within)];
      const last = this.begin[r * this.columns + this.column(x + within) + 1];
      for (let k = first; k < last; k++) {
        const i = this.order[k];
        const distance = (this.x[i] - x) ** 2 + (this.y[i] - y) ** 2;
        if (distance < least) [found, least] = [i, distance];
      }
    }
    return found;
  }
}

/* From places of a section to pixels of a canvas and back. */
class Projection {
  constructor(section, view, width, height, fit) {
    this.scale = fit * view.zoom;
    this.origin = [section.centre[0] + view.x, section.centre[1] + view.y];
    this.middle = [width / 2, height / 2];
    this.up = section.place.upper ? 1 : -1;
  }

  pixel(x, y) {
    return [
      (x - this.origin[0]) * this.scale + this.middle[0],
      this.up * (y - this.origin[1]) * this.scale + this.middle[1],
    ];
  }

  place(px, py) {
    return [
      (px - this.middle[0]) / this.scale + this.origin[0],
      (this.up * (py - this.middle[1])) / this.scale + this.origin[1],
    ];
  }
}

/* Pixels for each unit at which all sections of a place fit. */
function fitting(sections, width, height) {
  return 0.94 * Math.min(...sections.map(({ size }) => Math.min(width / size[0], height / size[1])));
}

/* How wide a row of a disc is on either side of the middle, row by row. */
function disc(radius) {
  const reach = Math.floor(radius);
  return Array.from({ length: 2 * reach + 1 }, (_, r) => Math.floor(Math.sqrt(radius ** 2 - (r - reach) ** 2)));
}

/* Points as pixels. Of numbers the highest is on top; of categories the last. `faded` says which are drawn pale. */
function rasterised(section, variable, table, projection, width, height, radius, faded) {
  const levels = new Uint16Array(width * height);
  const pale = faded && new Uint8Array(width * height);
  const spans = radius < 1 ? [0] : disc(radius);
  const reach = (spans.length - 1) / 2;
  const highest = variable.kind === "number";
  const { x, y, rows } = section;
  for (let i = 0; i < rows.length; i++) {
    const [px, py] = projection.pixel(x[i], y[i]);
    const [cx, cy] = [Math.round(px), Math.round(py)];
    if (cx < -reach || cy < -reach || cx >= width + reach || cy >= height + reach) continue;
    const q = variable.values[rows[i]];
    const level = q === variable.missing ? 1 : q + 2;
    const isPale = faded ? faded(rows[i]) : 0;
    for (let r = 0; r < spans.length; r++) {
      const line = cy + r - reach;
      if (line < 0 || line >= height) continue;
      const last = Math.min(width - 1, cx + spans[r]);
      for (let at = line * width + Math.max(0, cx - spans[r]); at <= line * width + last; at++) {
        if (pale && levels[at] && pale[at] !== isPale ? isPale : highest && level < levels[at]) continue;
        levels[at] = level;
        if (pale) pale[at] = isPale;
      }
    }
  }
  const image = new ImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  for (let at = 0; at < pixels.length; at++) {
    if (!levels[at]) continue;
    const colour = table[levels[at]];
    pixels[at] = pale && pale[at] ? (colour & 0x00ffffff) | (0x38 << 24) : colour;
  }
  return image;
}

/* Spots of a tissue nearly touch; small ones, which nobody tells apart, leave no gaps. */
function pointRadius(section, scale, count, size) {
  const { spacing, embedding } = section.place;
  const pitch = spacing * scale;
  if (embedding) return Math.max(Math.min(0.5 * pitch, 4), count > 50000 ? 0.5 : 1.6) * size;
  return Math.max(0.5, (pitch < 6 ? 0.62 : 0.48) * pitch * size);
}
