// Show, attend and tell (Xu et al. 2015) for the drawn scenes, as `attnlib.captioning` trains it.
//
// The source is a picture: red, green and blue in [0, 1], one colour after another, row by row. A
// convolutional network makes one annotation of each cell of a grid; an LSTM looks at them after
// each step ("timing after"), softly or at the one cell of most weight.
import { average, concat, layer, linear, plus, row, sigmoid, softmax, tanh } from "./numbers.mjs";
import { additive, additiveScores } from "./recurrent.mjs";

/** A convolution and a rectifier: from (C, side, side) to (R, smaller, smaller). */
function convolve({ W, b }, x, side, stride) {
  const [R, C, k] = W.shape;
  const padding = (k - stride) / 2; // so that every layer is centred
  const size = Math.floor((side + 2 * padding - k) / stride) + 1;
  const patches = new Float32Array(size * size * C * k * k); // what each place sees, a row each
  let at = 0;
  for (let i = 0; i < size; i += 1) {
    for (let j = 0; j < size; j += 1) {
      for (let c = 0; c < C; c += 1) {
        for (let di = 0; di < k; di += 1) {
          for (let dj = 0; dj < k; dj += 1, at += 1) {
            const [y, z] = [i * stride - padding + di, j * stride - padding + dj];
            if (y >= 0 && y < side && z >= 0 && z < side) patches[at] = x[(c * side + y) * side + z];
          }
        }
      }
    }
  }
  const places = linear({ W: { data: W.data, shape: [R, C * k * k] }, b }, patches, size * size);
  const map = new Float32Array(places.length); // (places, R) to (R, places)
  places.forEach((value, n) => (map[(n % R) * size * size + Math.floor(n / R)] = Math.max(value, 0)));
  return { map, size };
}

export class Captioner {
  constructor(tensors, { side, strides, selection }, edit = null) {
    Object.assign(this, { side, strides, edit, hard: selection === "hard" });
    this.E = tensors["embedding.weight"];
    this.output = { W: this.E, b: tensors.bias };
    this.layers = strides.map((_, i) => layer(tensors, `encoder.layers.${2 * i}`));
    this.places = tensors["encoder.P"];
    for (const name of ["init_h", "init_c", "f_beta", "L_h", "L_z", "L_o"]) {
      this[name] = layer(tensors, `decoder.${name}`);
    }
    this.cell = ["ih", "hh"].map((which) => ({
      W: tensors[`decoder.cell.weight_${which}`],
      b: tensors[`decoder.cell.bias_${which}`],
    }));
    this.score = additive(tensors);
  }

  encode(pixels) {
    let [map, size] = [pixels.map((x) => 4 * x - 2), this.side]; // else brightness drowns colour
    this.layers.forEach((each, i) => ({ map, size } = convolve(each, map, size, this.strides[i])));
    const [S, D] = this.places.shape;
    const annotations = this.places.data.map((place, n) => place + map[(n % D) * S + Math.floor(n / D)]);
    const summary = average(new Float32Array(S).fill(1 / S), annotations, D);
    return { annotations, keys: linear(this.score.U, annotations, S), summary, length: S };
  }

  start({ summary }) {
    const fed = new Float32Array(summary.length);
    return { h: tanh(linear(this.init_h, summary)), c: tanh(linear(this.init_c, summary)), fed };
  }

  step(id, { h, c, fed }, memory) {
    const word = row(this.E, id);
    const { H, C } = this.lstm(concat(word, fed), h, c);
    let weights = softmax(additiveScores(this.score, H, memory));
    if (this.edit) weights = this.edit({ part: "cross" }, weights);
    const most = weights.indexOf(weights.reduce((a, b) => Math.max(a, b)));
    const used = this.hard ? weights.map((_, s) => (s === most ? 1 : 0)) : weights;
    const gate = sigmoid(linear(this.f_beta, H)[0]); // how much of what it sees is let in (4.2.1)
    const z = average(used, memory.annotations, memory.summary.length).map((x) => gate * x);
    const seen = plus(plus(word, linear(this.L_h, H)), linear(this.L_z, z)); // deep output, eq. 7
    const logits = linear(this.output, linear(this.L_o, seen));
    return { logits, weights, gate, state: { h: H, c: C, fed: z } };
  }

  /** One step of the LSTM (Hochreiter and Schmidhuber 1997): the new state and memory. */
  lstm(x, h, c) {
    const [n, sums] = [h.length, plus(linear(this.cell[0], x), linear(this.cell[1], h))];
    const C = c.map((old, j) => sigmoid(sums[n + j]) * old + sigmoid(sums[j]) * Math.tanh(sums[2 * n + j]));
    return { C, H: C.map((cell, j) => sigmoid(sums[3 * n + j]) * Math.tanh(cell)) };
  }
}
