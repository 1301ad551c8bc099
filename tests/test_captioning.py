"""The captioner against the loops; the image encoder against the gradient; the errors."""

import math
from functools import partial
from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from attnlib import reference, selection
from attnlib.captioning import Captioner
from attnlib.decoding import Sampled, beam_search, greedy
from attnlib.settings import make_attention, make_captioner
from attnlib.training import (
    COVERAGE_TARGETS,
    Objective,
    doubly_stochastic_loss,
    supervised_attention_loss,
    word_detection_loss,
)
from attnlib.vision import FIELDS, ImageEncoder, check_images

EXACT = {"rtol": 0, "atol": 1e-12}  # float64: only the order of the sums may differ
V = 11
SIZE, CELLS = 8, 16  # a small image has 4 x 4 cells of 2 x 2 pixels
TINY = ((4, 2, 2), (5, 3, 1))
CHOICES = ("soft", "hard", "gumbel", None)


def tiny_encoder(**given):
    return ImageEncoder(**{"annotation_dim": 6, "size": SIZE, "field": "far", "body": TINY} | given)


def whole(vocab_size, width=128, *, encoder, hidden=192, annotation_dim=None, **settings):
    """A captioner with an encoder as an object, and an attention by names."""
    dials = ("window", "selection", "reach", "expectation", "max_source")
    known = {name: settings.pop(name) for name in dials if name in settings}
    attention = make_attention(
        settings.pop("score", "additive"),
        query_dim=hidden,
        key_dim=getattr(encoder, "annotation_dim", annotation_dim) or 1,
        hidden_dim=settings.pop("score_hidden", hidden),
        **known,
    )
    sizes = {"hidden": hidden, "annotation_dim": annotation_dim, "encoder": encoder}
    return Captioner(vocab_size, width, attention=attention, **sizes, **settings)


def captioner(choice="soft", seed=0, **dials):
    """A small one in float64, with weights far enough from even; None: without attention."""
    torch.manual_seed(seed)
    if choice is None:
        dials["score"] = None
    sizes = {"vocab_size": V, "width": 7, "hidden": 5, "score_hidden": 4, "encoder": tiny_encoder()}
    model = whole(**sizes | dials, selection=choice or "soft").double().eval()
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter.mul_(3)
        model.bias.uniform_(-1, 1)
        model.bias[2] = -2.0  # longer captions
        for name, parameter in model.encoder.named_parameters():
            if name.endswith("bias"):
                parameter.uniform_(-0.5, 0.5)
    return model


def images(B=3, size=SIZE, seed=5, dtype=torch.float64):
    return torch.rand(B, 3, size, size, generator=generator(seed), dtype=dtype)


def generator(seed):
    return torch.Generator().manual_seed(seed)


def captions(*rows):
    """Ids after <s> and before </s>, and the numbers of steps: padded with 0."""
    rows = rows or ([9, 10, 4], [3, 5, 6, 8, 7], [])
    T = max(map(len, rows)) + 1
    given = torch.tensor([[1, *row, *[0] * (T - 1 - len(row))] for row in rows])
    wanted = torch.tensor([[*row, 2, *[0] * (T - 1 - len(row))] for row in rows])
    return given, wanted, torch.tensor([len(row) + 1 for row in rows])


def cells(B, S=CELLS):
    return torch.full((B,), S)


# The image encoder ----------------------------------------------------------------------------


@torch.no_grad()
def test_an_image_encoder_matches_the_loops():
    model = captioner().encoder
    image = images(1)
    maps = 4 * image[0].numpy() - 2
    convolutions = [layer for layer in model.layers if isinstance(layer, nn.Conv2d)]
    for (K, stride), convolution in zip(((2, 2), (3, 1), (3, 1)), convolutions, strict=True):
        W, b = convolution.weight.numpy(), convolution.bias.numpy()
        maps = np.maximum(reference.convolve(maps, W, b, stride, (K - stride) // 2), 0)
    assert maps.shape == (6, 4, 4)
    for cell, got in enumerate(model(image)[0]):
        want = maps[:, cell // 4, cell % 4] + model.P[cell].numpy()
        np.testing.assert_allclose(got, want, **EXACT)


def reached(model, height, width, cell):
    """The smallest box of pixels outside of which nothing moves the annotation of a cell."""
    pixels = torch.zeros(height, width, dtype=torch.bool)
    for seed in range(3):  # a rectifier may hide a pixel from one image, hardly from three
        image = torch.rand(1, 3, height, width, generator=generator(seed), requires_grad=True)
        model(image)[0, cell].sum().backward()
        pixels |= (image.grad[0] != 0).any(0)
    rows, columns = (pixels.any(axis).nonzero().squeeze(1) for axis in (1, 0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


@pytest.mark.parametrize("field, pixels", [("narrow", 22), ("near", 30), ("far", 46)])
def test_the_receptive_field_is_what_moves_an_annotation(field, pixels):
    """The gradient reaches all of the field and nothing else, at the borders too."""
    torch.manual_seed(0)
    model = ImageEncoder(annotation_dim=8, field=field, positions=False)
    assert model.receptive_field == pixels
    for cell in (0, 9, 5 * 8 + 4, 63):
        assert reached(model, 64, 64, cell) == model.box(cell, 64, 64, seen=True)
    left, top, right, bottom = reached(model, 64, 96, 3 * 12 + 6)  # whole, in the middle
    assert (right - left, bottom - top) == (pixels, pixels)
    around = model.box(3 * 12 + 6, 64, 96)
    assert {around[0] - left, around[1] - top, right - around[2], bottom - around[3]} == {
        (pixels - 8) // 2
    }


def test_normed_annotations_are_as_long_as_their_positions_and_see_no_more():
    torch.manual_seed(0)
    model = ImageEncoder(annotation_dim=16, normed=True)
    images = torch.rand(2, 3, 64, 64)
    alone = model(images) - model.P
    torch.testing.assert_close(alone.mean(-1), torch.zeros(2, 64), rtol=0, atol=1e-5)
    torch.testing.assert_close(alone.var(-1, unbiased=False), torch.ones(2, 64), rtol=0, atol=1e-2)
    assert 3.5 < model.P.norm(dim=-1).mean() < 4.5  # the root of 16
    assert reached(model, 64, 64, 9) == model.box(9, 64, 64, seen=True)


def test_group_norm_would_let_every_annotation_see_every_pixel():
    torch.manual_seed(0)
    model = ImageEncoder(annotation_dim=8, positions=False)
    model.layers.insert(1, nn.GroupNorm(4, model.layers[0].out_channels))
    assert reached(model, 64, 64, 0) == (0, 0, 64, 64) != model.box(0, 64, 64, seen=True)


def test_boxes_tile_the_image_row_by_row():
    model = ImageEncoder(positions=False)
    assert model.cells(32, 48) == (4, 6) and model.stride == 8
    painted = np.full((32, 48), -1)
    for cell in range(24):
        left, top, right, bottom = model.box(cell, 32, 48)
        assert (painted[top:bottom, left:right] == -1).all()
        painted[top:bottom, left:right] = cell
    assert (painted == np.add.outer(6 * (np.arange(32) // 8), np.arange(48) // 8)).all()
    for cell in (-1, 24):
        with pytest.raises(IndexError, match=rf"no cell {cell} in 4 x 6 cells, counted from 0"):
            model.box(cell, 32, 48)


@torch.no_grad()
def test_positions_tell_equal_cells_apart():
    """Cells of a grey image differ by their positions alone; without, a moved thing is the same."""
    torch.manual_seed(0)
    grey = torch.full((1, 3, 16, 16), 0.5)
    for positions in (True, False):
        inner = (
            tiny_encoder(size=16, positions=positions)(grey).view(8, 8, -1)[2:6, 2:6].flatten(0, 1)
        )
        assert (torch.pdist(inner).max() < 1e-4) != positions
    model = tiny_encoder(positions=False).double()
    image = images(1, 16)
    moved = image.roll((4, -2), (2, 3))
    got, want = (model(x).view(8, 8, -1) for x in (moved, image))
    torch.testing.assert_close(got[4:6, 2:5], want[2:4, 3:6], **EXACT)


EYES = {
    "field": ({"field": "wide"}, "unknown field 'wide': one of narrow, near, far$"),
    "cell": ({"cell": 12}, "a cell may be 8 or 16 pixels a side, got 12"),
    "centre": ({"body": ((4, 3, 2),)}, "kernel of 3 with a stride of 2 is not centred"),
    "gaps": ({"body": ((4, 2, 4),)}, "kernel of 2 with a stride of 4 is not centred"),
    "size": ({"size": 7}, "must be multiples of 2 pixels, the side of a cell, got 7 x 7"),
    "nothing": ({"size": 0}, "must be multiples of 2 pixels, the side of a cell, got 0 x 0"),
}


@pytest.mark.parametrize("case", EYES)
def test_image_encoders_that_make_no_sense_are_refused(case):
    given, message = EYES[case]
    with pytest.raises(ValueError, match=message):
        tiny_encoder(**given)


IMAGES = {
    "one image": ((3, 8, 8), r"got \(3, 8, 8\); one image needs a batch of one"),
    "grey": ((2, 1, 8, 8), r"got \(2, 1, 8, 8\); repeat the channel of grey images"),
    "alpha": ((2, 4, 8, 8), r"got \(2, 4, 8, 8\); leave out the alpha channel"),
    "channels last": ((2, 8, 8, 3), r"got \(2, 8, 8, 3\); the channels come first"),
    "flat": ((2, 64), r"images must be \(B, 3, H, W\), got \(2, 64\)$"),
    "half a cell": ((2, 3, 8, 9), "must be multiples of 2 pixels, the side of a cell, got 8 x 9"),
    "nothing": ((2, 3, 0, 8), "must be multiples of 2 pixels, the side of a cell, got 0 x 8"),
    "other size": ((2, 3, 12, 8), "positions are for images of 8 x 8 pixels, got 12 x 8"),
}


@pytest.mark.parametrize("case", IMAGES)
def test_images_of_the_wrong_shape_are_refused(case):
    shape, message = IMAGES[case]
    for look in (
        tiny_encoder(),
        partial(whole(V, encoder=tiny_encoder()).encode, lengths=cells(shape[0])),
    ):
        with pytest.raises(ValueError, match=message):
            look(torch.zeros(shape))


def test_images_that_are_not_numbers_from_0_to_1_are_refused():
    model = whole(V, encoder=tiny_encoder())
    for look in (check_images, model.encoder, partial(model.encode, lengths=cells(1))):
        with pytest.raises(TypeError, match=r"in \[0, 1\], got torch.uint8: divide by 255"):
            look(torch.zeros(1, 3, SIZE, SIZE, dtype=torch.uint8))
    bright = 255 * torch.ones(1, 3, SIZE, SIZE)
    with pytest.raises(ValueError, match=r"must be in \[0, 1\], got values from 255 to 255"):
        model.encode(bright, cells(1))
    with pytest.raises(ValueError, match=r"must be in \[0, 1\], got values from -1 to -1"):
        model.encode(bright / -255, cells(1))


# The captioner --------------------------------------------------------------------------------


def loops(model, annotations, words, draws=None):
    """The same from the equations, one image, one step, one sum at a time.

    Logits (T, V) and weights (T, S) of annotations (S, D) and ids; `draws` (T,) choose, and
    average where negative.
    """
    p = {name: value.detach().numpy() for name, value in model.named_parameters()}
    attention, S, E = model.decoder.attention, len(annotations), p["embedding.weight"]

    def linear(name, x):
        return reference.times(p[f"{name}.weight"], x) + p[f"{name}.bias"]

    def first(mean):
        return np.tanh(linear("decoder.init_h", mean)), np.tanh(linear("decoder.init_c", mean))

    def gate(h):
        if model.decoder.f_beta is None:
            return 1.0
        return reference.sigmoid(linear("decoder.f_beta", h)[0])

    def pick(t):
        if isinstance(attention.selection, selection.Soft):
            return None
        if draws is None:
            return np.argmax
        return None if draws[t] < 0 else partial(reference.choose, draw=draws[t])

    def ask(q, t):
        if attention is None:
            return reference.average([1 / S] * S, annotations), np.zeros(S)
        named = {name: p[f"decoder.attention.score.{name}.weight"] for name in "WUv"}
        named["v"] = named["v"][0]
        scores = [reference.additive_score(q, k, **named) for k in annotations]
        context, a = reference.look(scores, annotations, pick=pick(t))
        if isinstance(attention.selection, selection.StraightThroughGumbel):
            a = np.eye(S)[pick(t)(a)]  # its weights are the choice
        return context, a

    lstm = [p[f"decoder.cell.{n}"] for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    deep = {name: p[f"decoder.{name}.weight"] for name in ("L_o", "L_h", "L_z")}
    vectors, weights = reference.caption(
        E[words],
        annotations,
        first,
        ask,
        gate,
        lambda x, h, c: reference.lstm_step(x, h, c, *lstm),
        partial(reference.deep_output, **deep),
        model.decoder.feeding == "context",
        model.decoder.timing == "after",
    )
    return np.array([reference.times(E, vector) + p["bias"] for vector in vectors]), weights


SETTINGS = list(product((*CHOICES, "hard drawn", "gumbel drawn"), (True, False)))


@torch.no_grad()
@pytest.mark.parametrize("choice, gate", SETTINGS, ids=str)
def test_a_whole_captioner_matches_the_loops(choice, gate):
    """A padded batch against its captions one by one, in float64: logits and weights."""
    model = captioner(choice and choice.removesuffix(" drawn"), gate=gate)
    looked, (given, _, lengths) = images(), captions()
    draws = None
    if choice and choice.endswith("drawn"):
        draws = torch.rand(given.shape, generator=generator(1), dtype=torch.float64)
        if choice.startswith("hard"):
            draws[0] = -1.0  # this caption is trained on the average
    logits, weights = model(looked, cells(3), given, draws)
    for b, T in enumerate(lengths):
        want = loops(
            model,
            model.encoder(looked[b : b + 1])[0].numpy(),
            given[b, :T].tolist(),
            None if draws is None else draws[b, :T].tolist(),
        )
        np.testing.assert_allclose(logits[b, :T], want[0], **EXACT)
        np.testing.assert_allclose(weights[b, :T], want[1], **EXACT)


DIALS = [("before", "none"), ("after", "context"), ("after", "none")]


@torch.no_grad()
@pytest.mark.parametrize("timing, feeding", DIALS)
def test_timing_and_feeding_match_the_loops(timing, feeding):
    model = captioner(timing=timing, feeding=feeding)
    looked, (given, _, lengths) = images(), captions()
    logits, weights = model(looked, cells(3), given)
    for b, T in enumerate(lengths):
        annotations = model.encoder(looked[b : b + 1])[0].numpy()
        want = loops(model, annotations, given[b, :T].tolist(), None)
        np.testing.assert_allclose(logits[b, :T], want[0], **EXACT)
        np.testing.assert_allclose(weights[b, :T], want[1], **EXACT)


@torch.no_grad()
@pytest.mark.parametrize("timing, feeding", DIALS)
def test_timing_and_feeding_step_as_they_were_taught(timing, feeding):
    model, looked = captioner(timing=timing, feeding=feeding), images()
    given, _, _ = captions()
    logits, _ = model(looked, cells(3), given)
    memory = model.encode(looked, cells(3))
    state = model.start(memory)
    for t in range(given.shape[1]):
        step_logits, _, state = model.step(given[:, t], state, memory)
        torch.testing.assert_close(step_logits, logits[:, t], **EXACT)


def test_an_unknown_timing_or_feeding_is_refused():
    with pytest.raises(ValueError, match="unknown feeding 'input': one of context, none"):
        captioner(feeding="input")
    with pytest.raises(ValueError, match="unknown timing 'late': one of before, after"):
        captioner(timing="late")


@torch.no_grad()
def test_a_word_is_detected_in_the_cell_that_is_surest():
    model, looked = captioner(detector=True), images()
    memory = model.encode(looked, cells(3))
    W, b = model.detector.weight.numpy(), model.detector.bias.numpy()
    got = model.detect(memory.annotations)
    for image, annotations in zip(got, memory.annotations.numpy()):
        want = [max(reference.dot_score(w, cell) for cell in annotations) for w in W]
        np.testing.assert_allclose(image, np.array(want) + b, **EXACT)
    with pytest.raises(ValueError, match="no detector"):
        captioner().detect(memory.annotations)


def test_detected_words_are_counted_once_and_padding_never():
    logits = torch.randn(2, V, generator=generator(2), dtype=torch.float64)
    wanted = torch.tensor([[3, 3, 2, 0], [5, 6, 7, 2]])
    total = 0.0
    for row, there in zip(logits.tolist(), ({3, 2}, {5, 6, 7, 2})):
        for word, z in enumerate(row):
            p = 1 / (1 + math.exp(-z))
            total -= math.log(p if word in there else 1 - p)
    assert word_detection_loss(logits, wanted).item() == pytest.approx(total, rel=1e-12)


def test_the_detector_teaches_the_encoder_without_changing_the_loss():
    model, looked, (given, wanted, _) = captioner(detector=True).train(), images(), captions()
    losses, gradients = [], []
    for weight in (0.0, 1.0):
        model.zero_grad()
        loss = Objective(model, word_detection=weight)(looked, cells(3), given, wanted)
        loss.backward()
        losses.append(loss.item())
        gradients.append(model.encoder.layers[0].weight.grad.clone())
    assert losses[0] == losses[1]
    assert not torch.allclose(*gradients)
    assert model.detector.weight.grad.any()


def test_a_bf16_encoder_is_so_in_training_only():
    model, looked = captioner().float(), images(dtype=torch.float32)
    exact = model.encode(looked, cells(3)).annotations
    model.encoder_bf16 = True
    assert (model.encode(looked, cells(3)).annotations == exact).all()
    rough = model.train().encode(looked, cells(3)).annotations
    assert rough.dtype == torch.float32 and not (rough == exact).all()
    torch.testing.assert_close(rough, exact, rtol=0.1, atol=0.1)  # bf16 has 8 bits


@torch.no_grad()
@pytest.mark.parametrize("choice, gate", SETTINGS[:8], ids=str)
def test_steps_one_by_one_equal_teacher_forcing(choice, gate):
    model, looked, (given, _, _) = captioner(choice, gate=gate), images(), captions()
    logits, weights = model(looked, cells(3), given)
    memory = model.encode(looked, cells(3))
    state = model.start(memory)
    for t in range(given.shape[1]):
        step_logits, step_weights, state = model.step(given[:, t], state, memory)
        torch.testing.assert_close(step_logits, logits[:, t], **EXACT)
        torch.testing.assert_close(step_weights, weights[:, t], **EXACT)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("choice, gate", SETTINGS[:8], ids=str)
def test_every_parameter_learns(choice, gate, dtype):
    model, looked, (given, wanted, _) = captioner(choice, gate=gate), images(), captions()
    model.to(dtype).train()
    if choice == "hard":
        model.decoder.attention.selection.expectation = 0.0  # choices only
    torch.manual_seed(1)
    loss = Objective(model, 0.1)(looked.to(dtype), cells(3), given, wanted)
    loss.backward()
    assert torch.isfinite(loss) and loss.dtype == dtype
    assert not {n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()}


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_padding_and_companions_change_nothing(choice):
    """Logits, weights, loss and gradients of a batch are those of its captions one by one."""
    model, looked, (given, wanted, lengths) = captioner(choice), images(), captions()
    objective = Objective(model)

    def gradients(loss):
        """A score learns nothing through a choice."""
        unused = {"materialize_grads": True} if choice == "hard" else {}
        return torch.autograd.grad(loss, list(model.parameters()), **unused)

    whole = objective(looked, cells(3), given, wanted)
    logits, weights = model(looked, cells(3), given)
    alone = [
        (looked[b : b + 1], cells(1), given[b : b + 1, :T], wanted[b : b + 1, :T])
        for b, T in enumerate(lengths)
    ]
    for b, (*arguments, _) in enumerate(alone):
        one = model(*arguments)
        torch.testing.assert_close(one[0], logits[b : b + 1, : lengths[b]], **EXACT)
        torch.testing.assert_close(one[1], weights[b : b + 1, : lengths[b]], **EXACT)
    total = sum(objective(*arguments) for arguments in alone)
    torch.testing.assert_close(total, whole, **EXACT)
    for got, want in zip(gradients(total), gradients(whole), strict=True):
        torch.testing.assert_close(got, want, rtol=0, atol=1e-11)


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_a_beam_of_one_is_greedy_and_a_batch_is_its_images(choice):
    model, looked = captioner(choice), images(6)
    found = greedy(model, looked, cells(6), max_length=9)
    assert len({tuple(h.ids) for h in found}) > 1  # they do depend on the image
    for how in (beam_search, lambda *x, beam, **y: [[h] for h in greedy(*x, **y)]):
        for b, (h,) in enumerate(how(model, looked, cells(6), max_length=9, beam=1)):
            assert h.ids == found[b].ids
            assert h.logprob == pytest.approx(found[b].logprob, abs=1e-12)
            np.testing.assert_allclose(h.weights, found[b].weights, **EXACT)
            assert h.weights.shape == (len(h.ids), CELLS)
    for beam in (1, 4):
        many = beam_search(model, looked, cells(6), max_length=9, beam=beam)
        for b in range(6):
            (one,) = beam_search(model, looked[b : b + 1], cells(1), max_length=9, beam=beam)
            assert [h.ids for h in one] == [h.ids for h in many[b]]
            scores = [h.logprob for h in one]
            assert scores == pytest.approx([h.logprob for h in many[b]], abs=1e-12)
    assert greedy(model, looked[:0], cells(0)) == beam_search(model, looked[:0], cells(0)) == []


@torch.no_grad()
def test_a_hypothesis_has_the_probability_that_teacher_forcing_gives():
    model, looked = captioner("hard"), images(4)
    for b, (best, *_) in enumerate(beam_search(model, looked, cells(4), max_length=6, beam=3)):
        given, wanted, _ = captions(best.ids)
        logits, _ = model(looked[b : b + 1], cells(1), given)
        log_p = logits.log_softmax(-1).gather(-1, wanted.unsqueeze(-1)).sum()
        assert best.logprob == pytest.approx(float(log_p), abs=1e-12)


@pytest.mark.parametrize("choice", ["hard", "gumbel"])
def test_samples_are_made_again_by_their_seed(choice):
    model, looked = captioner(choice), images(6)

    def sample(seed):
        sampled = Sampled(model, generator(seed))
        return [h.logprob for h in greedy(sampled, looked, cells(6), max_length=9, eos=0)]

    assert sample(0) == sample(0) != sample(1)
    assert sample(0) != [h.logprob for h in greedy(model, looked, cells(6), max_length=9, eos=0)]


@torch.no_grad()
def test_the_gate_opens_from_0_to_1_and_closes_the_context_out():
    model, looked, (given, _, _) = captioner(), images(), captions()
    memory = model.encode(looked, cells(3))
    state, seen = model.start(memory), []
    for t in range(given.shape[1]):
        seen.append(model.decoder.beta(state.hidden))
        assert seen[-1].shape == (3, 1)
        state = model.step(given[:, t], state, memory)[2]
    seen = torch.cat(seen)
    assert (seen > 0).all() and (seen < 1).all() and seen.std() > 0.01
    z, weights = model.decoder.attend(state.hidden, memory, 0)
    context = (weights.unsqueeze(-1) * memory.annotations).sum(1)
    torch.testing.assert_close(z, model.decoder.beta(state.hidden) * context, **EXACT)

    def logits():
        """With the same first state: what is left of the image is the context."""
        states = [model.start(memory), model.start(memory)]
        changed = memory._replace(annotations=memory.annotations + 1)
        return [model.step(given[:, 0], s, m)[0] for s, m in zip(states, (memory, changed))]

    assert not torch.equal(*logits())
    model.decoder.f_beta.bias.fill_(-1e4)
    assert torch.equal(*logits())
    open_ = captioner(gate=False)
    assert open_.decoder.beta(state.hidden).eq(1).all()
    assert not [name for name, _ in open_.named_parameters() if "f_beta" in name]


@torch.no_grad()
def test_without_attention_every_step_sees_the_mean_annotation():
    model, looked, (given, _, _) = captioner(None, gate=False), images(), captions()
    memory = model.encode(looked, cells(3))
    torch.testing.assert_close(memory.summary, model.encoder(looked).mean(1), **EXACT)
    for t in (0, 3):
        z, weights = model.decoder.attend(torch.randn(3, 5).double(), memory, t)
        assert torch.equal(z, memory.summary) and weights.eq(0).all()
    shuffled = model.encoder.P[torch.randperm(CELLS)]  # where things are is lost
    before = model(looked, cells(3), given)[0]
    model.encoder.P.copy_(shuffled)
    torch.testing.assert_close(model(looked, cells(3), given)[0], before, **EXACT)


@torch.no_grad()
def test_any_floating_type_of_image_serves():
    model, (given, _, _) = captioner().float(), captions()
    looked = images()
    logits, weights = model(looked, cells(3), given)  # float64 images, a float32 model
    assert logits.dtype == weights.dtype == torch.float32
    same = model(looked.float(), cells(3), given)
    assert torch.equal(logits, same[0]) and torch.equal(weights, same[1])
    double = captioner()(looked, cells(3), given)
    torch.testing.assert_close(logits.double(), double[0], rtol=0, atol=1e-4)
    with torch.autocast("cpu", torch.bfloat16):
        half, _ = model(looked, cells(3), given)
    assert torch.isfinite(half).all()
    torch.testing.assert_close(half.double(), double[0], rtol=0, atol=0.5)


def test_the_default_is_small():
    for field, cell in [*product(FIELDS, [8]), ("narrow", 16), ("near", 16)]:
        model = make_captioner(60, field=field, cell=cell)
        assert model.encoder.cells(64, 96) == (64 // cell, 96 // cell)
        assert sum(p.numel() for p in model.parameters()) < 1_000_000
        assert model.encoder.annotation_dim == model.annotation_dim == 128


def test_weights_from_before_the_encoder_had_its_name_still_load():
    model, other = captioner(seed=0), captioner(seed=1)
    before = {key.replace("encoder.", "eye."): value for key, value in model.state_dict().items()}
    assert any(key.startswith("eye.layers") for key in before)
    other.load_state_dict(before)
    assert all(
        torch.equal(value, other.state_dict()[key]) for key, value in model.state_dict().items()
    )
    with pytest.raises(RuntimeError, match="Missing key"):
        other.load_state_dict({key: value for key, value in before.items() if key != "eye.P"})


# Other encoders -------------------------------------------------------------------------------


class Backbone(nn.Module):
    """As torchvision's are made: features (B, D, h, w), of any image."""

    def __init__(self, flat=True):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 6, 5, 2), nn.ReLU(), nn.MaxPool2d(2))
        self.flat = flat

    def forward(self, images):
        maps = self.features(images)
        return maps.flatten(2).transpose(1, 2) if self.flat else maps


def test_another_encoder_drops_in():
    given, wanted, _ = captions()
    model = whole(V, width=7, hidden=5, encoder=Backbone(), annotation_dim=6)
    looked = images(size=30, dtype=torch.float32)
    Objective(model)(looked, cells(3, 36), given, wanted).backward()
    assert all(p.grad.any() for p in model.parameters())
    assert greedy(model.eval(), looked, cells(3, 36), max_length=4)[0].weights.shape[1] == 36
    named = Backbone()
    named.annotation_dim = 6
    assert whole(V, encoder=named).annotation_dim == 6
    with pytest.raises(ValueError, match="how wide are the encoder's annotations"):
        whole(V, encoder=Backbone())
    with pytest.raises(ValueError, match="annotation_dim is 5, but the encoder says 6"):
        whole(V, encoder=named, annotation_dim=5)
    wrong = {
        "map": (
            whole(V, encoder=Backbone(flat=False), annotation_dim=6),
            r"got \(3, 6, 6, 6\)",
        ),
        "width": (whole(V, encoder=Backbone(), annotation_dim=7), r"D = 7, got \(3, 36, 6\)"),
    }
    for model, message in wrong.values():
        with pytest.raises(ValueError, match=message):
            model.encode(looked, cells(3, 36))


def test_lengths_are_the_cells():
    model = captioner()
    for lengths in (cells(3, 15), torch.tensor([16, 16, 7]), cells(2), torch.tensor([[16] * 3])):
        with pytest.raises(ValueError, match="each the 16 cells of an image: got"):
            model.encode(images(), lengths)


@pytest.mark.parametrize(
    "dials, message",
    [
        ({"score": "sideways"}, "unknown score 'sideways'"),
        ({"selection": "sideways"}, "unknown selection 'sideways'"),
        ({"window": "sideways"}, "unknown window 'sideways'"),
        ({"field": "sideways"}, "unknown field 'sideways'"),
        ({"size": 60}, "multiples of 8 pixels"),
    ],
)
def test_unknown_settings_are_refused(dials, message):
    with pytest.raises(ValueError, match=message):
        make_captioner(V, **dials)


# The doubly stochastic term -------------------------------------------------------------------


def looks(B=3, T=6, S=5):
    weights = torch.rand(B, T, S, generator=generator(2), dtype=torch.float64).softmax(-1)
    real = torch.arange(T) < torch.tensor([6, 2, 4]).unsqueeze(1)
    return weights, real


@pytest.mark.parametrize("target", COVERAGE_TARGETS)
def test_the_doubly_stochastic_term_matches_the_loops(target):
    weights, real = looks()
    want = 0.0
    for a, steps in zip(weights.numpy(), real.sum(1).tolist(), strict=True):
        tau = 1.0 if target == "one" else steps / 5
        want += reference.doubly_stochastic(a[:steps], tau)
    np.testing.assert_allclose(doubly_stochastic_loss(weights, real, target), want, **EXACT)
    weights[~real] = torch.nan  # padding is out, whatever it holds
    np.testing.assert_allclose(doubly_stochastic_loss(weights, real, target), want, **EXACT)


def test_both_targets_teach_the_same():
    """As long as each row of weights sums to 1, whatever the target is."""
    scores = torch.randn(3, 6, 5, generator=generator(3), dtype=torch.float64, requires_grad=True)
    _, real = looks()

    def gradient(target, factor):
        term = doubly_stochastic_loss(scores.softmax(-1) * factor, real, target)
        return torch.autograd.grad(term, scores)[0]

    one, mean = (gradient(target, 1.0) for target in COVERAGE_TARGETS)
    torch.testing.assert_close(one, mean, **EXACT)
    assert one[real].abs().max() > 0.01 and one[~real].eq(0).all()
    bell = torch.tensor([0.1, 0.6, 1.0, 0.6, 0.1])  # as a predictive window has
    assert not torch.allclose(*(gradient(target, bell) for target in COVERAGE_TARGETS))


def test_an_even_look_is_the_least():
    even = torch.full((1, 4, 8), 1 / 8, dtype=torch.float64)
    real = torch.ones(1, 4, dtype=torch.bool)
    assert float(doubly_stochastic_loss(even, real, "steps/cells")) == 0
    assert float(doubly_stochastic_loss(even, real)) == pytest.approx(8 * 0.5**2)
    sharp = torch.eye(8, dtype=torch.float64)[None, :4]  # four cells once each
    assert float(doubly_stochastic_loss(sharp, real)) == 4
    stuck = torch.eye(8, dtype=torch.float64)[None, [0] * 4]  # one cell four times
    assert float(doubly_stochastic_loss(stuck, real)) == 3**2 + 7


def test_what_the_term_refuses():
    weights, real = looks()
    with pytest.raises(ValueError, match=r"unknown target 'two': one of one, steps/cells$"):
        doubly_stochastic_loss(weights, real, "two")
    with pytest.raises(ValueError, match=r"got \(3, 6, 5\) and \(3, 5\)"):
        doubly_stochastic_loss(weights, real[:, 1:])
    with pytest.raises(ValueError, match=r"got \(6, 5\) and \(6,\)"):
        doubly_stochastic_loss(weights[0], real[0])
    with pytest.raises(TypeError, match=r"real must be boolean .*, got torch.int64"):
        doubly_stochastic_loss(weights, real.long())


# Where words are, and words not shown -----------------------------------------------------------


def test_supervised_attention_is_a_cross_entropy_that_a_weight_of_zero_does_not_break():
    places = torch.tensor([[[0.2, 0.6, 0.0], [0.0, 0.0, 0.0]]])
    logits = torch.tensor([[[0.3, -1.0, 0.5], [2.0, 0.0, 0.0]]], requires_grad=True)
    want = nn.functional.cross_entropy(logits[:, 0], torch.tensor([[0.25, 0.75, 0.0]]))
    torch.testing.assert_close(supervised_attention_loss(logits.softmax(-1), places), want)
    weights = torch.tensor([[[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]], requires_grad=True)
    (gradient,) = torch.autograd.grad(supervised_attention_loss(weights, places), weights)
    assert gradient.isfinite().all() and not gradient[0, 1].any()
    with pytest.raises(ValueError, match=r"as the weights, \(1, 2, 3\), got \(1, 2\)"):
        supervised_attention_loss(weights, places[..., 0])


def test_words_are_hidden_whole_and_in_training_only():
    torch.manual_seed(0)
    model = make_captioner(9, 4, hidden=5, annotation_dim=6, word_dropout=0.5)
    seen = []
    model.decoder.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    images, lengths = torch.rand(40, 3, 64, 64), torch.full((40,), 64)
    given = torch.arange(1, 9).repeat(40, 1)
    model(images, lengths, given)
    model.eval()(images, lengths, given)
    shown = seen[0].abs().sum(-1) > 0  # (B, T)
    torch.testing.assert_close(seen[0][shown], 2 * model.embedding(given)[shown])
    assert 0.35 < shown.float().mean() < 0.65
    assert torch.equal(seen[1], model.embedding(given))
