"""Chapter 02: the same numbers in its prose, in exact arithmetic, in the oracle and in attnlib.

What is exact here owes nothing to NumPy or PyTorch: whole numbers, fractions where the softmax has
base 2, decimals of 50 digits where it has base e.
"""

import ast
import json
import re
from decimal import Decimal, getcontext
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from attnlib import drawing, reference
from attnlib.attention import Attention
from attnlib.masks import masked_softmax
from attnlib.scores import DotScore

getcontext().prec = 50
CHAPTER = Path(__file__).parents[1] / "book" / "02_by_hand.ipynb"
EXACT = {"rtol": 0, "atol": 1e-14}  # float64 against 50 digits: a few roundings

STATES = [(-1, 1), (2, -1), (2, 0)]  # a, red, shirt
QUERY = (1, 1)  # the decoder, about to write "chemise"
DECODER = [(0, 1), (1, 1), (0, -1)]  # une, chemise, rouge

WORDS = [(1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 1), (0, 0, 0, 0)]  # a, red, shirt, full stop
W_Q = [(2, 0), (1, 0), (0, 2), (0, 0)]
W_K = [(-1, 0), (0, 1), (1, -1), (0, 0)]
W_V = [(0, 0), (0, 1), (0, 0), (1, 0)]


def dot(x, y):
    return sum(x_i * y_i for x_i, y_i in zip(x, y, strict=True))


def project(rows, W):
    return [tuple(dot(row, column) for column in zip(*W, strict=True)) for row in rows]


def power_e(score):
    return Decimal(score).exp()


def power_two(score):
    return Fraction(2) ** score


def lookup(query, keys, values, power=power_e):
    """Scores, exponentials, weights and context of one query, exactly."""
    scores = [dot(query, key) for key in keys]
    raised = [power(score) for score in scores]
    weights = [x / sum(raised) for x in raised]
    return scores, raised, weights, [dot(weights, column) for column in zip(*values, strict=True)]


def entropy(weights):
    return -sum(a * a.ln() for a in weights)


def floats(rows):
    return np.array([[float(x) for x in row] for row in rows])


def batch(rows):
    return torch.tensor(rows, dtype=torch.float64).unsqueeze(0)


LOOKUPS = {
    "three states": (DECODER, STATES, STATES),
    "four words": (project(WORDS, W_Q), project(WORDS, W_K), project(WORDS, W_V)),
}


# --- exact arithmetic against the oracle and the library ---


def test_in_base_two_the_sheet_is_whole_fractions():
    scores, raised, weights, context = lookup(QUERY, STATES, STATES, power_two)
    assert scores == [0, 1, 2] and raised == [1, 2, 4]
    assert weights == [Fraction(1, 7), Fraction(2, 7), Fraction(4, 7)]
    assert context == [Fraction(11, 7), Fraction(-1, 7)]
    base_two = np.log(2) * batch([QUERY])  # the temperature 1 / ln 2
    contexts, got = Attention(DotScore())(base_two, batch(STATES), batch(STATES))
    np.testing.assert_allclose(got[0, 0], [float(a) for a in weights], **EXACT)
    np.testing.assert_allclose(contexts[0, 0], [float(x) for x in context], **EXACT)


@pytest.mark.parametrize("name", LOOKUPS)
def test_the_library_and_the_oracle_meet_fifty_digits(name):
    queries, keys, values = LOOKUPS[name]
    exact = [lookup(query, keys, values) for query in queries]
    weights, contexts = floats(each[2] for each in exact), floats(each[3] for each in exact)
    by_loops = reference.attend(reference.dot_score, queries, keys, values)
    np.testing.assert_allclose(by_loops[0], contexts, **EXACT)
    np.testing.assert_allclose(by_loops[1], weights, **EXACT)
    by_library = Attention(DotScore())(batch(queries), batch(keys), batch(values))
    np.testing.assert_allclose(by_library[0][0], contexts, **EXACT)
    np.testing.assert_allclose(by_library[1][0], weights, **EXACT)


def test_the_gradient_of_a_lookup_is_weight_times_value_less_context():
    scores, _, weights, context = lookup(QUERY, STATES, STATES)
    exact = [
        [a * (x - c) for x, c in zip(state, context, strict=True)]
        for a, state in zip(weights, STATES, strict=True)
    ]
    values = batch(STATES)[0]
    e = torch.tensor(scores, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda e: masked_softmax(e) @ values, e).T
    np.testing.assert_allclose(jacobian, floats(exact), **EXACT)
    assert all(abs(sum(column)) < Decimal("1e-45") for column in zip(*exact, strict=True))


def test_the_three_decoder_states_order_the_same_three_weights():
    rows = [lookup(query, STATES, STATES)[2] for query in DECODER]
    une, chemise, rouge = ([round(a, 40) for a in row] for row in rows)
    assert sorted(une) == sorted(chemise) == sorted(rouge)
    assert [row.index(max(row)) for row in (une, chemise, rouge)] == [0, 2, 1]  # it crosses


def test_a_white_horse_changes_what_is_told_and_not_where_a_word_looks():
    horse = [*WORDS[:2], (0, 0, 1, -1), WORDS[3]]
    query, keys, values = (project(horse, W) for W in (W_Q, W_K, W_V))
    shirt, horse = lookup(*first(LOOKUPS["four words"])), lookup(query[0], keys, values)
    assert horse[2] == shirt[2]
    assert horse[3] == [-shirt[3][0], shirt[3][1]]


def first(lookups):
    queries, keys, values = lookups
    return queries[0], keys, values


# --- the prose ---


def prose():
    """The chapter's Markdown cells, without their Python."""
    cells = json.loads(CHAPTER.read_text("utf8"))["cells"]
    texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    return [
        re.sub(r"```python.*?```", "", text, flags=re.DOTALL).replace("−", "-") for text in texts
    ]


def decimals(text):
    """The decimal numbers in a text, other than a paper's section."""
    text = re.sub(r"section \d+\.\d+", "", text)
    return re.findall(r"(?<![\d.])-?\d+\.\d+", text)


def shown(number, like):
    """The exact number with as many decimals as the text `like` has."""
    return str(round(Decimal(number), len(like.split(".")[1])))


def table():
    """The sheet's rows: their cells as lists of decimals or whole numbers."""
    (cell,) = (text for text in prose() if "| weight × state |" in text)
    rows = [line.strip("| ").split("|") for line in cell.split("\n") if line.startswith("| ")]
    return {row[0].strip(): [re.findall(r"-?\d+(?:\.\d+)?", c) for c in row[1:]] for row in rows}


def test_the_sheet_in_the_prose_is_exact():
    scores, raised, weights, context = lookup(QUERY, STATES, STATES)
    parts = products_of_a_pencil(weights)
    wanted = {
        "state": STATES,
        "score": [[x] for x in scores],
        "exponential": [[x] for x in (*raised, sum(raised))],
        "weight": [[x] for x in (*weights, sum(weights))],
        "weight × state": [*parts, context],
    }
    rows = table()
    for name, numbers in wanted.items():
        for written, exact in zip(rows[name], numbers, strict=False):
            assert len(written) == len(exact), (name, written)
            for text, number in zip(written, exact, strict=True):
                want = shown(number, text) if "." in text else str(number)
                assert Decimal(text) == Decimal(want), (name, text, want)


def test_the_sheet_adds_up_as_it_is_written():
    """A reader who adds the rounded numbers gets the rounded sum: no stray last digit."""
    rows = table()
    for name in ("exponential", "weight", "weight × state"):
        *parts, total = rows[name][:4]
        for column, want in zip(zip(*parts, strict=True), total, strict=True):
            assert sum(map(Decimal, column)) == Decimal(want), name
    for weight, state, product in zip(*(rows[n] for n in ("weight", "state", "weight × state"))):
        for x, y in zip(state, product, strict=False):
            assert Decimal(weight[0]) * Decimal(x) == Decimal(y)


def products_of_a_pencil(weights):
    """Weight times state, the weight rounded to three places first, as on paper."""
    return [[round(a, 3) * x for x in state] for a, state in zip(weights, STATES, strict=True)]


def ledger():
    """Every number that the prose may give with a decimal point, exact."""
    _, raised, weights, context = lookup(QUERY, STATES, STATES)
    words = [lookup(query, *LOOKUPS["four words"][1:]) for query in LOOKUPS["four words"][0]]
    with_stop = lookup(QUERY, [*STATES, (0, 0)], [*STATES, (0, 0)])
    doubled = lookup((2, 2), STATES, STATES)
    shirt = [weights[2] * (x - c) for x, c in zip(STATES[2], context, strict=True)]
    alone = lookup(WORDS[0], WORDS, WORDS)  # one vector for all three jobs
    white = lookup((1, 1), *LOOKUPS["four words"][1:])
    horse = [-white[3][0], white[3][1]]
    p = Fraction(2, 3)
    error = 2 * p * (1 - p) * Fraction(2, 3)  # 2 a coordinate, in two places of three
    return {
        "exponentials": [*raised, sum(raised)],
        "weights": weights,
        "context": context,
        "products": [x for product in products_of_a_pencil(weights) for x in product],
        "a asks": [*words[0][1], sum(words[0][1]), *words[0][2], *words[0][3]],
        "a with one vector": alone[2],
        "white asks": [white[1][0], white[1][1], sum(white[1]), *white[2], *horse],
        "entropy": [entropy(weights), Decimal(3).ln()],
        "words looked at": [entropy(weights).exp()],
        "temperature of base 2": [1 / Decimal(2).ln()],
        "pull of shirt": shirt,
        "linear error": [Decimal(error.numerator) / error.denominator],
        "e": [Decimal(1).exp()],
        "a fourth word": [sum(with_stop[1]), *with_stop[2], *with_stop[3], raised[0] * sum(raised)
                          / sum(with_stop[1])],
        "a doubled query": doubled[2],
    }  # fmt: skip


def test_every_decimal_in_the_prose_is_exact():
    exact = [abs(number) for numbers in ledger().values() for number in numbers]
    written = [number.lstrip("-") for text in prose() for number in decimals(text)]
    assert len(written) > 60  # the pattern has not gone blind
    for number in written:
        assert number in {shown(x, number) for x in exact}, f"{number} is nowhere in the ledger"


def test_the_prose_gives_every_number_of_the_ledger():
    written = {number.lstrip("-") for text in prose() for number in decimals(text)}
    for name, numbers in ledger().items():
        for number in numbers:
            if number != int(number):
                forms = {shown(abs(number), form) for form in ("0.00", "0.000")}
                assert forms & written, f"{name}: {number:.4f} is not in the prose"


def test_the_error_of_the_linear_layer_in_the_prose_is_a_fraction():
    (cell,) = (text for text in prose() if r"\tfrac{8}{27}" in text)
    assert r"\tfrac23 \cdot \tfrac23 \cdot \tfrac13 \cdot 2 = \tfrac{8}{27} = 0.296" in cell
    assert Fraction(2, 3) * Fraction(2, 3) * Fraction(1, 3) * 2 == Fraction(8, 27)


def test_exercises_come_with_solutions_and_harder_ones_last():
    text = "\n".join(prose())
    asked = re.findall(
        r"\{exercise\}.*\n:label: (\S+)\n\*(Warm-up|Core|Open)(, build it)?, \d+ minutes\.\*", text
    )
    solved = re.findall(r"````\{solution\} (\S+)\n:class: dropdown", text)
    assert [label for label, *_ in asked] == solved and len(solved) >= 6
    grades = [("Warm-up", "Core", "Open").index(grade) for _, grade, _ in asked]
    assert all(one <= other for one, other in pairwise(grades))
    assert sum(bool(built) for *_, built in asked) >= 2


def test_the_check_of_an_exercise_binds_no_name_of_the_page():
    """A function and its call: whoever goes on to the next solution finds q and X as they were."""
    text = "".join(
        "".join(cell["source"])
        for cell in json.loads(CHAPTER.read_text("utf8"))["cells"]
        if cell["cell_type"] == "markdown"
    )
    blocks = re.findall(r"^```python\n(# check\n.*?)^```", text, re.M | re.S)
    assert len(blocks) >= 2
    for block in blocks:
        function, call = ast.parse(block).body
        assert isinstance(function, ast.FunctionDef) and function.name.startswith("check_")
        assert ast.unparse(call) == f"{function.name}()"


# --- the drawings ---


def test_the_drawn_sheet_shows_the_exact_numbers():
    _, _, weights, context = lookup(QUERY, STATES, STATES)
    words = said(drawing.sheet(query=QUERY))
    assert words == said(drawing.sheet(["a", "red", "shirt"], STATES, QUERY))
    for weight in weights:
        assert shown(weight, "0.000") in words
    assert "(" + ", ".join(shown(c, "0.000") for c in context).replace("-", "\u2212") + ")" in words


def test_the_drawn_roles_of_a_word_are_its_products():
    canvas = drawing.projections("shirt", vector=WORDS[2], matrices=[W_Q, W_K, W_V])
    for W in (W_Q, W_K, W_V):
        row = ", ".join(str(x).replace("-", "\u2212") for x in project([WORDS[2]], W)[0])
        assert f"({row})" in canvas.alt


def test_the_drawn_arrows_are_the_gradients():
    scores, _, weights, context = lookup(QUERY, STATES, STATES)
    alt = drawing.gradients(scores=scores).alt.replace("\u2212", "-")
    for word, a, state in zip(("a", "red", "shirt"), weights, STATES, strict=True):
        x, y = (shown(a * (v - c), "0.000") for v, c in zip(state, context, strict=True))
        assert f"towards {word} by ({x}, {y})" in alt


def said(canvas):
    """The texts on a drawing."""
    texts = re.findall(r"<text[^>]*>(.*?)</text>", canvas.to_svg())
    return [re.sub(r"<[^>]+>", "", text) for text in texts]
