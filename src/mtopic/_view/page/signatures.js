/* What topics are made of. */

class Signatures {
  constructor({ mod, names, n_features, shares, low, step, added, first }) {
    Object.assign(this, { mod, names, n_features, added, first });
    this.coded = { shares, low, step };
    this.index = new Map(names.map((name, v) => [name, v]));
  }

  /* The share of a feature in a topic. */
  share(v, k) {
    const { shares, low, step } = this.coded;
    const q = shares[k * this.names.length + v];
    return q ? Math.exp(low + (q - 1) * step) : 0;
  }

  /* How much of a feature is in each topic, if all topics were as large. */
  exclusivities(v, n) {
    const all = Array.from({ length: n }, (_, k) => this.share(v, k) + this.added);
    const sum = all.reduce((a, b) => a + b, 0);
    return all.map((share) => (sum ? share / sum : 0));
  }

  /* The first features of a topic, with their measures. */
  top(k, by, count, n) {
    const order = by === "FREX" ? [...this.first[k]] : this.names.map((_, v) => v);
    const measured = order.map((v) => ({
      name: this.names[v], share: this.share(v, k), exclusivity: this.exclusivities(v, n)[k],
    }));
    if (by !== "FREX") measured.sort((a, b) => b[by] - a[by]);
    return measured.slice(0, count);
  }

  /* Features that have more of a first mixture of topics than of a second, by what that adds to the divergence. */
  differing(mixtures, count) {
    const expected = (v, mixture) => mixture.reduce((sum, share, k) => sum + share * this.share(v, k), 0);
    const all = this.names.map((name, v) => {
      const [a, b] = mixtures.map((mixture) => expected(v, mixture));
      return { name, a, b, ratio: Math.log2((a + this.floor) / (b + this.floor)) };
    });
    return all.filter(({ ratio }) => ratio > 0).sort((one, other) => other.a * other.ratio - one.a * one.ratio).slice(0, count);
  }

  /* A share that is too small to say much. */
  get floor() {
    return 0.1 / this.n_features;
  }
}
