import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")

import matplotlib.pyplot as plt

from attnlib import plotting

WEIGHTS = np.array([[0.9, 0.1, 0.0], [0.2, 0.3, 0.5]])


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_alignment_shows_target_down_source_across_on_a_fixed_scale():
    ax = plotting.alignment(WEIGHTS, ["a", "red", "shirt"], ["chemise", "rouge"], links=[(1, 2)])
    (image,) = ax.images
    np.testing.assert_array_equal(image.get_array(), WEIGHTS)
    assert image.get_clim() == (0, 1)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["a", "red", "shirt"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["chemise", "rouge"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("source token", "target token")
    assert ax.figure.axes[1].get_ylabel() == "attention weight"
    (square,) = ax.patches
    middle = np.add(square.get_xy(), (square.get_width() / 2, square.get_height() / 2))
    np.testing.assert_allclose(middle, (2, 1))  # across, down


def test_alignment_draws_where_it_is_told():
    _, axes = plt.subplots(1, 2)
    assert plotting.alignment(WEIGHTS, "abc", "xy", ax=axes[1]) is axes[1]
    assert not axes[0].images


def test_alignment_refuses_what_is_not_weights():
    with pytest.raises(ValueError, match=r"weights \(2, 3\) for 3 x 2 tokens"):
        plotting.alignment(WEIGHTS, ["a", "b"], ["x", "y", "z"])
    with pytest.raises(ValueError, match=r"not in \[0, 1\]"):
        plotting.alignment(2 * WEIGHTS, "abc", "xy")


def test_curves_show_their_bands():
    lines = {"with": ([3, 2], [2, 1], [4, 3]), "without": ([1, 0], [1, 0], [1, 0])}
    ax = plotting.curves([10, 20], lines, "words", "BLEU")
    assert [line.get_ydata().tolist() for line in ax.lines] == [[3, 2], [1, 0]]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["with", "without"]
    band = ax.collections[0].get_paths()[0].vertices
    assert band[:, 1].min() == 1 and band[:, 1].max() == 4
    with pytest.raises(ValueError, match="'bad': shapes"):
        plotting.curves([1, 2], {"bad": ([1], [1], [1])}, "x", "y")
