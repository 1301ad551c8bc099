// Soft against hard: an average beside a choice; draw samples and watch the estimate of the gradient settle.
import { announcer, average, choices, dataTable, fixed, formula, frame, h, pick, scroller, slider, softmax, svg, uniform, unique, viridis } from "./base.mjs";

// ---------------------------------------------------------------- the numbers

/** All there is to know of scores (S,), values (S,) and a target before anything is drawn. */
export function problem(scores, values, target) {
  const reward = (c) => -((c - target) ** 2) / 2;
  const weights = softmax(scores);
  const rewards = values.map(reward);
  const context = average(weights, values.map((v) => [v]))[0];
  const hardReward = weights.reduce((sum, a, s) => sum + a * rewards[s], 0);
  return {
    target,
    values,
    weights,
    rewards,
    reward,
    context,
    hardReward,
    softReward: reward(context),
    exact: weights.map((a, s) => a * (rewards[s] - hardReward)),
    softGradient: weights.map((a, s) => a * (values[s] - context) * (target - context)),
  };
}

/** What one sample, which chose key `chosen`, says of the gradient for the score of `key`. */
const oneSample = ({ weights, rewards }, chosen, key, b) => (rewards[chosen] - b) * ((chosen === key) - weights[key]);

/** The variance of one sample's estimate, over every choice, with the baseline b. */
export const variance = (given, key, b) =>
  given.weights.reduce((sum, a, s) => sum + a * (oneSample(given, s, key, b) - given.exact[key]) ** 2, 0);

/** The keys that the first n samples chose. */
export const sample = (weights, seed, n) => Array.from({ length: n }, (_, i) => pick(weights, uniform(seed, i)));

/** The estimate for the score of `key` after every one of the samples: their running mean. */
export function running(given, chosen, key, b) {
  let sum = 0;
  return chosen.map((s, i) => (sum += oneSample(given, s, key, b)) / (i + 1));
}

/** How many of the samples chose each of S keys. */
export function count(chosen, S) {
  const counts = Array(S).fill(0);
  for (const s of chosen) counts[s] += 1;
  return counts;
}

const MOST = 10000; // samples
const REACH = 5; // of scores and the target

// ---------------------------------------------------------------- the look

const STYLE = `
.attn-softhard { display: grid; gap: 1.1rem; grid-template-columns: minmax(0, 1fr); }
.attn-softhard .columns { display: grid; gap: 1rem 1.8rem; grid-template-columns: minmax(0, 1fr); align-items: start; }
.attn-softhard .columns > div { display: grid; gap: 0.7rem; grid-template-columns: minmax(0, 1fr); }
@container (min-width: 37rem) { .attn-softhard .columns { grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); } }
@container (max-width: 37rem) {
  .attn-softhard .columns { display: flex; flex-direction: column; align-items: stretch; }
  .attn-softhard .columns > div:has(> .picture), .attn-softhard .columns > div:has(> .picture) + div { display: contents; }
  .attn-softhard .columns > div > .picture { position: sticky; top: var(--attn-top, 0px); z-index: 2; border: 1px solid var(--line); }
}
.attn-softhard .field { display: grid; gap: 0.25rem; justify-items: start; grid-template-columns: minmax(0, 1fr); }
.attn-softhard .field label { margin: 0; }
.attn-softhard .note { padding: 0.6rem 0.9rem; border-radius: 10px; background: var(--sunk); border-left: 4px solid var(--context); min-height: 5.1rem; }
.attn-softhard .picture { display: block; width: 100%; max-width: 30rem; margin: 0 auto; border-radius: 10px; background: var(--sunk); }
.attn-softhard .picture text { font-size: 14.5px; fill: var(--soft); dominant-baseline: central; }
.attn-softhard .picture .label {
  fill: var(--ink); font-weight: 600; text-anchor: middle; paint-order: stroke; stroke: var(--sunk); stroke-width: 5px; stroke-linejoin: round;
}
.attn-softhard .picture .down { text-anchor: middle; } .attn-softhard .picture .across { text-anchor: end; }
.attn-softhard .grid { stroke: var(--line); stroke-width: 1; }
.attn-softhard .curve { fill: none; stroke: var(--soft); stroke-width: 1.6; }
.attn-softhard .aim { stroke: var(--ink); stroke-width: 1.6; stroke-dasharray: 2 4; }
.attn-softhard .gap { stroke: var(--context); stroke-width: 1.6; stroke-dasharray: 4 3; }
.attn-softhard .of-key { fill: var(--value); stroke: var(--sunk); stroke-width: 1.5; }
.attn-softhard .of-key.chosen { stroke: var(--ink); stroke-width: 2.2; }
.attn-softhard .of-soft { fill: var(--context); stroke: var(--ink); stroke-width: 1.4; }
.attn-softhard .of-hard { fill: none; stroke: var(--ink); stroke-width: 2; }
.attn-softhard .band { fill: var(--query); opacity: 0.18; }
.attn-softhard .other { fill: none; stroke: var(--soft); stroke-width: 1.3; stroke-dasharray: 2 4; }
.attn-softhard .truth { stroke: var(--ink); stroke-width: 1.8; stroke-dasharray: 9 4; }
.attn-softhard .average { stroke: var(--context); stroke-width: 2.2; stroke-dasharray: 2 3; }
.attn-softhard .estimate { fill: none; stroke: var(--query); stroke-width: 2; stroke-linejoin: round; }
.attn-softhard .now { fill: var(--query); stroke: var(--sunk); stroke-width: 1.5; }
.attn-softhard .keyed { display: flex; flex-wrap: wrap; gap: 0.15rem 1.1rem; margin: 0; padding: 0; list-style: none; color: var(--soft); font-size: 0.84em; }
.attn-softhard .keyed li { display: flex; align-items: center; gap: 0.4rem; margin: 0; }
.attn-softhard .keyed svg { flex: none; width: 30px; height: 16px; }
.attn-softhard .columns table { width: 100%; }
.attn-softhard .columns :is(td, th) { padding: 0.3rem 0.3rem; white-space: nowrap; }
.attn-softhard .columns thead th { white-space: normal; line-height: 1.25; }
.attn-softhard .where { display: block; color: var(--soft); font-size: 0.82em; font-weight: 400; }
.attn-softhard .share { width: 38%; }
.attn-softhard .meter { display: grid; grid-template-columns: minmax(1.5rem, 1fr) 3.1rem; gap: 0.4rem; align-items: center; }
.attn-softhard .meter + .meter { margin-top: 2px; }
.attn-softhard .track { height: 9px; border-radius: 3px; background: var(--sunk); border: 1px solid var(--line); overflow: hidden; }
.attn-softhard .track span { display: block; height: 100%; }
.attn-softhard .drawn .track span { background: repeating-linear-gradient(115deg, var(--key) 0 3px, var(--key-ink) 3px 5px); }
.attn-softhard tr.chosen th strong { text-decoration: underline; text-underline-offset: 3px; }
.attn-softhard .draws { display: flex; flex-wrap: wrap; gap: 0.5rem; align-items: center; padding-top: 1rem; border-top: 1px solid var(--line); }
.attn-softhard .draws button:disabled { opacity: 0.5; cursor: default; }
.attn-softhard .draws .count { font-weight: 600; min-width: 8.5rem; }
.attn-softhard dl { display: grid; grid-template-columns: minmax(0, 1fr) max-content; gap: 0.2rem 1rem; margin: 0; align-items: baseline; }
.attn-softhard dt { margin: 0; font-weight: 400; color: var(--soft); font-size: 0.9em; }
.attn-softhard dd { margin: 0; text-align: right; font-weight: 600; }
.attn-softhard dd.big { font-size: 1.15em; }
.attn-softhard .equations { display: flex; flex-wrap: wrap; gap: 0.3rem 1.6rem; }
`;

// ---------------------------------------------------------------- the two pictures

const W = 400; // of both pictures, in the drawing's own pixels

/** A few round numbers from low to high. */
export function ticks(low, high) {
  const rough = (high - low) / 6;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((m) => m * power >= rough);
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
}
const short = (x) => fixed(x, Math.abs(x - Math.round(x)) < 1e-9 ? 0 : Math.abs(10 * x - Math.round(10 * x)) < 1e-9 ? 1 : 2);
const diamond = (x, y, r = 7) => svg("path", { class: "of-soft", d: `M${x} ${y - r} L${x + r} ${y} L${x} ${y + r} L${x - r} ${y} z` });
const square = (x, y, r = 7.5) => svg("rect", { class: "of-hard", x: x - r, y: y - r, width: 2 * r, height: 2 * r });
const line = (name, x1, y1, x2, y2) => svg("line", { class: name, x1, y1, x2, y2 });

function figure(id, height, label) {
  const desc = svg("desc", { id: `${id}-desc` });
  const inside = svg("g");
  const node = svg(
    "svg",
    { class: "picture", viewBox: `0 0 ${W} ${height}`, role: "img", "aria-label": label, "aria-describedby": `${id}-desc` },
    desc,
    inside,
  );
  const show = (told, ...parts) => {
    desc.textContent = told;
    inside.replaceChildren(...parts.flat(Infinity).filter(Boolean));
  };
  return { node, show };
}

/** The reward of every context, with the keys, the average and the mean of the choices on it. */
function rewardPicture(id) {
  const height = 250;
  const [left, right, top, bottom] = [46, W - 14, 26, height - 44];
  const { node, show } = figure(id, height, "The reward of a context, and where keys, average and choices lie");
  const draw = (given, key) => {
    const { values, weights, rewards, reward, target, context, softReward, hardReward } = given;
    const ends = [...values, target];
    const pad = Math.max(0.14 * (Math.max(...ends) - Math.min(...ends)), 0.2);
    const [low, high] = [Math.min(...ends) - pad, Math.max(...ends) + pad];
    const deepest = Math.min(reward(low), reward(high));
    const x = (c) => left + ((c - low) / (high - low)) * (right - left);
    const y = (r) => top + (r / deepest) * (bottom - top);
    const curve = Array.from({ length: 61 }, (_, i) => low + ((high - low) * i) / 60).map((c) => `${x(c).toFixed(1)} ${y(reward(c)).toFixed(1)}`);
    const dots = values.map((v, s) => {
      const r = 4 + 9 * Math.sqrt(weights[s]);
      const side = v < target ? -1 : 1;
      const labelled = Math.min(Math.max(x(v) + side * (r + 12), left + 10), right - 10);
      return [
        svg("circle", { class: s === key ? "of-key chosen" : "of-key", cx: x(v), cy: y(rewards[s]), r }),
        svg("text", { class: "label", x: labelled, y: y(rewards[s]) - 7 }, `k${s}`),
      ];
    });
    show(
      `Target ${short(target)}. ${values.map((v, s) => `k${s} has the value ${short(v)} and earns ${fixed(rewards[s])}`).join("; ")}. ` +
        `The average ${fixed(context)} earns ${fixed(softReward)}, a choice ${fixed(hardReward)} on average.`,
      ticks(deepest, 0).map((r) => [line("grid", left, y(r), right, y(r)), svg("text", { class: "across", x: left - 6, y: y(r) }, short(r))]),
      ticks(low, high).map((c) => svg("text", { class: "down", x: x(c), y: bottom + 15 }, short(c))),
      svg("text", { class: "down", x: (left + right) / 2, y: bottom + 33 }, "context c"),
      svg("text", { x: 8, y: 11 }, "reward r(c)"),
      svg("path", { class: "curve", d: `M${curve.join(" L")}` }),
      line("aim", x(target), top - 6, x(target), bottom),
      line("gap", x(context), y(softReward), x(context), y(hardReward)),
      dots,
      diamond(x(context), y(softReward)),
      square(x(context), y(hardReward)),
    );
  };
  return { node, draw };
}

/** The estimate for one key as samples come in, in the band of its exact standard error. */
function estimatePicture(id) {
  const height = 290;
  const [left, right, top, bottom] = [52, W - 14, 26, height - 44];
  const { node, show } = figure(id, height, "The estimate of the gradient by the number of samples");
  const clip = svg("clipPath", { id: `${id}-clip` }, svg("rect", { x: left, y: top, width: right - left, height: bottom - top }));
  const draw = ({ estimates, exact, soft, deviation, other, key }) => {
    const n = estimates.length;
    const powers = Math.max(2, Math.ceil(Math.log10(Math.max(n, 1)) - 1e-9)); // the axis ends at 10^powers
    const room = 2 * Math.max(deviation, other) || 1;
    const low = Math.min(exact - room, soft - 0.1 * room, -0.1 * room);
    const high = Math.max(exact + room, soft + 0.1 * room, 0.1 * room);
    const x = (i) => left + (Math.log10(i) / powers) * (right - left);
    const y = (g) => bottom - ((g - low) / (high - low)) * (bottom - top);
    const path = (points) => `M${points.map(([i, g]) => `${x(i).toFixed(1)} ${y(g).toFixed(1)}`).join(" L")}`;
    const steps = Array.from({ length: 20 * powers + 1 }, (_, i) => 10 ** (i / 20));
    const edge = (width, sign) => steps.map((i) => [i, exact + (sign * width) / Math.sqrt(i)]);
    const seen = [...new Set(Array.from({ length: 100 * powers + 1 }, (_, i) => Math.round(10 ** (i / 100))))].filter((i) => i < n);
    const decades = Array.from({ length: powers + 1 }, (_, i) => 10 ** i);
    show(
      `After ${n} samples the estimate for k${key} ${n ? `is ${fixed(estimates[n - 1])}` : "does not exist yet"}; the exact gradient is ` +
        `${fixed(exact)}, the standard error ${n ? fixed(deviation / Math.sqrt(n)) : `of one sample ${fixed(deviation)}`}, the average’s own gradient ${fixed(soft)}.`,
      svg("defs", {}, clip),
      ticks(low, high).map((g) => [line("grid", left, y(g), right, y(g)), svg("text", { class: "across", x: left - 6, y: y(g) }, short(g))]),
      decades.map((i) => [line("grid", x(i), top, x(i), bottom), svg("text", { class: i === 1 || i < decades.at(-1) ? "down" : "across", x: i < decades.at(-1) ? x(i) : right, y: bottom + 15 }, String(i))]),
      svg("text", { class: "down", x: (left + right) / 2, y: bottom + 33 }, "samples n"),
      svg("text", { x: 8, y: 11 }, `gradient for the score of k${key}`),
      svg(
        "g",
        { "clip-path": `url(#${id}-clip)` },
        svg("path", { class: "band", d: `${path([...edge(deviation, 1), ...edge(deviation, -1).reverse()])} z` }),
        svg("path", { class: "other", d: path(edge(other, 1)) }),
        svg("path", { class: "other", d: path(edge(other, -1)) }),
        line("average", left, y(soft), right, y(soft)),
        line("truth", left, y(exact), right, y(exact)),
        n > 0 && svg("path", { class: "estimate", d: path([...seen, n].map((i) => [i, estimates[i - 1]])) }),
      ),
      n > 0 && svg("circle", { class: "now", cx: x(n), cy: Math.min(Math.max(y(estimates[n - 1]), top), bottom), r: 5 }),
    );
  };
  return { node, draw };
}

/** What the marks of a picture mean: [mark, words] pairs, each mark drawn in 30 by 16 pixels. */
const keyed = (...pairs) =>
  h(
    "ul",
    { class: "keyed" },
    pairs.map(([mark, words]) => h("li", {}, svg("svg", { viewBox: "0 0 30 16", "aria-hidden": "true" }, mark), words)),
  );

// ---------------------------------------------------------------- the figure

const sign = (x) => (Number(Math.abs(x).toFixed(3)) === 0 ? "no push" : x > 0 ? "up" : "down");

function render({ model, el }) {
  const id = unique("softhard");
  const cases = model.get("cases");
  let busy = false;
  const set = (changes) => {
    busy = true; // several numbers, one drawing
    for (const [name, value] of Object.entries(changes)) model.set(name, value);
    busy = false;
    draw();
    model.save_changes();
  };

  // ---- the problem
  const menu = h(
    "select",
    {
      id: `${id}-case`,
      onchange: () => {
        const { scores, values, target } = cases[Number(menu.value)] ?? {};
        if (scores) set({ scores, values, target, key: Math.min(model.get("key"), scores.length - 1) });
      },
    },
    h("option", { value: "" }, "Your own numbers"),
    cases.map(({ name }, i) => h("option", { value: i }, name)),
  );
  const note = h("p", { class: "note" });
  const rewards = rewardPicture(`${id}-rewards`);
  const aim = slider({
    label: "target y",
    min: -REACH,
    max: REACH,
    step: 0.1,
    say: (x) => fixed(x, 1),
    oninput: (target) => set({ target }),
  });
  const scoreSliders = h("div");
  const keyPills = h("div");
  const keyRows = h("tbody");
  const [soft, hard] = ["soft-reward", "hard-reward"].map((name) => h("dd", { class: `${name} big` }));

  // ---- drawing samples
  const more = [1, 10, 100, 1000].map((n) =>
    h(
      "button",
      { type: "button", onclick: () => set({ samples: Math.min(model.get("samples") + n, MOST) }) },
      n === 1 ? "Draw 1" : `Draw ${n}`,
    ),
  );
  const again = h(
    "button",
    { type: "button", onclick: () => set({ samples: 0, seed: (model.get("seed") + 1) % 10000 }) },
    "Start again",
  );
  const drawnSoFar = h("span", { class: "count" });
  const baseline = choices({
    legend: "baseline",
    name: `${id}-baseline`,
    options: [
      ["off", "off, b = 0"],
      ["on", "on, b = E[r]"],
    ],
    onpick: (value) => set({ baseline: value === "on" }),
  });
  const chart = estimatePicture(`${id}-chart`);
  const number = (name, big) => h("dd", { class: big ? `${name} big` : name });
  const [estimate, exact, error, own, without, withIt, ratio, overall] = [
    "estimate", "exact", "error", "own", "without", "with", "ratio", "overall",
  ].map((name, i) => number(name, i < 2));
  const whose = h("strong");
  const turned = h("span");
  const table = h("div");
  const voice = announcer();

  let shown = null; // what the rows, pills and slider were built for
  function layOut(S) {
    const bar = (name) => {
      const fill = h("span");
      const text = h("span", { class: "number" });
      return { fill, text, node: h("div", { class: `meter ${name}` }, h("div", { class: "track" }, fill), text) };
    };
    const rows = Array.from({ length: S }, (_, s) => {
      const where = h("span", { class: "where" });
      const [weight, drawn] = ["weight", "drawn"].map(bar);
      const [byChoice, byAverage] = ["by-choice", "by-average"].map((name) => h("td", { class: name }));
      const node = h(
        "tr",
        {},
        h("th", { scope: "row" }, h("strong", { class: "is-key" }, `k${s}`), where),
        h("td", { class: "share" }, weight.node, drawn.node),
        byChoice,
        byAverage,
      );
      return { node, where, weight, drawn, byChoice, byAverage };
    });
    keyRows.replaceChildren(...rows.map(({ node }) => node));
    const pills = choices({
      legend: "a score to follow",
      name: `${id}-key`,
      options: rows.map((_, s) => [String(s), `k${s}`]),
      onpick: (value) => set({ key: Number(value) }),
    });
    keyPills.replaceChildren(pills.node);
    const turn = slider({
      label: "its score e",
      min: -REACH,
      max: REACH,
      step: 0.1,
      say: (x) => fixed(x, 1),
      oninput: (value) => set({ scores: model.get("scores").map((e, s) => (s === model.get("key") ? value : e)) }),
    });
    scoreSliders.replaceChildren(turn.node);
    shown = { S, rows, pills, turn };
  }

  // ---- drawing
  function draw() {
    if (busy) return;
    const [scores, values, target, key, n, on, seed] = ["scores", "values", "target", "key", "samples", "baseline", "seed"].map((name) => model.get(name));
    const S = scores.length;
    if (shown?.S !== S) layOut(S);
    const given = problem(scores, values, target);
    const chosen = sample(given.weights, seed, n);
    const counts = count(chosen, S);
    const b = on ? given.hardReward : 0;
    const estimates = running(given, chosen, key, b);
    const off = scores.map((_, s) => variance(given, s, 0));
    const taken = scores.map((_, s) => variance(given, s, given.hardReward));
    const deviation = Math.sqrt((on ? taken : off)[key]);

    const which = cases.findIndex((each) => JSON.stringify([each.scores, each.values, each.target]) === JSON.stringify([scores, values, target]));
    menu.value = which < 0 ? "" : which;
    note.textContent = which < 0 ? "Your own numbers: turn the target and the scores, and see which reward follows." : cases[which].note;
    rewards.draw(given, key);
    aim.show(target);
    shown.turn.show(scores[key]);
    shown.pills.show(String(key));
    shown.rows.forEach((row, s) => {
      const a = given.weights[s];
      row.node.classList.toggle("chosen", s === key);
      row.where.textContent = `v = ${short(values[s])}`;
      row.weight.text.textContent = fixed(a);
      row.weight.fill.style.width = `${100 * a}%`;
      row.weight.fill.style.background = viridis(a);
      row.drawn.text.textContent = counts[s];
      row.drawn.fill.style.width = `${n ? (100 * counts[s]) / n : 0}%`;
      row.byChoice.textContent = fixed(given.exact[s]);
      row.byAverage.textContent = fixed(given.softGradient[s]);
    });
    soft.textContent = fixed(given.softReward);
    hard.textContent = fixed(given.hardReward);

    drawnSoFar.textContent = n === 1 ? "1 sample" : `${n} samples`;
    for (const button of more) button.disabled = n >= MOST;
    baseline.show(on ? "on" : "off");
    chart.draw({ estimates, exact: given.exact[key], soft: given.softGradient[key], deviation, other: Math.sqrt((on ? off : taken)[key]), key });
    turned.textContent = `± one ${on ? "without" : "with"} the baseline`;
    whose.textContent = `k${key}`;
    estimate.textContent = n ? fixed(estimates[n - 1]) : "none yet";
    exact.textContent = fixed(given.exact[key]);
    error.textContent = n ? fixed(deviation / Math.sqrt(n)) : "none yet";
    own.textContent = fixed(given.softGradient[key]);
    without.textContent = fixed(off[key]);
    withIt.textContent = fixed(taken[key]);
    const sum = (numbers) => numbers.reduce((x, y) => x + y, 0);
    const times = (over, under) => (under > 1e-12 ? fixed(over / under, 1) : over > 1e-12 ? "∞" : "none");
    ratio.textContent = times(off[key], taken[key]);
    overall.textContent = times(sum(off), sum(taken));
    const all = n > 0 && scores.map((_, s) => running(given, chosen, s, b)[n - 1]);
    table.replaceChildren(
      dataTable({
        caption: `Keys down; ${n} samples, baseline ${on ? "on" : "off"}`,
        corner: "key",
        columns: ["score", "weight", "drawn", "value", "reward", "gradient of the choice", "its estimate", "its standard error", "gradient of the average"],
        rows: scores.map((_, s) => `k${s}`),
        weights: scores.map((e, s) => [
          e, given.weights[s], counts[s], values[s], given.rewards[s], given.exact[s],
          n ? all[s] : null, n ? Math.sqrt((on ? taken : off)[s] / n) : null, given.softGradient[s],
        ]),
        say: (x, column) => (x === null ? "none yet" : fixed(x, column === 2 ? 0 : 3)),
        open: table.querySelector("details")?.open ?? false,
      }),
    );
    voice.say(
      `${drawnSoFar.textContent}, baseline ${on ? "on" : "off"}. Score of k${key}: ` +
        `${n ? `estimate ${estimate.textContent}, ` : ""}exact ${exact.textContent}, ${sign(given.exact[key])}; ` +
        `by the average ${own.textContent}, ${sign(given.softGradient[key])}. ` +
        `The average earns ${soft.textContent}, a choice ${hard.textContent}.`,
    );
  }
  frame(
    el,
    "softhard",
    "Soft against hard: an average or a choice",
    STYLE,
    h(
      "div",
      { class: "columns" },
      h("div", { class: "field" }, h("label", { for: `${id}-case` }, "The little problem"), menu),
      note,
    ),
    h(
      "div",
      { class: "columns" },
      h(
        "div",
        {},
        rewards.node,
        keyed(
          [svg("circle", { class: "of-key", cx: 15, cy: 8, r: 6 }), "a key’s value; area: weight"],
          [diamond(15, 8), "the average, soft"],
          [square(15, 8, 7), "mean of the choices, hard"],
          [line("aim", 15, 0, 15, 16), "target y"],
        ),
        h("dl", {}, h("dt", {}, "reward of the average, r(c)"), soft, h("dt", {}, "expected reward of a choice, E[r]"), hard),
        aim.node,
      ),
      h(
        "div",
        {},
        scroller(
          "Keys with weights, samples and gradients",
          h(
            "table",
            {},
            h("caption", { class: "unseen" }, "Each key’s weight, how often it was drawn, and the exact gradients for its score"),
            h(
              "thead",
              {},
              h(
                "tr",
                {},
                ["key", "weight, and how often drawn", "∂E[r]/∂e choice", "∂r(c)/∂e average"].map((name) => h("th", { scope: "col" }, name)),
              ),
            ),
            keyRows,
          ),
        ),
        keyPills,
        scoreSliders,
      ),
    ),
    h("div", { class: "draws" }, drawnSoFar, more, again),
    h(
      "div",
      { class: "columns" },
      h(
        "div",
        {},
        chart.node,
        keyed(
          [svg("path", { class: "estimate", d: "M2 4 L8 12 L15 6 L22 9 L28 8" }), "estimate"],
          [line("truth", 0, 8, 30, 8), "exact"],
          [svg("rect", { class: "band", x: 2, y: 1, width: 26, height: 14 }), "± one standard error"],
          [line("other", 0, 8, 30, 8), turned],
          [line("average", 0, 8, 30, 8), "the average’s gradient"],
        ),
      ),
      h(
        "div",
        {},
        baseline.node,
        h("p", { class: "name" }, "Gradient for the score of ", whose),
        h(
          "dl",
          {},
          h("dt", {}, "estimate"),
          estimate,
          h("dt", {}, "exact, by listing all choices"),
          exact,
          h("dt", {}, "standard error, √(variance / n)"),
          error,
          h("dt", {}, "of the average, which optimises r(c)"),
          own,
        ),
        h("p", { class: "name" }, "Variance of one sample"),
        h(
          "dl",
          {},
          h("dt", {}, "baseline off"),
          without,
          h("dt", {}, "baseline on"),
          withIt,
          h("dt", {}, "off / on: times the samples needed"),
          ratio,
          h("dt", {}, "the same over all scores"),
          overall,
        ),
      ),
    ),
    h(
      "div",
      { class: "equations" },
      formula("∂\\u{E}[r]/∂e_s = a_s (r_s − \\u{E}[r])"),
      formula("≈ 1/n Σ_i (r_i − b)(1[s_i = s] − a_s)"),
      formula("∂r(\\c{c})/∂e_s = a_s (\\v{v_s} − \\c{c})(y − \\c{c})"),
    ),
    h(
      "p",
      { class: "hint" },
      "A context c earns r(c) = −(c − y)² / 2. Either baseline leaves the mean of the estimate where it is, and moves its variance only. " +
        "b = E[r] is exact here, because all rewards can be listed; Xu et al. (2015, section 4.1) keep a moving average of past rewards, which is noisier. " +
        "It need not help every single score.",
    ),
    table,
    voice.node,
  );
  const names = ["scores", "values", "target", "samples", "key", "baseline", "seed"];
  for (const name of names) model.on(`change:${name}`, draw);
  draw();
  return () => names.forEach((name) => model.off(`change:${name}`, draw));
}

export default { render };
