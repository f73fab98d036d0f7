/* Colours as the pixels of a canvas have them: 0xAABBGGRR. */

const MISSING = { light: "#cccccc", dark: "#4a4a4a" };

function pixel(hex, alpha = 255) {
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  return ((alpha << 24) | (b << 16) | (g << 8) | r) >>> 0;
}

/* Eight colours that are told apart with any kind of colour vision (Okabe and Ito 2008), then lighter and darker ones. */
const OKABE_ITO = ["#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7", "#000000"];

function safeColours(n) {
  const mixed = (hex, other, share) => {
    const part = (at) => Math.round(parseInt(hex.slice(at, at + 2), 16) * (1 - share) + other * share);
    return `#${[1, 3, 5].map((at) => part(at).toString(16).padStart(2, "0")).join("")}`;
  };
  const all = [...OKABE_ITO, ...OKABE_ITO.map((hex) => mixed(hex, 255, 0.55)), ...OKABE_ITO.map((hex) => mixed(hex, 0, 0.45))];
  return Array.from({ length: n }, (_, k) => all[k % all.length]);
}

/* The colour of each whole number of a variable: 0 is nothing, 1 missing, q + 2 the number q. */
function lookup(variable, colours, low, high, theme) {
  const table = new Uint32Array(variable.missing + 2);
  table[1] = pixel(MISSING[theme]);
  if (variable.kind === "category") {
    colours.forEach((colour, code) => (table[code + 2] = pixel(colour)));
    return table;
  }
  const scaled = variable.log ? Math.log1p : (value) => value;
  const [from, to] = [scaled(low), scaled(high)];
  for (let q = 0; q < variable.missing; q++) {
    const share = to > from ? (scaled(variable.low + q * variable.step) - from) / (to - from) : 0;
    table[q + 2] = pixel(colours[Math.round(255 * Math.min(1, Math.max(0, share)))]);
  }
  return table;
}

function gradient(map, sideways = true) {
  const stops = map.filter((_, i) => i % 15 === 0);
  return `linear-gradient(${sideways ? "to right" : "to top"}, ${stops.join(", ")})`;
}
