/* What is known of one observation, of two selections, of one topic, of one feature. */

const FEW = 12;

const TABS = {
  topic: ["Topic", topicTab],
  observation: ["Observation", observationTab],
  selection: ["Selection", selectionTab],
};

function topicTab(app) {
  const k = app.topicNumber();
  const topic = app.topics[k];
  const name = element("input", { value: app.newNames.get(topic.name) ?? topic.name, });
  const refused = note("");
  name.onchange = () => {
    refused.textContent = app.rename(topic.name, name.value) ? "" : "Another topic has this name, or it has a slash.";
    names.disabled = !app.newNames.size;
  };
  const names = button("Save names", "All new names, for mtopic.tl.rename_topics", () => saveNames(app), { disabled: !app.newNames.size });
  const all = () => true;
  const parts = [
    choice("Topic", [["", app.topics.map((one) => [one.name, app.topicTitle(one)])]], topic.name, (value) => app.set({ topic: value })),
    element("label", {}, element("span", { textContent: "Name" }), name),
    element(
      "p",
      { className: "buttons" },
      button("Show on the map", "Colour by this topic", () => app.set({ what: `topic:${topic.name}` })),
      names,
    ),
    refused,
    note(`${percent(means([topic], app.n, all)[0])} of an observation on average${dominatesIn(app, topic)}.`),
  ];
  for (const signatures of app.signatures) parts.push(...topFeatures(app, signatures, k));
  parts.push(...enriched(app, topic), ...modalityShares(app, topic), ...composition(app, topic));
  return parts;
}

function dominatesIn(app, topic) {
  const dominant = app.variables.get(DOMINANT);
  const code = app.topics.indexOf(topic);
  let count = 0;
  for (const one of dominant.values) count += one === code;
  return `; it dominates in ${count} of ${app.n}`;
}

function topFeatures(app, signatures, k) {
  const by = app.state.by;
  const rows = signatures.top(k, by, FEW, app.topics.length).map(({ name, share, exclusivity }) => [
    featureButton(app, signatures, name), small(share), bar(exclusivity, app.topics[k].colour), percent(exclusivity),
  ]);
  const ways = [["", [["FREX", "FREX"], ["exclusivity", "exclusivity"], ["share", "probability"]]]];
  return [
    heading(`Features${app.signatures.length > 1 ? ` · ${signatures.mod}` : ""}`),
    choice("ranked by", ways, by, (value) => app.set({ by: value })),
    table(["feature", "share of the topic", "exclusivity", ""], rows),
  ];
}

function featureButton(app, signatures, name) {
  return button(name, "In which topics is it?", () => app.find(signatures, name), { className: "link" });
}

function enriched(app, topic) {
  return app.enrichment.flatMap(({ mod, rows }) => {
    const own = rows.filter((row) => row.topic === topic.name);
    const shownRows = own.map(({ source, score, q }) => [source, shown(score), shown(q)]);
    return own.length ? [heading(`Enriched · ${mod}`), table(["source", "score", "q"], shownRows)] : [];
  });
}

function modalityShares(app, topic) {
  const shares = app.topicShares?.[topic.name];
  if (!shares) return [];
  return [heading("Evidence by modality"), table(["modality", "share", ""], Object.entries(shares).map(([mod, share]) => [mod, percent(share), bar(share)]))];
}

/* Mean proportions of a topic by the labels of a column. */
function composition(app, topic) {
  const columns = [...app.variables].filter(([key, one]) => one.kind === "category" && key !== DOMINANT);
  if (!columns.length) return [];
  const key = app.variables.get(app.state.groupby)?.kind === "category" ? app.state.groupby : columns[0][0];
  const groups = app.variables.get(key);
  const rows = meansByGroup(topic, groups).map((mean, code) => [groups.labels[code], percent(mean), bar(mean, topic.colour)]);
  return [
    heading("Composition"),
    choice("by", [["", columns.map(([one, { title }]) => [one, title])]], key, (value) => app.set({ groupby: value })),
    table([groups.title, "mean", ""], rows),
  ];
}

function observationTab(app) {
  const i = app.state.pinned ?? app.hovered;
  if (i === null) return [note("Point at an observation to see its topics here; click it to keep it.")];
  const order = app.topics.map((topic) => [topic, topic.at(i)]).sort((a, b) => b[1] - a[1]);
  const rows = order.slice(0, FEW).map(([topic, share]) => [app.topicTitle(topic), percent(share), bar(share, topic.colour)]);
  const others = [...app.variables].filter(([key]) => !key.startsWith("topic:") && !key.startsWith("sd:"));
  return [
    heading(app.names[i]),
    table(["topic", "proportion", ""], rows),
    heading("Observed"),
    table(["", ""], others.map(([, one]) => [one.title, one.text(i)])),
    ...(app.state.pinned === null ? [] : [button("Let go", "Let go of the observation", () => app.pin(null))]),
  ];
}

function selectionTab(app) {
  const { selection } = app;
  const tools = ["move", "A", "B"].map((tool) =>
    button(tool === "move" ? "Move" : `Lasso ${tool}`, TOOLS[tool], () => app.set({ tool }), { ariaPressed: app.state.tool === tool, className: `tool-${tool}` }),
  );
  const parts = [element("p", { className: "buttons" }, ...tools)];
  const others = selection.counts.B || app.n - selection.counts.A;
  if (!selection.counts.A || !others) {
    return [...parts, note("Draw round some observations with Lasso A, and with Lasso B to compare with others.")];
  }
  const [a, b] = ["A", "B"].map((name) => means(app.topics, app.n, selection.of(name)));
  const b_name = selection.counts.B ? "B" : "all others";
  const order = a.map((_, k) => k).sort((one, other) => Math.abs(a[other] - b[other]) - Math.abs(a[one] - b[one]));
  parts.push(
    element(
      "p",
      { className: "buttons" },
      button("Save selection", "Names of A and B, for mtopic.read.selection", () => save("selection.csv", selectionAsCsv(app), "text/csv")),
      button("Clear", "Select nothing", () => selection.clear()),
    ),
    note(`A: ${selection.counts.A}, ${b_name}: ${others}`),
    heading("Mean topics"),
    table(
      ["topic", "A", b_name, "difference"],
      order.slice(0, FEW).map((k) => [app.topicTitle(app.topics[k]), percent(a[k]), percent(b[k]), percent(a[k] - b[k])]),
    ),
  );
  for (const signatures of app.signatures) {
    const title = app.signatures.length > 1 ? ` · ${signatures.mod}` : "";
    for (const [more, mixtures] of [["A", [a, b]], [b_name, [b, a]]]) {
      const rows = signatures.differing(mixtures, 8).map(({ name, a: one, b: other, ratio }) => [
        featureButton(app, signatures, name), small(one), small(other), shown(ratio),
      ]);
      parts.push(heading(`More in ${more}${title}`), table(["feature", more, "other", "log₂ ratio"], rows));
    }
  }
  const said = "Features by their expected shares under the mean topics. Ratios are of shares to which a tenth of the mean share is added.";
  return [...parts, note(said), ...labelsOfSelection(app, b_name)];
}

function labelsOfSelection(app, b_name) {
  return [...app.variables].filter(([key, one]) => one.kind === "category" && key !== DOMINANT).flatMap(([, one]) => {
    const counts = ["A", "B"].map((name) => {
      const chosen = app.selection.of(name);
      const found = new Array(one.labels.length).fill(0);
      for (let i = 0; i < app.n; i++) if (chosen(i) && one.values[i] !== one.missing) found[one.values[i]]++;
      return found;
    });
    const rows = one.labels.map((label, code) => [label, counts[0][code], counts[1][code]]);
    return [heading(one.title), table(["", "A", b_name], rows.filter(([, x, y]) => x + y))];
  });
}

function selectionAsCsv(app) {
  const rows = [["name", "selection"]];
  app.selection.groups.forEach((code, i) => code && rows.push([app.names[i], code === 1 ? "A" : "B"]));
  return csv(rows);
}

function saveNames(app) {
  save("topic_names.json", JSON.stringify(Object.fromEntries(app.newNames), null, 1), "application/json");
}
