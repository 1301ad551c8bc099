"""What the comparison of a cell with its stored outputs lets pass, and what it must not."""

import base64
import io
import json

import compare
import nbformat
import numpy as np
import pytest
from matplotlib.figure import Figure

# --- numbers in a text ---


@pytest.mark.parametrize(
    "one, other",
    [
        ("loss 0.2447, 3 seeds", "loss 0.2448, 3 seeds"),
        ("BLEU 57.7 [56.9, 58.5]", "BLEU 57.8 [56.9, 58.5]"),
        ("-0.0000 and 0.0000", "0.0000 and -0.0000"),
        ("a   9.9999   b", "a  10.0000   b"),
        ("[0.09   0.2447 0.6652]", "[0.0901 0.2447 0.6652]"),
        ("of 3.1e-07", "of 3.2e-07"),
        ("from 0.11-0.99", "from 0.11-0.98"),
        ("−0.25", "−0.26"),
    ],
)
def test_a_number_may_differ_by_one_in_its_last_printed_digit(one, other):
    assert one != other
    assert compare.same_text(one, other)
    assert compare.same_text(other, one)


@pytest.mark.parametrize(
    "one, other",
    [
        ("loss 0.2447", "loss 0.2449"),  # by two
        ("loss 0.2447", "loss 0.3447"),
        ("loss 0.2447", "Loss 0.2447"),
        ("0.2447, 3 seeds", "0.2447, 4 seeds"),  # a whole number
        ("57 %", "58 %"),
        ("[0. 1.]", "[1. 1.]"),  # NumPy's whole numbers
        ("[0.5    0.2447]", "[0.6    0.2447]"),  # NumPy's 0.5 is 0.5000
        ("0.2447 0.1", "0.2447"),  # a number less
        ("0.2447", "nan"),
        ("0.25", "-0.25"),
        ("a    0.2447", "a 0.2447"),  # spaces, and no digit less to make up for
        ("of 3.1e-07", "of 3.1e-06"),
        ("torch 2.13.0", "torch 2.12.0"),  # a version is no number
        ("line 0.1\n", "line 0.1"),
    ],
)
def test_what_rounding_cannot_do_is_seen(one, other):
    assert not compare.same_text(one, other)
    assert not compare.same_text(other, one)


# --- the data of a figure ---


def figure(weights=0.2447, score=12.5, thousandths=743, head=1, word="red", shown="0.245") -> str:
    data = {
        "head": head,
        "rows": [[weights, score]],
        "sentences": [{"words": [word], "cross": [[[85, thousandths]]]}],
    }
    script = f'<script type="application/json">{json.dumps(data)}</script>'
    return f'<attn-fig data-module="heads">{script}<table><td>{shown}</td></table></attn-fig>'


def test_the_data_of_a_figure_may_differ_as_another_processor_rounds():
    now = figure(weights=0.2448, score=12.5002, thousandths=744, shown="0.244")
    assert compare.same_html(figure(), now)


@pytest.mark.parametrize(
    "change",
    [
        {"weights": 0.2447 + 2 * compare.FIGURE},
        {"weights": 0},
        {"score": 12.5021},
        {"thousandths": 745},
        {"head": 2},
        {"word": "white"},
        {"shown": "0.247"},
        {"weights": [0.2447]},
    ],
    ids=str,
)
def test_other_data_of_a_figure_are_seen(change):
    assert not compare.same_html(figure(), figure(**change))


def test_numbers_kept_as_bytes_may_differ_by_one_each():
    def packed(numbers, name="background"):
        text = base64.b64encode(np.array(numbers, compare.PACKED[name]).tobytes()).decode()
        return {"chance": {name: text}}

    was = packed([255, 1, 256, 7])
    assert compare.same_data(was, packed([256, 0, 255, 7]))  # a carry changes two bytes
    assert not compare.same_data(was, packed([257, 1, 256, 7]))
    assert not compare.same_data(was, packed([255, 1, 256]))
    assert compare.same_data(packed([1, -1], "noise"), packed([2, -2], "noise"))
    assert not compare.same_data(packed([1, -1], "noise"), packed([1, 1], "noise"))


# --- pictures ---


def picture(draw) -> str:
    """Return what the inline backend would store for a figure."""
    figure = Figure(figsize=(6.4, 4.8), dpi=100)
    draw(figure.subplots())
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return base64.b64encode(buffer.getvalue()).decode()


def heat_map(noise=0.0, cell=0.0, title="weights"):
    weights = np.random.default_rng(0).random((6, 8))
    weights += noise * np.random.default_rng(1).standard_normal(weights.shape)
    weights[2, 3] += cell

    def draw(ax):
        ax.imshow(weights, vmin=0, vmax=1)
        ax.set_title(title)

    return picture(draw)


def curve(shift=0.0, second=True):
    x = np.linspace(0, 1, 50)

    def draw(ax):
        ax.plot(x, x**2 + shift)
        if second:
            ax.plot(x, x, linewidth=1)
        ax.set(ylim=(0, 1))

    return picture(draw)


def test_the_last_bits_of_the_data_do_not_change_a_picture():
    assert compare.same_picture(heat_map(), heat_map(noise=1e-6))
    assert compare.same_picture(curve(), curve(shift=1e-6))


@pytest.mark.parametrize(
    "one, other",
    [
        (heat_map(), heat_map(cell=0.1)),
        (heat_map(), heat_map(title="scores")),
        (curve(), curve(shift=0.02)),
        (curve(), curve(second=False)),
    ],
    ids=["a cell of a heat map", "a title", "a curve moved", "a curve missing"],
)
def test_a_different_picture_is_seen(one, other):
    assert not compare.same_picture(one, other)


# --- a cell ---


def outputs(text="0.2447", html=None, image=None) -> list:
    cell = [nbformat.v4.new_output("stream", text=f"weight {text}\n")]
    data = {"text/plain": f"Weight({text})", "text/html": html or figure(shown=text)}
    data |= {"image/png": image} if image else {}
    return [*cell, nbformat.v4.new_output("display_data", data=data)]


def agree(stored: list, fresh: list, *tags: str) -> bool:
    return compare.settle(stored, fresh, tags) == fresh


def test_without_the_tag_only_a_picture_may_differ():
    assert agree(outputs(image=curve()), outputs(image=curve(shift=1e-6)))
    assert not agree(outputs(), outputs("0.2448"))
    assert not agree(outputs(), outputs(html=figure(weights=0.2448)))
    assert not agree(outputs(image=curve()), outputs(image=curve(shift=0.02)))


def test_the_tag_excuses_rounding_and_no_more():
    assert agree(outputs(), outputs("0.2448"), compare.TAG)
    assert not agree(outputs(), outputs("0.2449"), compare.TAG)
    assert not agree(outputs(), outputs("0.2448"), "another-tag")
    assert not agree(outputs(image=curve()), outputs(image=curve(shift=0.02)), compare.TAG)


def test_an_output_more_or_less_is_seen():
    assert not agree(outputs(), outputs()[:1], compare.TAG)
    assert not agree(outputs()[:1], outputs(), compare.TAG)
    assert not agree(outputs(image=curve()), outputs(), compare.TAG)
    assert not agree(outputs(), outputs(image=curve()), compare.TAG)


def test_settling_leaves_the_stored_outputs_as_they_are():
    stored = outputs()
    compare.settle(stored, outputs("0.2448"), [compare.TAG])
    assert stored == outputs()
