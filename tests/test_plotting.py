import warnings

import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.backend_bases import MouseEvent
from matplotlib.colors import to_rgb

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


def test_a_square_matrix_is_not_turned_over():
    """As many source as target words, and no symmetry: what stands where, by the drawn pixels."""
    weights = np.array([[0.6, 0.3, 0.1], [0.0, 0.2, 0.8], [0.0, 1.0, 0.0]])
    source, target = ["a", "red", "shirt"], ["une", "chemise", "rouge"]
    ax = plotting.alignment(weights, source, target, links=[(0, 0), (1, 2)])
    ax.figure.canvas.draw()
    (image,) = ax.images
    np.testing.assert_array_equal(image.get_array(), weights)
    across = dict(zip(ax.get_xticks(), (label.get_text() for label in ax.get_xticklabels())))
    down = dict(zip(ax.get_yticks(), (label.get_text() for label in ax.get_yticklabels())))
    assert across == dict(enumerate(source)) and down == dict(enumerate(target))
    for t, row in enumerate(weights):
        for s, weight in enumerate(row):  # the cell of which the middle is (s, t)
            at = ax.transData.transform((s, t))
            event = MouseEvent("motion_notify_event", ax.figure.canvas, *at)
            assert image.get_cursor_data(event) == weight, (target[t], source[s])
    assert ax.yaxis_inverted() and not ax.xaxis_inverted()  # the first target word on top
    corners = {tuple(np.add(square.get_xy(), 0.42).round(6)) for square in ax.patches}
    assert corners == {(0, 0), (2, 1)}


def test_a_square_grid_of_cells_lies_on_its_image():
    image = np.arange(4 * 4 * 3, dtype=np.uint8).reshape(4, 4, 3)
    ax = plotting.word_map(image, [0.1, 0.6, 0.3, 0.0], (2, 2))
    below, tint = ax.images
    np.testing.assert_array_equal(tint.get_array(), [[0.1, 0.6], [0.3, 0.0]])
    np.testing.assert_allclose(below.get_array(), 0.4 + 0.6 * (image / 255) @ [0.299, 0.587, 0.114])
    assert frame(ax) == (2, 0, 2, 2)  # the upper right cell
    mask = np.zeros((4, 4), dtype=bool)
    mask[3, 0:2] = True
    ax = plotting.word_map(image, [0.1, 0.6, 0.3, 0.0], (2, 2), outline=mask)
    vertices = ax.collections[0].get_paths()[0].vertices
    np.testing.assert_allclose([*vertices.min(0), *vertices.max(0)], [0, 3, 2, 4])


def test_alignment_draws_where_it_is_told():
    _, axes = plt.subplots(1, 2)
    assert plotting.alignment(WEIGHTS, list("abc"), list("xy"), ax=axes[1]) is axes[1]
    assert not axes[0].images


def test_alignment_refuses_what_is_not_weights():
    with pytest.raises(ValueError, match=r"weights \(2, 3\) for 3 x 2 tokens"):
        plotting.alignment(WEIGHTS, ["a", "b"], ["x", "y", "z"])
    with pytest.raises(ValueError, match=r"not in \[0, 1\]"):
        plotting.alignment(2 * WEIGHTS, list("abc"), list("xy"))


IMAGE = np.zeros((4, 6, 3), dtype=np.uint8)
IMAGE[:2] = 255, 0, 0
CELLS = np.array([0.1, 0.0, 0.0, 0.0, 0.7, 0.2])  # of 2 x 3, each 2 x 2 pixels


def frame(ax):
    """Left, top, width and height of the one frame."""
    (square,) = ax.patches
    return *square.get_xy(), square.get_width(), square.get_height()


def test_a_word_map_tints_a_grey_image_on_a_fixed_scale_and_frames_the_cell_with_most():
    ax = plotting.word_map(IMAGE, CELLS, (2, 3), "ring")
    image, tint = ax.images
    grey = np.where(np.arange(4)[:, None] < 2, 0.4 + 0.6 * 0.299, 0.4) * np.ones((4, 6))
    np.testing.assert_allclose(image.get_array(), grey)
    np.testing.assert_array_equal(tint.get_array(), [[0.1, 0, 0], [0, 0.7, 0.2]])  # row by row
    assert tint.get_clim() == (0, 1) and tint.get_cmap().name == "viridis"
    assert image.get_extent() == tint.get_extent() == [0, 6, 4, 0]  # over each other, y down
    assert {part.get_interpolation() for part in ax.images} == {"nearest"}
    assert frame(ax) == (2, 2, 2, 2)
    assert (ax.get_title(), ax.get_xlabel()) == ("ring", "0.70")
    assert ax.figure.axes[1].get_ylabel() == "attention weight"


def test_a_word_map_leaves_out_its_scale_where_it_is_not_wanted():
    image, weights = np.zeros((2, 2, 3), np.uint8), [0.7, 0.1, 0.1, 0.1]
    for scale in (True, False):
        figure, ax = plt.subplots()
        plotting.word_map(image, weights, (2, 2), ax=ax, scale=scale)
        assert len(figure.axes) == 1 + scale


def test_a_word_map_frames_no_cell_where_several_share_the_most():
    for weights in (np.zeros(6), np.full(6, 1 / 6)):
        assert not plotting.word_map(IMAGE, weights, (2, 3)).patches


def test_a_word_map_draws_a_line_around_the_thing():
    mask = np.zeros((4, 6), dtype=bool)
    mask[0:2, 3:6] = True  # at the border too
    ax = plotting.word_map(IMAGE / 255, CELLS, (2, 3), outline=mask)
    (lines,) = ax.collections
    (path,) = lines.get_paths()
    low, high = path.vertices.min(axis=0), path.vertices.max(axis=0)
    np.testing.assert_allclose([*low, *high], [3, 0, 6, 2])  # across, down: the edges of its pixels
    assert ax.get_xlim() == (0, 6) and ax.get_ylim() == (4, 0)


def test_a_bright_word_map_darkens_a_cell_by_what_it_has_less_than_the_most():
    ax = plotting.word_map(IMAGE, CELLS, (2, 3), "ring", bright=True)
    image, veil, glow = ax.images
    np.testing.assert_array_equal(image.get_array(), IMAGE / 255)  # in its colours
    assert not veil.get_array().any()  # black
    share = np.array([[1 / 7, 0, 0], [0, 1, 2 / 7]])
    np.testing.assert_allclose(veil.get_alpha(), plotting.VEIL * (1 - share))
    assert (glow.get_array() == 1).all()  # white, for what is dark by itself
    np.testing.assert_allclose(glow.get_alpha(), plotting.GLOW * share)
    assert frame(ax) == (2, 2, 2, 2) and ax.get_xlabel() == "0.70"
    assert len(ax.figure.axes) == 1  # no scale: it is of this word alone
    nowhere = plotting.word_map(IMAGE, np.zeros(6), (2, 3), bright=True)
    assert (nowhere.images[1].get_alpha() == plotting.VEIL).all()
    assert not nowhere.images[2].get_alpha().any()


def test_word_maps_shows_the_image_then_each_word_with_one_scale():
    weights, words = np.eye(6)[[4, 0, 5]], ["a", "red", "ring"]
    mask = IMAGE[..., 0] > 0
    axes = plotting.word_maps(IMAGE, weights, words, (2, 3), outlines=[None, mask, None])
    assert [ax.get_title() for ax in axes] == ["", *words]
    np.testing.assert_array_equal(axes[0].images[0].get_array(), IMAGE / 255)
    assert [frame(ax)[:2] for ax in axes[1:]] == [(2, 2), (0, 0), (4, 2)]
    assert [len(ax.collections) for ax in axes] == [0, 0, 1, 0]
    figure = axes[0].figure
    assert [ax.get_ylabel() for ax in figure.axes if ax not in axes] == ["attention weight"]
    bright = plotting.word_maps(IMAGE, weights, words, (2, 3), bright=True)
    assert len(bright[0].figure.axes) == len(bright) == 4


def test_word_maps_begins_a_new_row_and_leaves_no_empty_frame():
    axes = plotting.word_maps(IMAGE, np.eye(6)[[0] * 9], list("abcdefghi"), (2, 3))
    assert len(axes) == 10 and len(axes[0].figure.axes) == 11  # and the scale
    assert len({round(ax.get_subplotspec().rowspan.start) for ax in axes}) == 3
    assert len(plotting.word_maps(IMAGE, np.zeros((0, 6)), [], (2, 3))) == 1


@pytest.mark.parametrize(
    "change, message",
    [
        ({"image": IMAGE[..., 0]}, r"must be \(H, W, 3\), got \(4, 6\)"),
        ({"weights": CELLS[:5]}, r"weights \(5,\) for 2 x 3 cells"),
        ({"weights": CELLS.reshape(2, 3)}, r"weights \(2, 3\) for 2 x 3 cells"),
        ({"weights": 2 * CELLS}, r"to 1.4, not in \[0, 1\]"),
        ({"weights": np.nan * CELLS}, r"not in \[0, 1\]"),
        ({"outline": np.ones((6, 4), dtype=bool)}, r"must be bool \(4, 6\), got bool \(6, 4\)"),
        ({"outline": np.ones((4, 6))}, r"must be bool \(4, 6\), got float64"),
    ],
)
def test_a_word_map_refuses_what_does_not_fit(change, message):
    with pytest.raises(ValueError, match=message):
        plotting.word_map(**{"image": IMAGE, "weights": CELLS, "grid": (2, 3), **change})


def test_word_maps_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match=r"weights \(6,\) for 1 words"):
        plotting.word_maps(IMAGE, CELLS, ["a"], (2, 3))
    with pytest.raises(ValueError, match=r"weights \(1, 6\) for 2 words"):
        plotting.word_maps(IMAGE, [CELLS], ["a", "b"], (2, 3))
    with pytest.raises(ValueError, match="2 outlines for 1 words"):
        plotting.word_maps(IMAGE, [CELLS], ["a"], (2, 3), outlines=[None, None])


def test_curves_show_their_bands():
    lines = {"with": ([3, 2], [2, 1], [4, 3]), "without": ([1, 0], [1, 0], [1, 0])}
    ax = plotting.curves([10, 20], lines, "words", "BLEU")
    assert [line.get_ydata().tolist() for line in ax.lines] == [[3, 2], [1, 0]]
    assert [line.get_xdata().tolist() for line in ax.lines] == [[10, 20], [10, 20]]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("words", "BLEU")
    handles = ax.get_legend().legend_handles
    for line, handle, area in zip(ax.lines, handles, ax.collections, strict=True):
        assert line.get_color() == handle.get_color()
        np.testing.assert_allclose(area.get_facecolor()[0, :3], to_rgb(line.get_color()))
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["with", "without"]
    band = ax.collections[0].get_paths()[0].vertices
    assert {tuple(corner) for corner in band} == {(10, 2), (20, 1), (20, 3), (10, 4)}
    with pytest.raises(ValueError, match="'bad': shapes"):
        plotting.curves([1, 2], {"bad": ([1], [1], [1])}, "x", "y")


def test_one_string_is_no_list_of_words():
    for draw in (
        lambda: plotting.alignment(WEIGHTS, "abc", ["x", "y"]),
        lambda: plotting.alignment(WEIGHTS, ["a", "b", "c"], "xy"),
        lambda: plotting.word_maps(IMAGE, [CELLS] * 3, "cat", (2, 3)),
    ):
        with pytest.raises(TypeError, match="must be a list of str, got one str"):
            draw()
    plotting.alignment(WEIGHTS, iter("abc"), iter("xy"))


# Words as they are ----------------------------------------------------------------------------

WORDS = ["$5-$10", "$$", "_id", "a^2", r"\alpha", "100%", "$\\frac{1}{0"]


def texts_of(ax):
    legend = ax.get_legend()
    return [
        ax.title, *ax.get_xticklabels(), *ax.get_yticklabels(),
        *(legend.get_texts() if legend else ()),
    ]  # fmt: skip


def drawings(words, tmp_path):
    """Every figure that has words in it, drawn to files; all its texts that are not empty."""
    n, eye = len(words), np.eye(len(words))
    axes = [
        plotting.alignment(eye, words, words[::-1]),
        plotting.curves([1, 2], {word: ([1, 2],) * 3 for word in words}, words[0], words[-1]),
        *plotting.word_maps(IMAGE, np.full((n, 6), 1 / 6), words, (2, 3)),
        plotting.word_map(IMAGE, CELLS, (2, 3), words[0]),
    ]
    for suffix in ("png", "svg", "pdf"):
        for number, figure in enumerate({ax.figure: 0 for ax in axes}):
            figure.savefig(tmp_path / f"{number}.{suffix}")
    return [text for ax in axes for text in texts_of(ax) if text.get_text()]


def test_a_dollar_in_a_word_begins_no_mathematics(tmp_path):
    texts = drawings(WORDS, tmp_path)
    drawn = [text for text in texts if text.get_text() in WORDS]
    assert len(drawn) == 4 * len(WORDS) + 1
    assert not [text for text in drawn if text.get_parse_math() or text.get_usetex()]


def boxes(said):
    return [str(each.message) for each in said if "missing from" in str(each.message)]


@pytest.mark.skipif(
    not any("म" in letters for letters in plotting._families().values()),
    reason="no installed font has Devanagari",
)
def test_marathi_is_drawn_with_a_font_that_has_its_letters(tmp_path):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        drawings(["मुलगा", "धावतो", "boy", "र\u094d\u200dया"], tmp_path)
    assert not said


def test_letters_that_no_font_has_are_named_in_one_warning(monkeypatch):
    usual = plotting._families()["DejaVu Sans"]
    monkeypatch.setattr(plotting, "_families", lambda: {"DejaVu Sans": usual})
    plotting._fallbacks.cache_clear()
    try:
        with pytest.warns(UserWarning, match="^no installed font has अ म: boxes stand") as said:
            ax = plotting.alignment(np.eye(3), ["म", "é", "$"], ["अ म", "म", "x"])
            ax.figure.canvas.draw()
            assert len(said) == 1  # and none of Matplotlib's
            ax.set_title("क")
            ax.figure.canvas.draw()
        assert any("Glyph 2325" in str(each.message) for each in said)  # of others it still warns
    finally:
        plotting._fallbacks.cache_clear()
