"""Hear what the decoder attends to: a recording as loud as the weights of one step."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets as tr

from attnlib.beyond.speech import edits
from attnlib.data import spoken
from attnlib.data.spoken import Spoken
from attnlib.data.tokenizer import EOS, SPECIALS
from attnlib.explore.figure import (
    Figure,
    FigureError,
    bytes_of,
    index,
    numbers,
    one_of,
    rounded,
    text_of,
    within,
)
from attnlib.explore.rows import check_rows, models_of, plural

CREDIT = (
    "Sound: Free Spoken Digit Dataset, Jakobovski and contributors, CC BY-SA 4.0; joined to strings"
)
END = SPECIALS[EOS]
MOST = 12  # digits in a recording
SECONDS = 20  # its length at most
RATES = (8000, 48000)  # samples a second: what every browser plays
SLACK = 5e-4  # of each weight: three decimals are enough
TIE = 1e-6  # seconds: a middle that falls on a border is within it, however it was rounded
LOUDEST = 127  # of 8 bits, to either side of 128
START = (spoken.WINDOW - spoken.HOP) / 2 / spoken.RATE  # seconds before the first position
STEP = spoken.STACK * spoken.HOP / spoken.RATE  # seconds to a position


class Listening(Figure):
    r"""Recordings of spoken digits, where a model attended for each word, and how that sounds.

    Position s of the sound, counted from 0, lasts from `start` + s `step` to `start` + (s + 1)
    `step` seconds. A digit is given the weight of the positions whose middle lies within its
    borders, as in `beyond.speech.alignment`. What a step hears is the recording times
    :math:`a_t(s) / \max_s a_t(s)` at the middle of position s, and between two middles on the line
    from one to the other.

    Parameters
    ----------
    recordings : sequence of dict
        Each with ``samples`` (N,), floats from -1 to 1 or 16-bit or unsigned 8-bit integers (or the
        base64 text of the last, as a page stores it), and ``rate``, samples a second; ``digits``,
        T words, and ``seconds``, the (first, end) of each in the sound; ``step`` and ``start``, in
        seconds (0 unless given); ``readings``: by the name of a model what it has ``written`` and
        its ``weights``, rows by positions. `recording` makes one.

        Row t is of the step that wrote word t, the last may be of the end token. A reading that is
        ``told`` (false unless given) read the right digits before each step and not its own words:
        it has a row for each digit said.
    recording : int
        Which one is shown.
    model : str, optional
        The name of a model; the first unless given.
    row : int
        Which step is chosen.
    credit : str
        A line below the figure: whose the sound is, and its licence.

    Raises
    ------
    FigureError
        (a ValueError) when these do not fit together.

    Examples
    --------
    >>> reading = {"written": ["two"], "weights": [[0.1, 0.6, 0.1, 0.2], [0.4, 0.1, 0.4, 0.1]]}
    >>> said = {"samples": np.zeros(1600), "rate": 8000, "digits": ["two", "one"], "step": 0.05}
    >>> said |= {"seconds": [[0, 0.1], [0.1, 0.18]], "readings": {"content": reading}}
    >>> figure = Listening([said])
    >>> figure
    Listening(1 recording, content: wrote 'two' for 'two one', 1 error)
    >>> figure.step(1)["wrote"], figure.step(1)["due"], figure.step(1)["right"]
    ('</s>', 'one', False)
    >>> figure.step(0)["most"], figure.step(0)["share"], figure.step(0)["uniform"]
    (0, 0.7, 0.5)
    """

    module = "listening"
    state_names = ("recordings", "recording", "model", "row", "credit")

    recordings: tr.List[Any] = tr.List(read_only=True).tag(sync=True)
    recording = tr.Int(0).tag(sync=True)
    model = tr.Unicode().tag(sync=True)
    row = tr.Int(0).tag(sync=True)
    credit = tr.Unicode().tag(sync=True)

    def __init__(
        self,
        recordings: Sequence[Mapping[str, Any]],
        recording: int = 0,
        model: str | None = None,
        row: int = 0,
        credit: str = CREDIT,
    ):
        if not recordings:
            raise FigureError("there is no recording to show")
        checked = [_checked(each, f"recording {i}") for i, each in enumerate(recordings)]
        names = models_of(checked, "recording")
        self.set_trait("recordings", checked)
        super().__init__(
            recording=recording,
            model=names[0] if model is None else model,
            row=row,
            credit=credit,
        )

    @tr.validate("recording")
    def _check_recording(self, proposal):
        return index("recording", proposal.value, len(self.recordings))

    @tr.validate("model")
    def _check_model(self, proposal):
        return one_of("model", proposal.value, list(self.recordings[0]["readings"]))

    @tr.validate("row")
    def _check_row(self, proposal):
        index("recording", self.recording, len(self.recordings))  # it may come with the row
        one_of("model", self.model, list(self.recordings[0]["readings"]))
        return index("row", proposal.value, len(self._reading["weights"]))

    # --- what the page computes

    @property
    def _shown(self) -> dict[str, Any]:
        return self.recordings[self.recording]

    @property
    def _reading(self) -> dict[str, Any]:
        return self._shown["readings"][self.model]

    def masses(self, weights: Sequence[float]) -> list[float]:
        """How much of a row of weights (S,) lies within the borders of each digit: (T,)."""
        start, step = self._shown["start"], self._shown["step"]
        middles = start + step * (np.arange(len(weights)) + 0.5) + TIE
        return [
            float(np.asarray(weights)[(first <= middles) & (middles < end)].sum())
            for first, end in self._shown["seconds"]
        ]

    def step(self, row: int | None = None) -> dict:
        """What is said of one step; of the chosen one unless given.

        Returns
        -------
        dict
            ``wrote``: the word, None where a model that is told the digits would not have come on
            its own; ``due``: the word that would have been right, None after an error of a model
            that reads its own words; ``right``: whether they are the same, None where one is
            unknown. ``most``: the number of the digit with most of the weight, from 0, None where
            no digit has any; ``share``: its share of the weight; ``uniform``: what uniform weights
            would give it.
        """
        row = self.row if row is None else row
        digits, written = self._shown["digits"], self._reading["written"]
        on_the_way = written[:row] == digits[:row]
        told = self._reading["told"]
        due = [*digits, END][row] if told or on_the_way else None
        wrote = [*written, END][row] if not told or on_the_way else None
        weights = self._reading["weights"][row]
        masses = self.masses(weights)
        most = int(np.argmax(masses)) if max(masses) > 0 else None
        uniform = self.masses([1 / len(weights)] * len(weights))
        return {
            "wrote": wrote,
            "due": due,
            "right": None if wrote is None or due is None else wrote == due,
            "most": most,
            "share": 0.0 if most is None else rounded(masses[most]),
            "uniform": 0.0 if most is None else rounded(uniform[most]),
        }

    @property
    def errors(self) -> int:
        """Words to change, to leave out or to add until the model has written what was said."""
        return edits(self._shown["digits"], self._reading["written"])

    # --- as text

    def table(self):
        digits, written = self._shown["digits"], self._reading["written"]
        rows = []
        for t, weights in enumerate(self._reading["weights"]):
            step = self.step(t)
            word = f"({step['due']})" if step["wrote"] is None else step["wrote"]
            mark = " (wrong)" if step["right"] is False else ""
            shares = [f"{rounded(mass, 3):.3f}" for mass in self.masses(weights)]
            rows.append([f"{t + 1}. {word}{mark}", *shares])
        head = ["step", *(f"{i}. {digit}" for i, digit in enumerate(digits, 1))]
        caption = (
            f"{self.model} wrote “{' '.join(written)}” for “{' '.join(digits)}”: the share of each "
            f"step’s attention within the borders of each digit"
        )
        return caption, head, rows

    def __repr__(self):
        digits, written = self._shown["digits"], self._reading["written"]
        errors = plural(self.errors, "error") if self.errors else "no error"
        return (
            f"Listening({plural(len(self.recordings), 'recording')}, {self.model}: wrote "
            f"{' '.join(written)!r} for {' '.join(digits)!r}, {errors})"
        )


def recording(example: Mapping[str, Any], said: Spoken | None = None) -> dict:
    """A string of spoken digits and what models made of it, as `Listening` shows them.

    Parameters
    ----------
    example : mapping
        As `book/results/speech.json` has it: the ``digits`` that were said and their borders in
        ``seconds``; by the name of a model what it has ``written``, and the ``weights`` of the
        model when it was told the digits before each step, (T + 1, positions).
    said : Spoken, optional
        The string, for its sound, which is made as loud as 8 bits allow. Without it the example
        must have ``samples``, at `spoken.RATE`: `packed` makes text of them that a file can hold.

    Raises
    ------
    FigureError
        If there is no sound, or it is of other digits.
    """
    digits = list(example["digits"])
    if said is None and "samples" not in example:
        raise FigureError("the example has no samples: give the string that was said, too")
    if said is not None and digits != (heard := [spoken.DIGITS[digit] for digit in said.digits]):
        raise FigureError(
            f"the example is of “{' '.join(digits)}”, the sound of “{' '.join(heard)}”"
        )
    return {
        "samples": example["samples"] if said is None else packed(said),
        "rate": spoken.RATE,
        "digits": digits,
        "seconds": example["seconds"] if said is None else _seconds(said),
        "step": STEP,
        "start": START,
        "readings": {
            name: {**reading, "told": True}
            for name, reading in example.items()
            if isinstance(reading, Mapping) and "weights" in reading
        },
    }


def _seconds(said: Spoken) -> list[list[float]]:
    return [[s / spoken.RATE for s in border] for border in said.borders]


def packed(said: Spoken) -> str:
    """The sound of a string as a page stores it: base64 of 8 bits a sample, as loud as can be."""
    loudest = float(np.abs(said.samples).max())
    return text_of(_bytes(said.samples / (loudest or 1.0), "samples"))


def _checked(each: Mapping[str, Any], name: str) -> dict:
    """One recording as a page stores it."""
    wanted = ("samples", "rate", "digits", "seconds", "step", "readings")
    if missing := [key for key in wanted if key not in each]:
        raise FigureError(f"{name} lacks {', '.join(missing)}")
    digits = [str(word) for word in each["digits"]]
    if not 1 <= len(digits) <= MOST:
        raise FigureError(f"{name} must have 1 to {MOST} digits, got {len(digits)}")
    rate = int(within(f"rate of {name}", each["rate"], *RATES))
    sound = _bytes(each["samples"], f"samples of {name}")
    length = len(sound) / rate
    within(f"seconds of sound of {name}", length, 0.01, SECONDS)
    borders = numbers(f"seconds of {name}", each["seconds"], len(digits), 2)
    reached = 0.0
    for i, (first, end) in enumerate(borders):
        if not reached <= first < end <= length + 5e-4:
            raise FigureError(
                f"{name}: digit {i} from {first:g} to {end:g} s must begin where the one before "
                f"has ended, {reached:g} s, or later, and end with the sound, {length:g} s"
            )
        reached = end
    if not each["readings"]:
        raise FigureError(f"{name} has no reading")
    step = within(f"step of {name}", float(each["step"]), 0.001, 1)
    start = within(f"start of {name}", float(each.get("start", 0)), 0, length)
    readings = {
        str(model): _reading_of(reading, digits, f"{name}, {model}")
        for model, reading in each["readings"].items()
    }
    counts = {len(row) for reading in readings.values() for row in reading["weights"]}
    if len(counts) > 1:
        raise FigureError(f"{name}: rows of {' and '.join(map(str, sorted(counts)))} positions")
    (S,) = counts
    if not length - 3 * step <= start + S * step <= length + step:
        raise FigureError(
            f"{name}: {S} positions of {step:g} s end at {start + S * step:g} s, the sound at "
            f"{length:g} s"
        )
    return {
        "samples": text_of(sound),
        "rate": rate,
        "digits": digits,
        "seconds": rounded(borders),
        "step": step,
        "start": start,
        "readings": readings,
    }


def _reading_of(reading: Mapping[str, Any], digits: list[str], name: str) -> dict:
    """What one model made of a recording."""
    written = [str(word) for word in reading["written"]]
    told = bool(reading.get("told", False))
    weights = numbers(f"{name}: weights", reading["weights"], None, None)
    words = digits if told else written
    if len(weights) - len(words) not in (0, 1):
        hint = "" if told else "; one that was told the digits has told=True"
        what = "digits said" if told else "words written"
        raise FigureError(f"{name}: {len(weights)} rows of weights for {len(words)} {what}{hint}")
    check_rows(f"{name}: weights", weights, slack=max(5e-3, SLACK * len(weights[0])))
    return {"written": written, "told": told, "weights": rounded(weights)}


def _bytes(samples, name: str) -> bytes:
    """Samples as unsigned 8-bit integers, 128 for silence."""
    if isinstance(samples, str):
        return bytes_of(name, samples)
    found = np.asarray(samples)
    if found.ndim != 1 or not found.size:
        raise FigureError(f"{name} must be a list of numbers, got shape {found.shape}")
    if found.dtype == np.uint8:
        return found.tobytes()
    if found.dtype == np.int16:
        found = found / 32768
    if found.dtype.kind != "f":
        raise FigureError(
            f"{name} must be floats from -1 to 1 or 16-bit or unsigned 8-bit integers, "
            f"got {found.dtype}"
        )
    if not np.isfinite(found).all():
        raise FigureError(f"{name} must be finite")
    if np.abs(found).max() > 1:
        raise FigureError(
            f"{name} must be from -1 to 1, got {np.abs(found).max():g}: divide them by that"
        )
    return (np.round(LOUDEST * found) + 128).astype(np.uint8).tobytes()
