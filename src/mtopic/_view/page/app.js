/* The page: what is shown, how it is drawn, and what the address says of it. */

const TOOLS = { move: "Move and zoom the map (m)", A: "Draw round group A (a)", B: "Draw round group B (b)" };

const DEFAULTS = {
  what: "", place: "0", section: "", map: "", scale: "own", theme: "", size: 1, opacity: 0.6, tab: "topic",
  topic: "", by: "FREX", groupby: "", pinned: null, tool: "move",
  palette: "",
};
const RANGES = { size: [0.2, 3], opacity: [0, 1] };
const DOMINANT = "obs:dominant topic";

const within = (value, low, high) => (Number.isFinite(value) ? Math.min(high, Math.max(low, value)) : undefined);

class App {
  constructor(header) {
    Object.assign(this, { header, names: header.names, n: header.names.length, maps: header.maps, newNames: new Map() });
    this.readContent(header);
    this.selection = new Selection(this, this.n);
    this.views = new Map(this.places.map((place) => [place, { x: 0, y: 0, zoom: 1 }]));
    this.hovered = null;
    this.panels = [];
    this.tables = new Map();
    this.state = { ...this.beginning(), ...this.fromAddress() };
    this.build();
  }

  readContent(header) {
    this.topics = header.topics.map((one) => new Numbers(one));
    this.variables = new Map(this.topics.map((one) => [`topic:${one.name}`, one]));
    const kinds = { number: Numbers, category: Categories };
    for (const one of header.columns) this.variables.set(`obs:${one.name}`, new kinds[one.kind](one));
    for (const one of header.features) this.variables.set(`feature:${one.mod}:${one.name}`, new Numbers(one, { log: true }));
    for (const one of header.sd) this.variables.set(`sd:${one.name}`, new Numbers({ ...one, title: `${one.name}, standard deviation` }));
    this.signatures = header.signatures.map((one) => new Signatures(one));
    this.enrichment = header.enrichment;
    this.topicShares = header.topic_shares;
    this.places = header.places.map((one) => this.place(one));
  }

  place(given) {
    const place = { ...given };
    place.sections = given.sections.map((section) => Object.assign(new Section(section, place), { at: lookupRow(section.rows) }));
    place.coordinates = (x, y) => [place.left + x * place.unit, place.top + y * place.unit];
    for (const { image } of place.sections) if (image) loadImage(image, () => this.redraw());
    return place;
  }

  topicNumber() {
    return Math.max(0, this.topics.findIndex(({ name }) => name === this.state.topic));
  }

  topicTitle({ name }) {
    return this.newNames.get(name) ?? name;
  }

  /* What an address may say of each part of the state; anything else is not heard. */
  heard(key, text) {
    const names = {
      what: ["topics", ...this.variables.keys()], place: ["all", ...this.places.keys()].map(String),
      section: this.sectionNames(), map: Object.keys(this.maps), scale: ["own", "shared"], theme: ["light", "dark"],
      tab: Object.keys(TABS), topic: this.topics.map(({ name }) => name), by: ["FREX", "exclusivity", "share"],
      groupby: [...this.variables.keys()], tool: Object.keys(TOOLS), palette: ["safe"],
    };
    if (Object.hasOwn(names, key)) return names[key].includes(text) ? text : undefined;
    if (Object.hasOwn(RANGES, key)) return within(Number(text), ...RANGES[key]);
    const at = this.names.indexOf(text);
    return key === "pinned" && at >= 0 ? at : undefined;
  }

  /* The address ends with all that is not as it was in the beginning. */
  fromAddress() {
    const state = {};
    for (const [key, text] of new URLSearchParams(location.hash.slice(1))) {
      const value = Object.hasOwn(DEFAULTS, key) ? this.heard(key, text) : undefined;
      if (value !== undefined) state[key] = value;
      if (key === "view") this.setViews(text);
    }
    return state;
  }

  setViews(text) {
    text.split(" ").forEach((one, p) => {
      const [x, y, zoom] = one.split(",").map(Number);
      if (this.places[p] && [x, y].every(Number.isFinite) && zoom >= 0.5 && zoom <= 400) {
        this.views.set(this.places[p], { x, y, zoom });
      }
    });
  }

  sectionNames() {
    return [...new Set(this.places.flatMap(({ sections }) => sections.map(({ name }) => name)))].filter(Boolean);
  }

  beginning() {
    return { ...DEFAULTS, what: DOMINANT, topic: this.topics[0].name };
  }

  toAddress() {
    const first = this.beginning();
    const changed = Object.entries(this.state).filter(([key, value]) => value !== first[key]);
    const said = new URLSearchParams(changed.map(([key, value]) => [key, key === "pinned" ? this.names[value] : value]));
    const views = this.places.map((place) => this.views.get(place));
    if (views.some(({ x, y, zoom }) => x || y || zoom !== 1)) {
      said.set("view", views.map(({ x, y, zoom }) => [x, y, zoom].map((one) => Number(one.toPrecision(5))).join(",")).join(" "));
    }
    try {
      history.replaceState(null, "", `#${said}`);
    } catch {
      /* a page inside of a notebook has no address of its own */
    }
  }

  set(changes) {
    const moved = ["what", "place", "section"].some((key) => key in changes && changes[key] !== this.state[key]);
    Object.assign(this.state, changes);
    if (changes.what?.startsWith("topic:")) this.state.topic = changes.what.slice(6);
    if ("theme" in changes) this.applyTheme();
    this.tables.clear();
    if (moved) this.buildPanels();
    else this.buildLegend();
    this.buildControls();
    this.show(this.state.tab);
    this.redraw();
  }

  show(tab) {
    this.state.tab = tab;
    const [, content] = TABS[tab];
    const hadFocus = this.tabs.contains(document.activeElement);
    this.tabs.replaceChildren(
      ...Object.entries(TABS).map(([key, [text]]) =>
        button(text, text, () => this.show(key), { role: "tab", id: `tab-${key}`, ariaSelected: key === tab }),
      ),
    );
    if (hadFocus) document.getElementById(`tab-${tab}`).focus();
    this.side.setAttribute("aria-labelledby", `tab-${tab}`);
    keepingFocus(this.side, () => this.side.replaceChildren(...content(this)));
    this.toAddress();
  }

  variable() {
    return this.variables.get(this.state.what) ?? this.topics[0];
  }

  shownVariables() {
    return this.state.what === "topics" ? this.topics : [this.variable()];
  }

  limits(variable) {
    if (this.state.scale === "own" || !this.topics.includes(variable)) return [Math.min(0, variable.low), variable.high];
    return [0, Math.max(...this.topics.map(({ high }) => high))];
  }

  theme() {
    const dark = window.matchMedia("(prefers-color-scheme: dark)").matches;
    return this.state.theme || (dark ? "dark" : "light");
  }

  /* Light where there is little on a light page, dark on a dark one, unless another map is chosen. */
  map() {
    return this.maps[this.state.map || (this.theme() === "dark" ? "magma" : "magma_r")];
  }

  colours(variable) {
    if (variable.kind === "number") return this.map();
    return this.state.palette ? safeColours(variable.labels.length) : variable.colours;
  }

  table(variable) {
    if (!this.tables.has(variable)) {
      const limits = variable.kind === "number" ? this.limits(variable) : [];
      this.tables.set(variable, lookup(variable, this.colours(variable), ...pair(limits), this.theme()));
    }
    return this.tables.get(variable);
  }

  hover(i, event) {
    if (i !== this.hovered) {
      this.hovered = i;
      if (this.state.tab === "observation" && this.state.pinned === null) this.show("observation");
      this.remark();
    }
    this.tip.hidden = i === null;
    if (i === null) return;
    this.tip.replaceChildren(...tipOf(this, i));
    const { innerWidth, innerHeight } = window;
    const wide = this.tip.offsetWidth;
    this.tip.style.left = `${Math.min(event.clientX + 14, innerWidth - wide - 8)}px`;
    this.tip.style.top = `${Math.max(0, Math.min(event.clientY + 14, innerHeight - this.tip.offsetHeight - 8))}px`;
  }

  pin(i) {
    this.state.pinned = i;
    this.show("observation");
    this.remark();
  }

  find(signatures, name) {
    this.search.value = name;
    this.found.replaceChildren(...foundFeature(this, signatures, name));
    this.found.scrollIntoView({ block: "nearest" });
  }

  rename(name, chosen) {
    const text = chosen.trim();
    const taken = this.topics.some((one) => one.name !== name && this.topicTitle(one) === text);
    if (taken || /[/\\]/.test(text) || [".", "..", "_index"].includes(text)) return false;
    if (!text || text === name) this.newNames.delete(name);
    else this.newNames.set(name, text);
    this.topics.forEach((one) => (one.title = this.topicTitle(one)));
    for (const one of this.topics) {
      const sd = this.variables.get(`sd:${one.name}`);
      if (sd) sd.title = `${one.title}, standard deviation`;
    }
    this.variables.get(DOMINANT).labels = this.topics.map((one) => this.topicTitle(one));
    this.buildControls();
    this.buildPanels();
    this.redraw();
    return true;
  }

  home(place) {
    this.views.set(place, { x: 0, y: 0, zoom: 1 });
    this.redraw();
  }

  /* Draw all panels, some in each frame, and begin again if something changes meanwhile. */
  redraw() {
    this.waiting = [...this.panels];
    if (this.frame) return;
    const step = () => {
      const began = performance.now();
      this.frame = 0; /* so that a fault does not end all drawing */
      while (this.waiting.length && performance.now() - began < 30) this.waiting.shift().draw();
      this.frame = this.waiting.length ? requestAnimationFrame(step) : 0;
      if (!this.frame) this.drawn();
    };
    this.frame = requestAnimationFrame(step);
  }

  /* Draw marks over the points, which stay as they are. */
  remark() {
    if (!this.frame) for (const panel of this.panels) panel.draw(false);
  }

  drawn() {
    document.documentElement.dataset.ready = "true";
    clearTimeout(this.saying);
    this.saying = setTimeout(() => this.toAddress(), 200);
  }
}

const pair = (limits) => (limits.length ? limits : [0, 1]);

/* Where an observation is in the rows of a section, which ascend. */
function lookupRow(rows) {
  return (i) => {
    let [low, high] = [0, rows.length - 1];
    while (low <= high) {
      const middle = (low + high) >> 1;
      if (rows[middle] === i) return middle;
      if (rows[middle] < i) low = middle + 1;
      else high = middle - 1;
    }
    return -1;
  };
}

function loadImage(image, done) {
  const loading = new Image();
  loading.onload = () => {
    image.loaded = loading;
    done();
  };
  loading.src = image.data;
}

function tipOf(app, i) {
  const first = app.topics.map((one) => [one, one.at(i)]).sort((a, b) => b[1] - a[1]).slice(0, 3);
  const rows = first.map(([topic, share]) =>
    element("div", {}, bar(share, topic.colour), element("span", { textContent: ` ${app.topicTitle(topic)} ${percent(share)}` })),
  );
  const other = app.state.what.startsWith("topic") ? [] : [element("div", { textContent: `${app.variable().title}: ${app.variable().text(i)}` })];
  return [element("b", { textContent: app.names[i] }), ...rows, ...other];
}
