/* What the file holds: one gzip stream of a header in JSON and of arrays, one after the other. */

const TYPES = { uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array };

async function unpacked(text) {
  const coded = atob(text.trim());
  const bytes = new Uint8Array(coded.length);
  for (let i = 0; i < coded.length; i++) bytes[i] = coded.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const whole = await new Response(stream).arrayBuffer();
  const length = new Uint32Array(whole, 0, 1)[0];
  const begin = 4 + length + ((4 - (length % 4)) % 4);
  const header = new TextDecoder().decode(new Uint8Array(whole, 4, length));
  return JSON.parse(header, (key, value) => {
    const Type = value && TYPES[value.array];
    return Type ? new Type(whole, begin + value.at, value.size) : value;
  });
}

/* A number of each observation, kept as whole numbers q: low + q * step, none where q is `missing`. */
class Numbers {
  constructor({ name, low, step, missing, values, title = name, colour = null }, { log = false } = {}) {
    Object.assign(this, { name, title, low, step, missing, values, colour, log, kind: "number" });
  }

  at(i) {
    const q = this.values[i];
    return q === this.missing ? NaN : this.low + q * this.step;
  }

  /* The largest number but for the highest half percent, so that a few do not make all others pale. */
  get high() {
    if (this._high === undefined) this._high = this.low + this.quantile(0.995) * this.step;
    return this._high;
  }

  quantile(share) {
    const counts = new Uint32Array(this.missing + 1);
    for (const q of this.values) counts[q]++;
    let left = (this.values.length - counts[this.missing]) * share;
    let last = 0;
    for (let q = 0; q < this.missing; q++) {
      if (counts[q]) last = q;
      left -= counts[q];
      if (left <= 0 && last > 0) break;
    }
    return last;
  }

  text(i) {
    return shown(this.at(i));
  }
}

class Categories {
  constructor({ name, labels, colours, missing, values, title = name }) {
    Object.assign(this, { name, title, labels, colours, missing, values, kind: "category" });
  }

  at(i) {
    const code = this.values[i];
    return code === this.missing ? null : this.labels[code];
  }

  text(i) {
    return this.at(i) ?? "–";
  }
}

function shown(value) {
  if (Number.isNaN(value)) return "–";
  if (Number.isInteger(value)) return String(value);
  return Math.abs(value) >= 1000 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}

function percent(share) {
  return Number.isNaN(share) ? "–" : `${(100 * share).toFixed(1)}%`;
}

/* A share that may be far below a percent. */
function small(share) {
  return `${shown(100 * share)}%`;
}

/* The mean of a number in each group, in one pass. */
function meansByGroup({ values, missing, low, step }, groups) {
  const n = groups.labels.length;
  const [sums, counts] = [new Float64Array(n), new Float64Array(n)];
  for (let i = 0; i < values.length; i++) {
    if (values[i] === missing || groups.values[i] === groups.missing) continue;
    sums[groups.values[i]] += values[i];
    counts[groups.values[i]]++;
  }
  return Array.from(sums, (sum, g) => (counts[g] ? low + (step * sum) / counts[g] : NaN));
}

/* Means of numbers over observations of which `chosen(i)` is true; those without a number do not count. */
function means(all, n, chosen) {
  return all.map((one) => {
    let sum = 0;
    let count = 0;
    for (let i = 0; i < n; i++) {
      if (!chosen(i) || one.values[i] === one.missing) continue;
      sum += one.values[i];
      count++;
    }
    return count ? one.low + (one.step * sum) / count : NaN;
  });
}
