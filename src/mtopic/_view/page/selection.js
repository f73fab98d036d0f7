/* Two groups of observations, A and B, each drawn round with a lasso. */

const SELECTED = { A: "#0b7fab", B: "#d1495b" };

class Selection {
  constructor(app, n) {
    this.app = app;
    this.groups = new Uint8Array(n); /* 1 is A, 2 is B */
    this.paths = [];
    this.counts = { A: 0, B: 0 };
  }

  get any() {
    return this.counts.A + this.counts.B > 0;
  }

  get faded() {
    return this.any ? (i) => (this.groups[i] ? 0 : 1) : null;
  }

  /* Whether an observation is of a group; without B, all that are not of A are. */
  of(name) {
    if (name === "B" && !this.counts.B) return (i) => this.groups[i] !== 1;
    const code = name === "A" ? 1 : 2;
    return (i) => this.groups[i] === code;
  }

  get name() {
    return this.app.state.tool === "B" ? "B" : "A";
  }

  outline(where, path, place) {
    path.push(place);
    this.paths = [...this.paths.filter(({ name }) => name !== this.name), { name: this.name, where, path }];
    this.app.redraw();
  }

  take(where, path) {
    const code = this.name === "A" ? 1 : 2;
    for (let i = 0; i < this.groups.length; i++) if (this.groups[i] === code) this.groups[i] = 0;
    const inside = polygon(path);
    for (let k = 0; k < where.rows.length; k++) {
      if (inside(where.x[k], where.y[k])) this.groups[where.rows[k]] = code;
    }
    this.recount();
  }

  clear() {
    this.groups.fill(0);
    this.paths = [];
    this.recount();
  }

  recount() {
    const counts = [0, 0, 0];
    for (const code of this.groups) counts[code]++;
    this.counts = { A: counts[1], B: counts[2] };
    this.app.show("selection");
    this.app.redraw();
  }
}

/* Whether places are inside of a closed path, by how often a line from them crosses it. */
function polygon(path) {
  return (x, y) => {
    let inside = false;
    for (let i = 0, j = path.length - 1; i < path.length; j = i++) {
      const [xi, yi] = path[i];
      const [xj, yj] = path[j];
      if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside;
    }
    return inside;
  };
}
