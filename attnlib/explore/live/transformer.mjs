// The transformer (Vaswani et al. 2017) as `attnlib.transformer` trains it:
// pre-norm, with sinusoidal positions.
//
// Every model here has three methods. `encode(ids)` reads a source once: the
// memory. `start(memory)` is the decoder's state before its first step.
// `step(id, state, memory)` reads one more word, and gives the logits of the
// next, where it looked, and the new state; it changes none of its arguments,
// so a search may go on from one state in several ways.
//
// `edit`, an argument of the constructor, sees the weights of every head before
// they are used, and may give others: edit({ part, block, head }, weights). The
// part is "encoder", "decoder" or "cross".
import { layer, layerNorm, linear, plus, row, softmax } from "./numbers.mjs";

export class Transformer {
  constructor(tensors, { heads, layers }, edit = null) {
    this.heads = heads;
    this.edit = edit;
    this.E = tensors["embedding.weight"];
    this.output = { W: this.E, b: tensors.bias }; // tied (Press and Wolf 2017)
    this.width = this.E.shape[1];
    const attention = (name) =>
      layer(tensors, `${name}.W_Q`) && {
        Q: layer(tensors, `${name}.W_Q`),
        K: layer(tensors, `${name}.W_K`),
        V: layer(tensors, `${name}.W_V`),
        O: layer(tensors, `${name}.W_O`),
      };
    const stack = (name) => ({
      norm: layer(tensors, `${name}.norm`),
      blocks: Array.from({ length: layers }, (_, i) => ({
        normSelf: layer(tensors, `${name}.blocks.${i}.norm_self`),
        self: attention(`${name}.blocks.${i}.self_attention`),
        normCross: layer(tensors, `${name}.blocks.${i}.norm_cross`),
        cross: attention(`${name}.blocks.${i}.cross_attention`),
        normFeed: layer(tensors, `${name}.blocks.${i}.norm_feed_forward`),
        first: layer(tensors, `${name}.blocks.${i}.feed_forward.W_1`),
        second: layer(tensors, `${name}.blocks.${i}.feed_forward.W_2`),
      })),
    });
    this.encoder = stack("encoder");
    this.decoder = stack("decoder.stack");
  }

  /** A word's vector, scaled, plus sines and cosines of its place (3.4, 3.5). */
  embed(id, position) {
    return row(this.E, id).map((x, i) => {
      const angle = position * 10000 ** -((i - (i % 2)) / this.width);
      const hand = i % 2 ? Math.cos(angle) : Math.sin(angle);
      return Math.sqrt(this.width) * x + hand;
    });
  }

  /** Keys and values of vectors, side by side: this is what a cache holds. */
  keysAndValues({ K, V }, vectors) {
    const [keys, values] = [K, V].map((W) => vectors.map((x) => linear(W, x)));
    return { keys, values };
  }

  /** Multi-head attention of one query (3.2): what it reads, and every weight. */
  attend({ Q, O }, x, { keys, values }, where) {
    const [D, d] = [this.width, this.width / this.heads];
    const [query, read, looks] = [linear(Q, x), new Float32Array(D), []];
    for (let head = 0; head < this.heads; head += 1) {
      const from = head * d; // this head's part of every vector
      const scores = keys.map((key) => {
        let sum = 0;
        for (let i = from; i < from + d; i += 1) sum += query[i] * key[i];
        return sum / Math.sqrt(d);
      });
      let weights = softmax(scores);
      if (this.edit) weights = this.edit({ ...where, head }, weights);
      looks.push(weights);
      weights.forEach((a, s) => {
        for (let i = from; i < from + d; i += 1) read[i] += a * values[s][i];
      });
    }
    return { read: linear(O, read), looks };
  }

  /** Two linear layers with a rectifier between them (3.3). */
  feedForward({ first, second }, x) {
    return linear(second, linear(first, x).map((value) => Math.max(value, 0)));
  }

  encode(ids) {
    let vectors = ids.map((id, position) => this.embed(id, position));
    const looks = [];
    this.encoder.blocks.forEach((block, number) => {
      const normed = vectors.map((x) => layerNorm(block.normSelf, x));
      const cache = this.keysAndValues(block.self, normed);
      const where = { part: "encoder", block: number };
      const found = normed.map((x) => this.attend(block.self, x, cache, where));
      looks.push(found.map((each) => each.looks));
      vectors = vectors.map((x, t) => {
        const y = plus(x, found[t].read);
        return plus(y, this.feedForward(block, layerNorm(block.normFeed, y)));
      });
    });
    const annotations = vectors.map((x) => layerNorm(this.encoder.norm, x));
    const sources = this.decoder.blocks.map(({ cross }) =>
      this.keysAndValues(cross, annotations),
    );
    return { sources, looks, length: ids.length };
  }

  start() {
    const caches = this.decoder.blocks.map(() => ({ keys: [], values: [] }));
    return { position: 0, caches };
  }

  step(id, { position, caches }, memory) {
    let x = this.embed(id, position);
    const kept = [];
    const looks = { self: [], cross: [] };
    this.decoder.blocks.forEach((block, number) => {
      const normed = layerNorm(block.normSelf, x);
      const { keys, values } = this.keysAndValues(block.self, [normed]);
      const cache = {
        keys: caches[number].keys.concat(keys),
        values: caches[number].values.concat(values),
      };
      kept.push(cache); // it holds no later word: that is the causal mask
      let where = { part: "decoder", block: number };
      const self = this.attend(block.self, normed, cache, where);
      x = plus(x, self.read);
      where = { part: "cross", block: number };
      const query = layerNorm(block.normCross, x);
      const source = memory.sources[number];
      const cross = this.attend(block.cross, query, source, where);
      x = plus(x, cross.read);
      x = plus(x, this.feedForward(block, layerNorm(block.normFeed, x)));
      looks.self.push(self.looks);
      looks.cross.push(cross.looks);
    });
    const logits = linear(this.output, layerNorm(this.decoder.norm, x));
    const last = looks.cross[looks.cross.length - 1];
    const sum = (s) => last.reduce((total, head) => total + head[s], 0);
    const weights = last[0].map((_, s) => sum(s) / last.length); // the mean head
    const next = { position: position + 1, caches: kept };
    return { logits, weights, looks, state: next };
  }
}
