// Vectors and matrices: what the models are made of.
//
// A matrix W of shape (R, C) is one Float32Array, row after row; sums are taken in double precision.

/** y = W x + b for each of the `n` vectors that lie behind one another in x. */
export function linear({ W, b = null }, x, n = 1) {
  const [R, C] = W.shape;
  const [w, X, y] = [W.data, new Float64Array(x), new Float32Array(n * R)];
  for (let i = 0; i < n; i += 1) {
    const [from, end] = [i * C, (i + 1) * C];
    let r = 0;
    for (; r + 3 < R; r += 4) { // four rows at a time: each x is fetched once for all four
      let s0 = 0, s1 = 0, s2 = 0, s3 = 0;
      for (let c = from, at = r * C; c < end; c += 1, at += 1) {
        const value = X[c];
        s0 += w[at] * value;
        s1 += w[at + C] * value;
        s2 += w[at + 2 * C] * value;
        s3 += w[at + 3 * C] * value;
      }
      const to = i * R + r;
      y[to] = s0;
      y[to + 1] = s1;
      y[to + 2] = s2;
      y[to + 3] = s3;
    }
    for (; r < R; r += 1) {
      let sum = 0;
      for (let c = from, at = r * C; c < end; c += 1, at += 1) sum += w[at] * X[c];
      y[i * R + r] = sum;
    }
    if (b) for (r = 0; r < R; r += 1) y[i * R + r] += b.data[r];
  }
  return y;
}

export const row = (W, i) => W.data.subarray(i * W.shape[1], (i + 1) * W.shape[1]);
export const concat = (...parts) => {
  const all = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  parts.reduce((at, part) => (all.set(part, at), at + part.length), 0);
  return all;
};
export const plus = (x, y) => x.map((value, i) => value + y[i]);
export const tanh = (x) => x.map(Math.tanh);
export const sigmoid = (x) => 1 / (1 + Math.exp(-x));

/** The largest of some numbers. */
export function largest(numbers) {
  let most = -Infinity;
  for (let i = 0; i < numbers.length; i += 1) if (numbers[i] > most) most = numbers[i];
  return most;
}

/** exp(e_s) over their sum; a score of minus infinity gets no weight, and so do all if all have it. */
export function softmax(scores) {
  const [highest, weights] = [largest(scores), new Float64Array(scores.length)];
  let total = 0;
  for (let s = 0; s < scores.length; s += 1) {
    if (scores[s] > -Infinity) total += weights[s] = Math.exp(scores[s] - highest);
  }
  return new Float32Array(total > 0 ? weights.map((x) => x / total) : weights);
}

/** Logarithms of the probabilities of logits. */
export function logSoftmax(logits) {
  const [highest, logs] = [largest(logits), new Float64Array(logits)];
  let total = 0;
  for (let i = 0; i < logs.length; i += 1) total += Math.exp(logs[i] - highest);
  const log = highest + Math.log(total);
  for (let i = 0; i < logs.length; i += 1) logs[i] -= log;
  return logs;
}

/** The sum of a_s v_s, of vectors v_s that lie behind one another. */
export function average(weights, vectors, width) {
  const sum = new Float64Array(width);
  weights.forEach((a, s) => {
    if (a) for (let i = 0; i < width; i += 1) sum[i] += a * vectors[s * width + i];
  });
  return new Float32Array(sum);
}

/** (x - mean) / deviation, times a gain, plus a bias (Ba et al. 2016). */
export function layerNorm({ W, b }, x) {
  const mean = x.reduce((sum, value) => sum + value, 0) / x.length;
  const variance = x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / x.length;
  const deviation = Math.sqrt(variance + 1e-5);
  return x.map((value, i) => ((value - mean) / deviation) * W.data[i] + b.data[i]);
}

// ---------------------------------------------------------------- weights from a file

const HALVES = new Float32Array(65536); // every number of 16 bits (IEEE 754, binary16)
for (let bits = 0; bits < 65536; bits += 1) {
  const [sign, exponent, fraction] = [bits & 0x8000 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  if (exponent === 31) HALVES[bits] = fraction ? NaN : sign * Infinity;
  else HALVES[bits] = sign * (exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24);
}

/**
 * The tensors in the bytes of a safetensors file, by name: { shape, data }. A matrix of 8 bits is
 * whole numbers, and a tensor named NAME.scale that says what one is worth in each row.
 */
export function readTensors(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const size = Number(view.getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + size)));
  const whole = new Uint32Array(1);
  const float = new Float32Array(whole.buffer);
  const read = {
    F16: (at) => HALVES[view.getUint16(at, true)],
    BF16: (at) => ((whole[0] = view.getUint16(at, true) << 16), float[0]),
    I8: (at) => view.getInt8(at),
  };
  const tensors = {};
  for (const [name, { dtype, shape, data_offsets: [start, end] }] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    if (!(dtype in read)) throw new Error(`${name} is of type ${dtype}, which is not read here`);
    const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
    const step = data.length ? (end - start) / data.length : 0;
    for (let i = 0; i < data.length; i += 1) data[i] = read[dtype](8 + size + start + step * i);
    tensors[name] = { shape, data };
  }
  for (const [name, { data: scales }] of Object.entries(tensors)) {
    if (!name.endsWith(".scale")) continue;
    const { shape, data } = tensors[name.slice(0, -".scale".length)];
    data.forEach((value, i) => (data[i] = value * scales[Math.floor(i / shape[1])]));
    delete tensors[name];
  }
  return tensors;
}

/** The tensors whose names begin with `prefix.`, W and b for weight and bias; nothing if there are none. */
export function layer(tensors, prefix) {
  const [W, b] = [tensors[`${prefix}.weight`], tensors[`${prefix}.bias`]];
  return W && (b ? { W, b } : { W });
}
