// Draw the scenes of chapter 7, and say whether a caption of them is true, as `attnlib.data` does.
//
// A thing is { noun, colour, size, texture, x, y, radius, angle }; places are in pixels, y down.

const SIDE = 64;
const RGB = {
  red: [200, 55, 42],
  green: [25, 190, 118],
  blue: [30, 95, 250],
  yellow: [248, 208, 48],
  purple: [166, 73, 170],
  white: [245, 245, 245],
};
const FIFTH = Math.PI / 5;

// The distance of a point (u, v) to the outline of a thing of radius r; negative inside.
const SHAPES = {
  circle: (u, v, r) => Math.hypot(u, v) - r,
  ring: (u, v, r) => Math.abs(Math.hypot(u, v) - 0.8 * r) - 0.29 * r,
  square: (u, v, r) => Math.max(Math.abs(u), Math.abs(v)) - 0.89 * r,
  triangle: (u, v, r) => Math.max(v, 0.8660254 * Math.abs(u) - 0.5 * v) - 0.67 * r,
  cross: (u, v, r) => {
    const [x, y] = [Math.abs(u), Math.abs(v)];
    return Math.max(Math.max(x, y) - 1.1 * r, Math.min(x, y) - 0.38 * r);
  },
  star: (u, v, r) => {
    const [tip, notch] = [1.32 * r, 0.6 * r];
    const around = Math.atan2(u, -v) + FIFTH;
    const turn = Math.abs(around - 2 * FIFTH * Math.floor(around / (2 * FIFTH)) - FIFTH);
    const edge = [notch * Math.cos(FIFTH) - tip, notch * Math.sin(FIFTH)];
    const [far, long] = [Math.hypot(u, v), Math.hypot(...edge)];
    return ((far * Math.cos(turn) - tip) * edge[1] - far * Math.sin(turn) * edge[0]) / long;
  },
};
export const NOUNS = Object.keys(SHAPES);
export const COLOURS = Object.keys(RGB);
export const TEXTURES = ["", "striped", "dotted"];

const clip = (x, low, high) => Math.min(Math.max(x, low), high);

function texture(name, u, v) {
  if (name === "striped") return clip(0.9 + Math.cos(v * ((2 * Math.PI) / 4.2)), 0.45, 1);
  return clip(1.7 - Math.cos((u * Math.PI) / 2) - Math.cos((v * Math.PI) / 2), 0.4, 1);
}

/**
 * The picture of things, the last in front: red, green and blue of each pixel, 0 to 255, row by row.
 * `background` and `noise` are as long; `shades` has three factors a thing.
 */
export function draw(things, { background, noise, shades }) {
  const image = Float32Array.from(background);
  things.forEach(({ noun, colour, texture: pattern, x, y, radius, angle }, n) => {
    const [cos, sin] = [Math.cos((angle * Math.PI) / 180), Math.sin((angle * Math.PI) / 180)];
    for (let i = 0; i < SIDE; i += 1) {
      for (let j = 0; j < SIDE; j += 1) {
        const [dx, dy] = [j + 0.5 - x, i + 0.5 - y];
        const [u, v] = [cos * dx + sin * dy, cos * dy - sin * dx];
        const distance = SHAPES[noun](u, v, radius);
        const alpha = clip(0.5 - distance, 0, 1);
        if (!alpha) continue;
        const rim = clip(-distance - 0.3, 0.6, 1); // dark, it sets equal colours apart
        const bright = pattern ? Math.min(rim, texture(pattern, u, v)) : rim;
        RGB[colour].forEach((value, c) => {
          const at = 3 * (i * SIDE + j) + c;
          image[at] += alpha * (bright * value * shades[n][c] - image[at]);
        });
      }
    }
  });
  return Uint8ClampedArray.from(image, (value, i) => Math.floor(clip(value + noise[i], 0, 255)));
}

/** The colours of a picture one after another, in [0, 1], as the models read them. */
export const planes = (image) =>
  Float32Array.from({ length: image.length }, (_, i) => image[3 * (i % (SIDE * SIDE)) + Math.floor(i / (SIDE * SIDE))] / 255);

// ---------------------------------------------------------------- truth

const MARGIN = 8; // pixels by which centres must differ
const NUMBERS = { two: 2, three: 3, four: 4 };
const PLURAL = { circle: "circles", ring: "rings", square: "squares", triangle: "triangles", cross: "crosses", star: "stars" };
const SINGULAR = Object.fromEntries(Object.entries(PLURAL).map(([one, many]) => [many, one]));
const RELATIONS = {
  "left of": (a, b) => b.x - a.x > MARGIN,
  "right of": (a, b) => a.x - b.x > MARGIN,
  above: (a, b) => b.y - a.y > MARGIN,
  below: (a, b) => a.y - b.y > MARGIN,
};
const KINDS = [["small", "large"], TEXTURES.slice(1), COLOURS];

/** A caption as phrases { number, noun, adjectives, said } and the relations of the first to the others; null if it cannot be read. */
export function parse(text) {
  const words = text.trim().split(/\s+/).filter(Boolean);
  let at = 0;
  const phrase = () => {
    const start = at;
    const number = NUMBERS[words[at]] ?? 0;
    if (!number && words[at] !== "a") return null;
    at += 1;
    const adjectives = KINDS.map((kind) => (kind.includes(words[at]) ? words[at++] : ""));
    const noun = number ? SINGULAR[words[at]] : words[at] in PLURAL && words[at];
    if (!noun) return null;
    at += 1;
    return { number, noun, adjectives, said: words.slice(start, at).join(" ") };
  };
  const phrases = [phrase()];
  const relations = [];
  while (phrases.every(Boolean) && at < words.length) {
    if (relations.length && (relations.length === 2 || words[at++] !== "and")) return null;
    const two = `${words[at]} ${words[at + 1]}`;
    const relation = two in RELATIONS ? two : words[at] in RELATIONS && words[at];
    if (!relation) return null;
    at += relation.split(" ").length;
    relations.push(relation);
    phrases.push(phrase());
  }
  return words.length && phrases.every(Boolean) ? { phrases, relations } : null;
}

/** What is false of a caption, in words; nothing if it is true. */
export function faults(text, things) {
  const read = parse(text);
  if (!read) return ["this is no sentence of the captions' grammar"];
  const { phrases, relations } = read;
  const fits = phrases.map(({ noun, adjectives }) =>
    things.filter((thing) => thing.noun === noun && [thing.size, thing.texture, thing.colour].every((is, k) => !adjectives[k] || adjectives[k] === is)),
  );
  const groups = phrases.map(({ number }, k) => (number ? (fits[k].length === number ? [fits[k]] : []) : fits[k].map((thing) => [thing])));
  const wrong = phrases.flatMap(({ number, said, noun, adjectives }, k) => {
    if (groups[k].length) return [];
    const name = (many) => [...adjectives.filter(Boolean), many ? PLURAL[noun] : noun].join(" ");
    const count = fits[k].length;
    if (!number || !count) return [`there is no ${name(false)}`];
    return [`there ${count > 1 ? `are ${count}` : "is one"} ${name(count > 1)}, not ${said.split(" ")[0]}`];
  });
  if (wrong.length) return [...new Set(wrong)];
  const holds = (relation, ones, others) => ones.every((a) => others.every((b) => RELATIONS[relation](a, b)));
  const apart = (chosen) => new Set(chosen.flat()).size === chosen.flat().length;
  const readings = groups[0].filter((first) => {
    const rest = relations.map((relation, k) => groups[k + 1].filter((group) => holds(relation, first, group)));
    return rest.reduce((sofar, some) => sofar.flatMap((chosen) => some.map((group) => [...chosen, group])), [[first]]).some(apart);
  });
  if (readings.length) return [];
  const failing = relations.flatMap((relation, k) =>
    groups[0].some((first) => groups[k + 1].some((group) => apart([first, group]) && holds(relation, first, group)))
      ? []
      : [`${phrases[0].said} is not ${relation} ${phrases[k + 1].said}`],
  );
  return failing.length ? failing : [`no thing is ${relations.map((relation, k) => `${relation} ${phrases[k + 1].said}`).join(" and ")} at once`];
}
