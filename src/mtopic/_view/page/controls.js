/* What stands round the maps: controls, search, legend, keys. */

Object.assign(App.prototype, {
  build() {
    this.bar = document.getElementById("controls");
    this.maps_box = document.getElementById("maps");
    this.legend = document.getElementById("legend");
    this.tabs = document.getElementById("tabs");
    this.side = document.getElementById("side");
    this.found = document.getElementById("found");
    this.search = document.getElementById("search");
    this.tip = document.getElementById("tip");
    document.getElementById("title").textContent = this.header.title;
    document.getElementById("summary").textContent = this.header.summary;
    document.getElementById("left-out").textContent = this.header.left_out.join(" ");
    this.search.addEventListener("input", () => this.found.replaceChildren(...matches(this, this.search.value)));
    document.addEventListener("keydown", (event) => this.key(event));
    window.addEventListener("resize", () => this.redraw());
    window.addEventListener("hashchange", () => this.set({ ...this.beginning(), ...this.fromAddress() }));
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.set({ theme: this.state.theme }));
    this.applyTheme();
    this.buildControls();
    this.buildPanels();
    this.show(this.state.tab in TABS ? this.state.tab : "topic");
  },

  applyTheme() {
    document.documentElement.dataset.theme = this.theme();
    this.tables.clear();
  },

  buildControls() {
    const { state } = this;
    const named = (prefix) => [...this.variables].filter(([key]) => key.startsWith(prefix)).map(([key, { title }]) => [key, title]);
    const groups = [
      ["", [["topics", "all topics"]]], ["Topics", named("topic:")], ["Observations", named("obs:")],
      ["Features (counts)", named("feature:")], ["Uncertainty", named("sd:")],
    ];
    const parts = [choice("Colour by", groups.filter(([, entries]) => entries.length), state.what, (what) => this.set({ what }))];
    if (this.places.length > 1) {
      const places = [...this.places.map(({ name }, p) => [String(p), name]), ["all", "side by side"]];
      parts.push(choice("Places", [["", places]], state.place, (place) => this.set({ place })));
    }
    const sections = this.sectionNames();
    if (sections.length > 1) {
      const all = [["", "all"], ...sections.map((name) => [name, name])];
      parts.push(choice("Section", [["", all]], state.section, (section) => this.set({ section })));
    }
    parts.push(
      choice("Colours", [["", [["", "as the page"], ...Object.keys(this.maps).map((name) => [name, name])]]], state.map, (map) => this.set({ map })),
      choice("Groups", [["", [["", "own colours"], ["safe", "for all eyes"]]]], state.palette, (palette) => this.set({ palette })),
      choice("Scale", [["", [["own", "of each topic"], ["shared", "shared by topics"]]]], state.scale, (scale) => this.set({ scale })),
      slider("Size", 0.2, 3, 0.1, state.size, (size) => this.adjust({ size })),
    );
    if (this.places.some(({ sections: all }) => all.some(({ image }) => image))) {
      parts.push(slider("Image", 0, 1, 0.05, state.opacity, (opacity) => this.adjust({ opacity })));
    }
    const kinds = { png: "A picture of the maps", svg: "A drawing of the maps", csv: "Places and values of what is shown" };
    parts.push(
      ...Object.entries(kinds).map(([kind, said]) => button(kind.toUpperCase(), said, () => this.saveAs(kind))),
      button(this.theme() === "dark" ? "Light" : "Dark", "Light or dark (t)", () => this.set({ theme: this.theme() === "dark" ? "light" : "dark" })),
    );
    keepingFocus(this.bar, () => this.bar.replaceChildren(...parts));
  },

  adjust(changes) {
    Object.assign(this.state, changes);
    this.redraw();
  },

  async saveAs(kind) {
    if (kind === "png") save("topics.png", await png(this), "image/png");
    if (kind === "svg") save("topics.svg", svg(this), "image/svg+xml");
    if (kind === "csv") save("topics.csv", csv(valuesAsCsv(this, this.shownVariables())), "text/csv");
  },

  buildPanels() {
    const places = this.state.place === "all" ? this.places : [this.places[this.state.place] ?? this.places[0]];
    const sections = places.flatMap((place) => place.sections).filter(({ name }) => !this.state.section || !name || name === this.state.section);
    const shownSections = sections.length ? sections : places[0].sections;
    this.panels = this.shownVariables().flatMap((one) => shownSections.map((section) => new Panel(this, section, one)));
    this.maps_box.dataset.count = this.panels.length > 4 ? "many" : String(this.panels.length);
    this.maps_box.replaceChildren(...this.panels.map(({ box }) => box));
    this.buildLegend();
    this.redraw();
  },

  buildLegend() {
    const variables = this.shownVariables();
    const isShared = variables.length > 1 && this.state.scale === "own";
    this.legend.replaceChildren(...(isShared ? [scaleOf(this, null)] : [variables[0].kind === "category" ? keyOf(this, variables[0]) : scaleOf(this, variables[0])]));
  },

  key(event) {
    if (event.target.matches("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
    const place = this.panels[0].section.place;
    const view = this.views.get(place);
    const step = (by) => {
      const at = this.topics.findIndex(({ name }) => `topic:${name}` === this.state.what);
      const next = at < 0 ? this.topicNumber() : (at + by + this.topics.length) % this.topics.length;
      this.set({ what: `topic:${this.topics[next].name}` });
    };
    const keys = {
      ArrowRight: () => step(1), ArrowLeft: () => step(-1), "+": () => (view.zoom = Math.min(400, view.zoom * 1.3)),
      "-": () => (view.zoom = Math.max(0.5, view.zoom / 1.3)), 0: () => this.home(place), m: () => this.set({ tool: "move" }),
      a: () => this.set({ tool: "A", tab: "selection" }), b: () => this.set({ tool: "B", tab: "selection" }),
      t: () => this.set({ theme: this.theme() === "dark" ? "light" : "dark" }), Escape: () => this.selection.clear(),
    };
    if (!keys[event.key] || event.target.matches("[role=tab], [role=region]") && event.key.startsWith("Arrow")) return;
    event.preventDefault();
    keys[event.key]();
    this.redraw();
  },
});

function scaleOf(app, variable) {
  const [low, high] = variable ? app.limits(variable) : [0, NaN];
  const strip = element("span", { className: "scale" });
  strip.style.background = gradient(app.map());
  const unit = variable?.log ? " counts, by their logarithm" : "";
  const ends = variable ? [shown(low), `≥ ${shown(high)}${unit}`] : ["0", "highest of each topic"];
  return element("p", {}, element("span", { textContent: ends[0] }), strip, element("span", { textContent: ends[1] }));
}

function keyOf(app, variable) {
  const colours = app.colours(variable);
  const entries = variable.labels.map((label, code) => {
    const dot = element("i", { className: "dot" });
    dot.style.background = colours[code];
    return element("li", {}, dot, element("span", { textContent: label }));
  });
  return element("ul", { className: "key" }, ...entries);
}

/* Features and topics whose names hold what was typed, those that begin with it first. */
function matches(app, typed) {
  const text = typed.trim().toLowerCase();
  if (!text) return [];
  const found = [];
  for (const topic of app.topics) {
    if (app.topicTitle(topic).toLowerCase().includes(text)) {
      found.push([1, () => button(app.topicTitle(topic), "Show the topic", () => app.set({ what: `topic:${topic.name}`, tab: "topic" }))]);
    }
  }
  for (const signatures of app.signatures) {
    for (const name of signatures.names) {
      const at = name.toLowerCase().indexOf(text);
      if (at < 0) continue;
      const rank = at === 0 ? (name.length === text.length ? 0 : 2) : 3;
      const title = app.signatures.length > 1 ? `${name} · ${signatures.mod}` : name;
      found.push([rank, () => button(title, "In which topics is it?", () => app.find(signatures, name))]);
    }
  }
  found.sort((a, b) => a[0] - b[0]);
  const first = found.slice(0, FEW).map(([, make]) => make());
  const some = app.signatures.some(({ names, n_features }) => names.length < n_features);
  return first.length ? first : [note(`There is no topic or feature of this name${some ? ", or it was left out" : ""}.`)];
}

function foundFeature(app, signatures, name) {
  const shares = signatures.exclusivities(signatures.index.get(name), app.topics.length);
  const order = shares.map((share, k) => [share, app.topics[k]]).sort((a, b) => b[0] - a[0]).slice(0, 5);
  const rows = order.map(([share, topic]) => [
    button(app.topicTitle(topic), "Show the topic", () => app.set({ what: `topic:${topic.name}`, tab: "topic" }), { className: "link" }),
    percent(share), bar(share, topic.colour),
  ]);
  const key = `feature:${signatures.mod}:${name}`;
  const onMap = app.variables.has(key) ? [button("Show its counts", "Colour by the feature", () => app.set({ what: key }))] : [];
  return [element("b", { textContent: name }), table(["topic", "exclusivity", ""], rows), ...onMap];
}

unpacked(document.getElementById("data").textContent)
  .then((header) => (window.mtopic = new App(header)))
  .catch((error) => {
    document.getElementById("summary").textContent = `The page cannot be shown by this browser: ${error.message}`;
    throw error;
  });
