// Bahdanau's encoder-decoder, and the one with a fixed vector, as `attnlib.seq2seq` trains them.
//
// The three methods are those of the transformer beside this file. `edit` sees the weights of a step
// before they are used: edit({ part: "cross" }, weights). It may give others.
import { average, concat, layer, linear, row, sigmoid, softmax, tanh } from "./numbers.mjs";

/** One step of a gated recurrent unit (Cho et al. 2014): the new state. */
function gru({ input, hidden }, x, h) {
  const [H, i, k] = [h.length, linear(input, x), linear(hidden, h)];
  return h.map((old, j) => {
    const reset = sigmoid(i[j] + k[j]);
    const update = sigmoid(i[H + j] + k[H + j]);
    const next = Math.tanh(i[2 * H + j] + reset * k[2 * H + j]);
    return (1 - update) * next + update * old;
  });
}

/** The additive score's matrices (Bahdanau et al. 2015, A.1.2); nothing if a model has none. */
export function additive(tensors) {
  const [W, U, v] = ["W", "U", "v"].map((name) => layer(tensors, `decoder.attention.score.${name}`));
  return W && { W, U, v: v.W.data };
}

/** v · tanh(W q + U k_s) of each source position; `keys` holds the U k_s, one behind another. */
export function additiveScores({ W, v }, state, { keys, length }) {
  const query = linear(W, state);
  return Float32Array.from({ length }, (_, s) =>
    query.reduce((sum, q, i) => sum + v[i] * Math.tanh(q + keys[s * query.length + i]), 0),
  );
}

const unit = (tensors, name, end = "") => ({
  input: { W: tensors[`${name}.weight_ih${end}`], b: tensors[`${name}.bias_ih${end}`] },
  hidden: { W: tensors[`${name}.weight_hh${end}`], b: tensors[`${name}.bias_hh${end}`] },
});

export class Recurrent {
  constructor(tensors, _, edit = null) {
    this.edit = edit;
    this.E = tensors["embedding.weight"];
    this.output = { W: this.E, b: tensors.bias };
    this.forward = unit(tensors, "encoder.rnn", "_l0");
    this.backward = unit(tensors, "encoder.rnn", "_l0_reverse");
    this.first = layer(tensors, "decoder.first");
    this.cell = unit(tensors, "decoder.cell");
    this.readout = layer(tensors, "decoder.W_c");
    this.score = additive(tensors);
  }

  /** Annotations: for each word the state of a reader that comes from the left, and of one from the right. */
  encode(ids) {
    const words = ids.map((id) => row(this.E, id));
    const read = (cell, sequence) => {
      let h = new Float32Array(cell.hidden.W.shape[1]);
      return sequence.map((x) => (h = gru(cell, x, h)));
    };
    const there = read(this.forward, words);
    const back = read(this.backward, words.slice().reverse()).reverse();
    const annotations = concat(...ids.flatMap((_, s) => [there[s], back[s]]));
    const summary = concat(there[ids.length - 1], back[0]);
    const keys = this.score && linear(this.score.U, annotations, ids.length);
    return { annotations, keys, summary, length: ids.length };
  }

  start({ summary }) {
    return tanh(linear(this.first, summary));
  }

  step(id, state, memory) {
    const word = row(this.E, id);
    let [context, weights] = [memory.summary, new Float32Array(memory.length)]; // a fixed vector
    if (this.score) {
      weights = softmax(additiveScores(this.score, state, memory));
      if (this.edit) weights = this.edit({ part: "cross" }, weights);
      context = average(weights, memory.annotations, memory.summary.length);
    }
    const next = gru(this.cell, concat(word, context), state);
    const vector = tanh(linear(this.readout, concat(next, context, word)));
    return { logits: linear(this.output, vector), weights, state: next };
  }
}
