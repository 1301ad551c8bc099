"""The five dials: turn one, and formula, diagram, paper and weights follow."""

import itertools
from typing import Any

import torch
import traitlets as tr

from attnlib.explore import example
from attnlib.explore.figure import Figure, one_of, rounded, within
from attnlib.selection import Hard
from attnlib.seq2seq import FEEDINGS, TIMINGS
from attnlib.settings import SCORES, SELECTIONS, WINDOWS

SETTINGS = {
    "score": tuple(SCORES),
    "window": tuple(WINDOWS),
    "selection": tuple(SELECTIONS),
    "timing": TIMINGS,
    "feeding": FEEDINGS,
}


def paper(name: str, note: str, *settings: str) -> dict:
    """A paper and its settings of each dial in turn; the first of several is its main one."""
    chosen = {dial: each.split() for dial, each in zip(SETTINGS, settings, strict=True)}
    return {"name": name, "note": note, "settings": chosen}


PAPERS = [
    paper(
        "Bahdanau, Cho and Bengio 2015",
        "Section 3.1 and appendix A.1.2: the state before the step asks; the context enters the "
        "cell of the same step.",
        *("additive", "everywhere", "soft", "before", "context"),
    ),
    paper(
        "Xu et al. 2015, soft attention",
        "Section 4.2, Show, Attend and Tell: the same dials, with regions of an image for keys.",
        *("additive", "everywhere", "soft", "before", "context"),
    ),
    paper(
        "Xu et al. 2015, hard attention",
        "Section 4.1: one region is drawn at every step, so that learning needs REINFORCE.",
        *("additive", "everywhere", "hard", "before", "context"),
    ),
    paper(
        "Luong, Pham and Manning 2015, global",
        "Section 3.1, with input feeding (section 3.3) or without: the new state asks.",
        *("general dot concat location", "everywhere", "soft", "after", "input none"),
    ),
    paper(
        "Luong, Pham and Manning 2015, local-m",
        "Section 3.2: the window moves one source word at every step, so a word order that changes "
        "must fit into it.",
        *("general dot", "monotonic", "soft", "after", "input none"),
    ),
    paper(
        "Luong, Pham and Manning 2015, local-p",
        "Section 3.2, eq. 9 and 10: the state says where the window stands. The weights are not "
        "renormalised, so a row sums to less than 1.",
        *("general dot", "predictive", "soft", "after", "input none"),
    ),
    paper(
        "Vaswani et al. 2017, one head",
        "Eq. 1; the causal window is that of the decoder's self-attention (section 3.2.3). There "
        "is no recurrence: a layer's own state asks, and nothing is fed back.",
        *("scaled_dot", "everywhere causal", "soft", "after", "none"),
    ),
    paper(
        "Graves, Wayne and Danihelka 2014, content addressing",
        "Section 3.3.1, the Neural Turing Machine, without its shifts: what was read at the last "
        "step goes into the controller.",
        *("cosine", "everywhere", "soft", "after", "context"),
    ),
]


class FiveDials(Figure):
    """Turn the five dials of attention on a sentence of four words.

    The decoder is `attnlib.seq2seq.RecurrentDecoder`, three numbers wide, writing "une chemise
    rouge ." from "a red shirt ."; see `attnlib.explore.example`.

    Parameters
    ----------
    score : a name of `attnlib.settings.SCORES`
    window : "everywhere", "causal", "monotonic" or "predictive"
    selection : "soft", "hard" or "gumbel"
        Straight-through Gumbel is an estimator alone (Jang et al. 2017; its softmax also Maddison
        et al. 2017): neither paper has an attention model. On the way forward, which is all that
        is shown, it too draws one key by its weight, from other noise.
    timing : "before" or "after"
    feeding : "context", "input" or "none"
    step : int
        The target word, 0 to 3, that the diagram shows.
    seed : int
        Which draws a selection that chooses makes.
    states : "own", "before" or "after"
        The example has a recurrence for each timing, fitted to it: its "own". With another setting
        both timings run on the one named, so that the same decoder asks earlier or later.

    Raises
    ------
    FigureError
        (a ValueError) naming the settings that a dial has.

    Examples
    --------
    >>> figure = FiveDials(score="general", timing="after", feeding="input")
    >>> figure
    FiveDials(general, everywhere, soft, after, input)
    >>> figure.papers_here
    ['Luong, Pham and Manning 2015, global']
    >>> [[round(a, 2) for a in row] for row in figure.weights][1]  # chemise
    [0.02, 0.03, 0.95, 0.0]
    >>> early = FiveDials("general", timing="before", feeding="input", states="after")
    >>> [round(a, 2) for a in early.weights[1]]  # asked one step too early
    [0.94, 0.02, 0.02, 0.02]
    """

    module = "five_dials"
    state_names = (*SETTINGS, "step", "seed", "example", "papers")

    score = tr.Unicode("additive").tag(sync=True)
    window = tr.Unicode("everywhere").tag(sync=True)
    selection = tr.Unicode("soft").tag(sync=True)
    timing = tr.Unicode("before").tag(sync=True)
    feeding = tr.Unicode("context").tag(sync=True)
    step = tr.Int(1).tag(sync=True)
    seed = tr.Int(0).tag(sync=True)
    example = tr.Dict(read_only=True).tag(sync=True)
    papers: tr.List[Any] = tr.List(read_only=True).tag(sync=True)

    def __init__(
        self,
        score="additive",
        window="everywhere",
        selection="soft",
        timing="before",
        feeding="context",
        step=1,
        seed=0,
        states="own",
    ):
        self.set_trait("papers", PAPERS)
        one_of("states", states, ("own", *TIMINGS))
        numbers = dict(example.NUMBERS)
        if states != "own":
            for each, name in itertools.product(TIMINGS, example.RECURRENCE):
                numbers[f"{each}_{name}"] = example.NUMBERS[f"{states}_{name}"]
        shown = {
            "source": example.SOURCE,
            "target": example.TARGET,
            "gold": example.GOLD,
            "numbers": {**numbers, "reach": example.REACH},
        }
        self.set_trait("example", shown if states == "own" else {**shown, "states": states})
        super().__init__(
            score=score,
            window=window,
            selection=selection,
            timing=timing,
            feeding=feeding,
            step=step,
            seed=seed,
        )

    @tr.validate(*SETTINGS)
    def _check_setting(self, proposal):
        dial = proposal.trait.name
        return one_of(dial, proposal.value, SETTINGS[dial])

    @tr.validate("step")
    def _check_step(self, proposal):
        return within("step", proposal.value, 0, len(example.TARGET) - 1)

    @tr.validate("seed")
    def _check_seed(self, proposal):
        return within("seed", proposal.value, 0, 9999)

    def _decode(self) -> tuple[list[list[float]], list[int] | None]:
        T, S = len(example.TARGET), len(example.SOURCE)
        chooser: Hard | example.GivenNoise | None = None
        draws = None
        if self.selection == "hard":
            chooser = Hard()
            chance = [example.uniform(self.seed, t) for t in range(T)]
            draws = torch.tensor(chance, dtype=torch.float64)
        elif self.selection == "gumbel":
            chooser = example.GivenNoise()
            noise = [[example.gumbel(self.seed, t * S + s) for s in range(S)] for t in range(T)]
            draws = torch.tensor(noise, dtype=torch.float64)
        dials = self.score, self.window, chooser, self.timing, self.feeding
        weights = example.TinyModel(*dials, draws)(example.tensors(self.example["numbers"]))
        if chooser is None or draws is None:
            return weights.tolist(), None
        return weights.tolist(), chooser.choose(weights, draws).tolist()

    @property
    def weights(self) -> list[list[float]]:
        """Weights (T, S) at this setting; a selection that chooses draws with them."""
        return self._decode()[0]

    @property
    def chosen(self) -> list[int] | None:
        """The source position drawn at every step; None when the selection is soft."""
        return self._decode()[1]

    @property
    def mass_on_gold(self) -> float:
        """Mean mass on the right source word."""
        masses = [row[s] for row, s in zip(self.weights, example.GOLD, strict=True)]
        return rounded(sum(masses) / len(masses))

    @property
    def papers_here(self) -> list[str]:
        """The papers that sit at this setting of the dials."""
        return [
            each["name"]
            for each in PAPERS
            if all(getattr(self, dial) in known for dial, known in each["settings"].items())
        ]

    def table(self):
        rows = [
            [word, *(f"{a:.3f}" for a in row)]
            for word, row in zip(example.TARGET, self.weights, strict=True)
        ]
        dials = ", ".join(f"{dial} {getattr(self, dial)}" for dial in SETTINGS)
        papers = "; ".join(self.papers_here) or "no paper: yours"
        caption = f"Weights, {dials.replace('_', ' ')} ({papers})"
        return caption, ["", *example.SOURCE], rows

    def __repr__(self):
        return f"FiveDials({', '.join(getattr(self, dial) for dial in SETTINGS)})"
