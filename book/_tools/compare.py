"""Say whether a cell shows what is stored, on a processor that rounds in its own way.

The last bits of a sum depend on the order in which a processor adds. What a cell shows is therefore
compared in three ways, from the strictest to the loosest:

*Exactly* (the default). Text, tables and the data of a figure must be equal, letter by letter. A
cell that computes by hand in float64 and prints four decimals is right on every processor.

*By its numbers*: a cell with the tag ``float32``, which shows what a network computed. Everything
between two numbers must be equal, whole numbers too. What may differ:

- a printed number with decimals, by one unit of its last printed digit (``0.2447`` agrees with
  ``0.2448`` and not with ``0.2449``, ``57.7`` with ``57.8``; the spaces beside it may make up for
  a digit more or less);
- a number in the data of an interactive figure, which is rounded to four decimals, by `FIGURE`;
  where the figure keeps weights as whole thousandths (`THOUSANDTHS`), by one thousandth; where it
  keeps many numbers as bytes (`PACKED`), by one.

The tag excuses rounding and nothing else. A cell whose outcome *depends* on rounding (a training,
the first of two near ties) prints what holds everywhere, asserts what the text claims, or reads a
stored results file.

*By its pixels*: a picture, whatever the tag (`same_picture`).
"""

import base64
import copy
import io
import json
import math
import re

TAG = "float32"
PICTURES = ("image/png", "image/jpeg")
FIGURE = 5e-4  # what one number of a figure's data may differ by; they have four decimals
THOUSANDTHS = {"weights", "encoder", "decoder", "cross"}  # lists of whole thousandths in it
PACKED = {"background": "<u2", "noise": "i1"}  # numbers kept as base64, and their type
NUMBER = re.compile(r"(?<![\w.])[-−+]?\d+\.\d*(?:[eE][-+]?\d+)?(?![\w.]*\w)")
DATA = re.compile(r'(<script type="application/json">)(.*?)(</script>)', re.S)


def settle(stored: list, fresh: list, tags=()) -> list:
    """Return the stored outputs of a cell, and put the fresh ones in place of all that agrees.

    Compare the result with `fresh`: what still differs is what does not agree. `tags` are those
    of the cell.
    """
    rounded = TAG in tags

    def agreed(kind, old, new):
        if kind in PICTURES:
            same = same_picture(old, new)
        elif rounded and kind == "text/html":
            same = same_html(old, new)
        elif rounded and (kind == "text" or kind.startswith("text/")):
            same = same_text(old, new)
        else:
            same = False
        return new if same else old

    outputs = []
    for old, new in zip(stored, fresh, strict=False):
        old = copy.deepcopy(old)
        if "text" in old and "text" in new:
            old["text"] = agreed("text", old["text"], new["text"])
        for kind in old.get("data", {}).keys() & new.get("data", {}).keys():
            old["data"][kind] = agreed(kind, old["data"][kind], new["data"][kind])
        outputs.append(old)
    return outputs + stored[len(outputs) :]


def same_text(one: str, other: str) -> bool:
    """Say whether two texts agree in all but the last digit of their decimal numbers.

    >>> same_text("loss 0.2447, 3 seeds", "loss 0.2448, 3 seeds")
    True
    >>> same_text("loss 0.2447", "loss 0.2449"), same_text("0.2447, 3", "0.2447, 4")
    (False, False)
    >>> same_text("| 9.9996|", "|10.0000|"), same_text("-0.0000", "0.0000")
    (False, True)
    >>> same_text("|  9.9999|", "| 10.0000|")
    True
    """
    lines, others = one.split("\n"), other.split("\n")
    return len(lines) == len(others) and all(map(_same_line, lines, others))


def _same_line(one: str, other: str) -> bool:
    if one == other:
        return True
    numbers, others = NUMBER.findall(one), NUMBER.findall(other)
    if len(numbers) != len(others):
        return False
    digits = [max(map(_decimals, pair)) for pair in zip(numbers, others, strict=True)]
    if "[" in one or "]" in one:  # NumPy drops the last zeros: 0.5 beside 0.2447 means 0.5000
        digits = [max(digits, default=0)] * len(digits)
    if not all(map(_same_number, numbers, others, digits)):
        return False
    between, among = NUMBER.split(one), NUMBER.split(other)
    for place, (number, now) in enumerate(zip(numbers, others, strict=True)):
        if len(number) != len(now):
            for texts in (between, among):
                texts[place] = re.sub(r" +$", " ", texts[place])
                texts[place + 1] = re.sub(r"^ +", " ", texts[place + 1])
    return between == among


def _decimals(number: str) -> int:
    """Count the decimal places of the last digit: 4 of 0.2447, 6 of 1.25e-4."""
    mantissa, _, exponent = number.lower().partition("e")
    return len(mantissa.partition(".")[2]) - int(exponent or 0)


def _same_number(one: str, other: str, digits: int) -> bool:
    one, other = (float(text.replace("−", "-")) for text in (one, other))
    unit = 10.0**-digits if digits > 0 else 0.0  # a number without decimals must be the same
    return abs(one - other) <= unit * (1 + 1e-6)


def same_html(one: str, other: str) -> bool:
    """Compare two pieces of HTML: the data of a figure by `same_data`, the rest as text."""
    (rest, data), (rest_now, now) = (
        (DATA.sub(r"\1\3", html), [found[1] for found in DATA.findall(html)])
        for html in (one, other)
    )
    return (
        len(data) == len(now)
        and all(same_data(json.loads(a), json.loads(b)) for a, b in zip(data, now, strict=True))
        and same_text(rest, rest_now)
    )


def same_data(one, other, thousandths: bool = False) -> bool:
    """Compare the data of two figures: one shape, equal words, numbers within `FIGURE`.

    >>> same_data({"weights": [[85, 743]]}, {"weights": [[86, 742]]})
    True
    >>> same_data({"weights": [[0.85]], "head": 1}, {"weights": [[0.85]], "head": 2})
    False
    """
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(
            _same_packed(one[name], other[name], PACKED[name])
            if name in PACKED
            else same_data(one[name], other[name], name in THOUSANDTHS)
            for name in one
        )
    if isinstance(one, list):
        return len(one) == len(other) and all(
            same_data(a, b, thousandths) for a, b in zip(one, other, strict=True)
        )
    if isinstance(one, float):
        return math.isclose(one, other, rel_tol=FIGURE / 10, abs_tol=FIGURE)
    if thousandths and type(one) is int:
        return abs(one - other) <= 1
    return one == other


def _same_packed(one: str, other: str, kind: str) -> bool:
    """Say whether two rows of packed numbers differ by one at most, each from its own."""
    import numpy as np

    a, b = (np.frombuffer(base64.b64decode(text), kind).astype(int) for text in (one, other))
    return a.shape == b.shape and bool((np.abs(a - b) <= 1).all())


def same_picture(one: str, other: str, level: int = 8, share: float = 0.001) -> bool:
    """Say whether two base64 pictures look the same.

    They do if they have one size and at most `share` of their pixels differ by more than `level`
    of 255 in a channel. Measured in `tests/notebooks`: a last bit of noise in the data passes; one
    cell of a heat map, one thin curve or a title that changed does not.
    """
    if one.strip() == other.strip():
        return True
    import numpy as np
    from PIL import Image

    def pixels(text: str) -> np.ndarray:
        with Image.open(io.BytesIO(base64.b64decode(text))) as image:
            return np.asarray(image.convert("RGBA"), dtype=np.int16)

    a, b = pixels(one), pixels(other)
    return a.shape == b.shape and (np.abs(a - b).max(axis=-1) > level).mean() <= share
