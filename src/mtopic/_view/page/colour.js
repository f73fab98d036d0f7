/* Colours as the pixels of a canvas have them: 0xAABBGGRR. */

const MISSING = { light: "#cccccc", dark: "#4a4a4a" };

function pixel(hex, alpha = 255) {
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  return ((alpha << 24) | (b << 16) | (g << 8) | r) >>> 0;
}

/* The colour of each whole number of a variable: 0 is nothing, 1 missing, q + 2 the number q. */
function lookup(variable, map, low, high, theme) {
  const table = new Uint32Array(variable.missing + 2);
  table[1] = pixel(MISSING[theme]);
  if (variable.kind === "category") {
    variable.colours.forEach((colour, code) => (table[code + 2] = pixel(colour)));
    return table;
  }
  const scaled = variable.log ? Math.log1p : (value) => value;
  const [from, to] = [scaled(low), scaled(high)];
  for (let q = 0; q < variable.missing; q++) {
    const share = to > from ? (scaled(variable.low + q * variable.step) - from) / (to - from) : 0;
    table[q + 2] = pixel(map[Math.round(255 * Math.min(1, Math.max(0, share)))]);
  }
  return table;
}

function gradient(map, sideways = true) {
  const stops = map.filter((_, i) => i % 15 === 0);
  return `linear-gradient(${sideways ? "to right" : "to top"}, ${stops.join(", ")})`;
}
