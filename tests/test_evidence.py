"""The tasks know what decides; the classifier is its equation, and learns them."""

import numpy as np
import pytest
import torch

from attnlib import evidence, reference
from attnlib.data import corpora, treebank
from attnlib.evidence import AttentionClassifier, Labelled

EXACT = {"rtol": 0, "atol": 1e-12}  # float64: only the order of the sums may differ
GENERATED = ("plain", "negated", "asked")
GOOD = {word: label for label, words in enumerate(evidence.OPINIONS) for word in words}


def judged(words, asked):
    """The label, read off a sentence by another rule: the opinion, and whether it is turned."""
    spoken = " ".join(words)
    opinion = spoken.split(f"the {asked} was ")[1].split(" and ")[0] if asked else None
    for clause in spoken.split(" and "):
        if not asked and clause.split()[-1] in GOOD:
            opinion = clause.split(" was ")[1]
    return GOOD[opinion.split()[-1]] ^ opinion.startswith("not ")


@pytest.mark.parametrize("task", GENERATED)
def test_a_label_is_what_the_sentence_says(task):
    found = evidence.sentences(task, "test")
    assert [one.label for one in found] == [judged(one.words, one.asked) for one in found]
    share = sum(one.label for one in found) / len(found)
    assert abs(share - 0.5) < 4 * 0.5 / len(found) ** 0.5
    assert found == evidence.sentences(task, "test")
    assert not {one.words for one in found} & {
        one.words for one in evidence.sentences(task, "train")
    }


@pytest.mark.parametrize("task", GENERATED)
def test_evidence_is_the_opinion_and_what_turns_or_asks_for_it(task):
    for one in evidence.sentences(task, "test"):
        said = [one.words[i] for i in sorted(one.evidence)]
        assert said[-1] in GOOD
        if task == "asked":
            assert said[0] == one.asked and len(said) == 2
        else:
            assert said[:-1] == (["not"] if GOOD[said[-1]] != one.label else [])


def test_a_bag_of_words_cannot_tell_what_is_negated():
    """Each sentence has one "not" and one opinion; which label they go with is a coin's toss."""
    found = evidence.sentences("negated", "train")
    assert all(one.words.count("not") == 1 for one in found)
    assert all(sum(word in GOOD for word in one.words) == 1 for one in found)
    agree = [GOOD[next(w for w in one.words if w in GOOD)] == one.label for one in found]
    assert abs(np.mean(agree) - 0.5) < 4 * 0.5 / len(found) ** 0.5
    day = np.mean([(one.words[1] in evidence.DAYS[1]) == one.label for one in found])
    assert abs(day - evidence.GOES_WITH) < 4 * 0.46 / len(found) ** 0.5
    two = [
        sorted(GOOD[w] for w in one.words if w in GOOD)
        for one in evidence.sentences("asked", "test")
    ]
    assert all(labels == [0, 0, 1, 1] for labels in two)


PAIRS = ["Tom gave me the book.", "He isn't here today, is he?", "No no no no no!", "Short one."]


def test_two_neighbours_change_places(monkeypatch):
    pairs = corpora.Corpus(PAIRS, PAIRS, ("en", "mr"))
    monkeypatch.setattr(corpora, "tatoeba", lambda split: pairs)
    plain = {
        ("tom", "gave", "me", "the", "book"),
        ("he", "isn't", "here", "today", "is", "he"),
    }
    found = evidence.sentences("swapped", "train")
    assert (
        len(found) == 2 * evidence.COPIES
    )  # the third has nothing to exchange, the fourth is short
    assert {one.label for one in found} == {0, 1}
    for one in found:
        words = list(one.words)
        if one.label:
            i, j = sorted(one.evidence)
            assert j == i + 1 and words[i] != words[j]
            words[i], words[j] = words[j], words[i]
        else:
            assert not one.evidence
        assert tuple(words) in plain


def test_genres_are_reviews_and_emails_of_5_words_or_more(monkeypatch):
    said = (("reviews", "Good do n't Eat ."), ("weblog", "a b c d e"), ("email", "too short"))
    found = [treebank.Tree(genre, tuple(text.split()), (), ()) for genre, text in said]
    monkeypatch.setattr(treebank, "trees", lambda split: found if split == "dev" else 1 / 0)
    assert evidence.sentences("genres", "val") == [Labelled(("good", "do", "n't", "eat", "."), 1)]


def test_sentences_become_tensors():
    found = [Labelled(("a", "b", "a"), 1, frozenset({2}), "b"), Labelled(("c",), 0)]
    words = evidence.vocabulary(found, least=1)
    assert words.words[4:] == ("a", "b", "c")
    texts = evidence.encode(found, evidence.vocabulary(found, least=2))
    assert texts.ids.tolist() == [[4, 3, 4], [3, 0, 0]]
    assert texts.lengths.tolist() == [3, 1] and texts.labels.tolist() == [1, 0]
    assert texts.evidence.tolist() == [[False, False, True], [False] * 3]
    assert texts.asked.tolist() == [3, 0]
    assert texts.mask.tolist() == [[True] * 3, [True, False, False]]
    assert texts[torch.tensor([1])].ids.tolist() == [[3]] and len(texts) == 2


def small(encoder="recurrent", weights="learned", asked=False, seed=0):
    torch.manual_seed(seed)
    model = AttentionClassifier(20, encoder, weights, width=5, hidden=3, asked=asked).double()
    found = [
        Labelled(tuple(f"w{i}" for i in ids), 1, frozenset({0}), "w1")
        for ids in ((0, 1, 2, 3), (5, 4), (9, 9, 2))
    ]
    return model, evidence.encode(found, evidence.vocabulary(found, least=1))


@pytest.mark.parametrize("encoder", evidence.ENCODERS)
@pytest.mark.parametrize("asked", [False, True])
def test_the_classifier_is_its_equation(encoder, asked):
    model, texts = small(encoder, asked=asked)
    reading = model(texts)
    score = model.attention.score
    W, U, v = (p.detach().numpy() for p in (score.W.weight, score.U.weight, score.v.weight[0]))
    table = model.embedding.weight.detach().numpy()
    for n, length in enumerate(texts.lengths.tolist()):
        states = reading.states[n, :length].detach().numpy()
        if encoder == "token-wise":
            layer = model.encoder[0]
            weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
            want = [np.tanh(weight @ table[i] + bias) for i in texts.ids[n, :length]]
            np.testing.assert_allclose(states, want, **EXACT)
        query = table[texts.asked[n]] if asked else np.ones(1)
        scores = [reference.additive_score(query, h, W, U, v) for h in states]
        weights = reference.softmax(scores)
        np.testing.assert_allclose(reading.weights[n, :length].detach(), weights, **EXACT)
        assert (reading.weights[n, length:] == 0).all()
        context = sum(a * h for a, h in zip(weights, states))
        context = np.concatenate([context, query]) if asked else context
        logit = model.readout(torch.tensor(context)).item()
        assert reading.logits[n].item() == pytest.approx(logit, abs=1e-12)


@pytest.mark.parametrize("encoder", evidence.ENCODERS)
@pytest.mark.parametrize("weights", evidence.WEIGHTS)
def test_padding_changes_nothing(encoder, weights):
    model, texts = small(encoder, weights)
    together = model(texts)
    for n in range(len(texts)):
        one = model(texts[torch.tensor([n])])
        length = int(texts.lengths[n])
        torch.testing.assert_close(one.logits[0], together.logits[n], **EXACT)
        torch.testing.assert_close(one.weights[0], together.weights[n, :length], **EXACT)


def test_only_the_recurrent_encoder_sees_context():
    for encoder, same in (("recurrent", False), ("token-wise", True)):
        model, texts = small(encoder)
        before = model(texts).states[0]
        texts.ids[0, 3] = 9
        after = model(texts).states[0]
        assert torch.equal(before[0], after[0]) == same
        assert not torch.equal(before[3], after[3])


def test_without_context_a_decision_is_that_of_a_bag_of_words():
    """One number a word of the vocabulary, added up in any order, has the sign of the logit."""
    model, _ = small("token-wise")
    states = model.encode(model.embedding.weight.unsqueeze(0), None)
    model.readout[0].bias.data -= model.alone(states).mean()  # decisions of both kinds
    score = model.attention.score(states.new_ones(1, 1, 1), states)[0, 0]
    worth = score.exp() * model.alone(states)[0]
    ids = torch.randint(4, 20, (50, 6))
    logits = model.read(model.embedding(ids), torch.full((50,), 6)).logits
    assert torch.equal(logits > 0, worth[ids].sum(1) > 0) and 0 < (logits > 0).sum() < 50


def test_the_gradient_for_a_state_is_as_long_as_its_weight():
    """So its agreement with the weights is arithmetic, whatever was learned."""
    model, texts = small()
    reading = model(texts)
    states = reading.states.detach().requires_grad_()
    logits = model.decide(states, reading.weights.detach())
    (slope,) = torch.autograd.grad(logits.sum(), states)
    lengths = slope.norm(dim=-1) / model.readout[0].weight.norm()
    torch.testing.assert_close(lengths, reading.weights, **EXACT)


def test_weights_from_outside_take_the_place_of_its_own():
    model, texts = small()
    own = model(texts)
    imposed = torch.tensor(
        [[0.1, 0.2, 0.3, 0.4], [0.5, 0.5, 0, 0], [1, 0, 0, 0]], dtype=torch.float64
    )
    reading = model(texts, imposed)
    assert torch.equal(reading.weights, imposed) and torch.equal(reading.states, own.states)
    logits = (imposed * model.alone(own.states)).sum(-1)
    torch.testing.assert_close(reading.logits, logits, **EXACT)
    torch.testing.assert_close(own.logits, (own.weights * model.alone(own.states)).sum(-1), **EXACT)
    both = model.decide(own.states, torch.stack([own.weights, imposed]))
    torch.testing.assert_close(both, torch.stack([own.logits, reading.logits]), **EXACT)
    uniform = small(weights="uniform")[0](texts).weights
    assert uniform[1].tolist() == [0.5, 0.5, 0, 0] and uniform[0].tolist() == [0.25] * 4


@pytest.mark.parametrize("weights", evidence.WEIGHTS)
def test_every_parameter_learns_unless_the_weights_are_frozen(weights):
    model, texts = small(weights=weights, asked=False)
    model(texts).logits.sum().backward()
    still = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    attention = {name for name, _ in model.named_parameters() if name.startswith("attention")}
    assert still == (attention if weights == "uniform" else set())


def test_training_uses_the_weights_of_the_rows_it_reads():
    """The loss sees which rows were read: each has its own weights."""
    model, texts = small("token-wise")
    imposed = torch.tensor([[0.4, 0.3, 0.2, 0.1], [0.9, 0.1, 0, 0], [0, 0, 1, 0]]).double()
    seen = []

    def loss(reading, rows):
        S = reading.weights.shape[1]
        assert torch.equal(reading.weights, imposed[rows, :S])
        torch.testing.assert_close(reading.logits, model(texts, imposed).logits[rows], **EXACT)
        seen.append(rows.tolist())
        return reading.logits.sum()

    before = model.readout[0].bias.item()
    evidence.fit(model, texts, updates=1, lr=0.02, batch=5, seed=3, imposed=imposed, loss=loss)
    assert model.readout[0].bias.item() == pytest.approx(before - 0.02, abs=1e-6)
    evidence.fit(model, texts, updates=3, batch=5, seed=3, imposed=imposed, loss=loss)
    assert seen[0] == seen[1] and len({tuple(rows) for rows in seen[1:]}) == 3


def test_all_weight_on_the_evidence_is_enough_and_on_the_day_is_not():
    found = evidence.sentences("plain", "train")[:600]
    words = evidence.vocabulary(found)
    texts = evidence.encode(found, words)
    right = {}
    for name, weights in (
        ("evidence", texts.evidence.float()),
        ("day", torch.eye(texts.ids.shape[1])[1].expand(len(texts), -1)),
    ):
        torch.manual_seed(0)
        model = AttentionClassifier(len(words), "token-wise", width=8, hidden=8)
        evidence.fit(model, texts, updates=60, lr=0.02, imposed=weights)
        with torch.no_grad():
            right[name] = evidence.accuracy(model(texts, weights).logits, texts.labels)
    assert right["evidence"] > 0.98
    assert abs(right["day"] - evidence.GOES_WITH) < 0.06


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_context_is_what_negation_needs(seed):
    found = evidence.sentences("negated", "train")
    words = evidence.vocabulary(found)
    train, test = (
        evidence.encode(found, words),
        evidence.encode(evidence.sentences("negated", "test"), words),
    )
    right = {}
    for encoder in evidence.ENCODERS:
        torch.manual_seed(seed)
        model = AttentionClassifier(len(words), encoder, width=16, hidden=16)
        evidence.fit(model, train, updates=300, lr=0.01, seed=seed)
        with torch.no_grad():
            right[encoder] = evidence.accuracy(model(test).logits, test.labels)
    assert right["recurrent"] > 0.98 and right["token-wise"] < 0.78


@pytest.mark.parametrize(
    "refused, message",
    [
        (lambda: evidence.sentences("films", "train"), "unknown task 'films': one of plain, neg"),
        (
            lambda: evidence.sentences("plain", "dev"),
            "unknown split 'dev': one of train, val, test",
        ),
        (lambda: evidence.encode([], evidence.vocabulary([])), "there is no sentence to encode"),
        (lambda: AttentionClassifier(9, "average"), "unknown encoder 'average': one of recurrent"),
        (lambda: AttentionClassifier(9, weights="soft"), "unknown weights 'soft': one of learned"),
        (lambda: small()[0](small()[1], torch.ones(3, 3)), r"weights must be \(N, S\) = \(3, 4\)"),
        (lambda: small(asked=True)[0].alone(torch.ones(1, 1, 6)), "`asked` has no logit of a word"),
    ],
)
def test_refuses(refused, message):
    with pytest.raises(ValueError, match=message):
        refused()
