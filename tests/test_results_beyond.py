"""What `book/results/memory.py` and `pointing.py` compute, in small and by other means."""

import random

import memory as memory_results
import numpy as np
import pointing as pointing_results
import pytest
import torch

from attnlib.beyond.memory import Answers
from attnlib.beyond.pointing import Pointed
from attnlib.data import points, stories


@pytest.fixture
def told(monkeypatch):
    """A few stories in the place of thousands."""
    found = stories.stories(random.Random(1), 40, shortest=12, longest=24, split="all")
    monkeypatch.setattr(memory_results, "told", lambda which: found)
    return found


def test_guesses_against_loops(told):
    found = memory_results.guesses("8 to 16")
    for kind in stories.KINDS:
        last, any_place, of_person, sentence = [], [], [], []
        for story in told:
            if len(story.facts) == kind:
                places = [(s[0], s[-1]) for s in story.sentences if "went" in s]
                person = story.sentences[story.facts[-1]][0]
                theirs = [place for who, place in places if who == person]
                last.append(places[-1][1] == story.answer)
                any_place.append(np.mean([place == story.answer for _, place in places]))
                of_person.append(np.mean([place == story.answer for place in theirs]))
                sentence.append(1 / len(story.sentences))
        want = (len(last), *map(np.mean, (last, any_place, of_person, sentence)))
        assert tuple(found[kind].values()) == pytest.approx(want)


def test_a_cut_story_has_its_last_sentences_and_all_its_facts(told):
    asked = stories.encode(told)
    whole, cut = memory_results.cut(asked)
    kept = [story for story in told if len(story.sentences) - min(story.facts) <= 16]
    assert 0 < len(whole) == len(kept) < len(told)
    words = stories.vocabulary()
    for n, story in enumerate(kept):
        last = story.sentences[-16:]
        assert cut.lengths[n] == len(last) and whole.lengths[n] == len(story.sentences)
        for i, sentence in enumerate(reversed(last)):
            assert words.decode(cut.sentences[n, i]) == list(sentence)
    assert torch.equal(cut.answers, whole.answers)


def test_questions_are_told_apart_by_the_verb(told):
    def answers(asked):
        """Right where the thing was taken, wrong where it was sent."""
        names = stories.vocabulary()
        fact = asked.sentences[torch.arange(len(asked)), asked.facts[:, 0]]
        took = (fact == names.encode(["took"])[0]).any(1)
        guess = torch.where(took, asked.answers, asked.answers * 0)
        return Answers(torch.nn.functional.one_hot(guess, len(names)).float(), torch.zeros(0))

    assert memory_results.by_verb(answers) == {"took": 1.0, "sent": 0.0}


def test_a_walk_without_sharpening_is_a_convolution():
    found = memory_results.walk(1.0)["weight"]
    leak, steps = memory_results.LEAK, memory_results.STEPS
    weights = np.eye(steps)[0]
    for step, got in enumerate(found, 1):
        weights = np.roll((1 - 2 * leak) * weights, 1) + leak * (weights + np.roll(weights, 2))
        assert got == pytest.approx(weights[step % steps])
    assert memory_results.walk(2.0)["weight"][-1] > found[-1]


def test_recall_finds_the_row_of_a_clean_key_and_loses_that_of_a_noisy_one():
    clean, noisy = (memory_results.recall(noise, 50) for noise in (0.0, 0.5))
    assert clean["looked at"] == 1.0 and clean["read"] > 0.99
    assert abs(noisy["looked at"] - 1 / memory_results.ROWS) < 0.03


class Rule:
    """Points where a rule on things says; no network."""

    word = None

    def __init__(self, by_place):
        self.by_place = by_place

    def point(self, lists, steps, once=False, closing=False):
        places = torch.arange(steps).clamp(max=lists.things.shape[1] - 1).expand(len(lists), -1)
        if not self.by_place:
            places = lists.things[..., 0].argsort(1)
        return places, None

    def __call__(self, lists):
        hot = torch.nn.functional.one_hot(self.point(lists, lists.things.shape[1])[0])
        return Pointed(hot.float(), hot.float())


def test_orders_and_steps(monkeypatch):
    lists = points.numbers(random.Random(0), 30, 10, 10)
    monkeypatch.setattr(pointing_results, "test", lambda task, length: lists)
    assert pointing_results.orders(Rule(by_place=False), "numbers") == {"same": 1.0, "exact": 1.0}
    found = pointing_results.orders(Rule(by_place=True), "numbers")
    assert found == {"same": 0.0, "exact": 0.0}
    steps = pointing_results.by_step(Rule(by_place=True), lists)
    for i, step in enumerate(steps):
        right = np.mean([row[i] == i for row in lists.targets.tolist()])
        assert step == [30, pytest.approx(right)]


def test_what_is_said_after_a_fence_has_closed_does_not_count(monkeypatch):
    lists = points.hulls(random.Random(0), 20, 10, 10)
    monkeypatch.setattr(pointing_results, "test", lambda task, length: lists)

    class Fence(Rule):
        def point(self, lists, steps, once=False, closing=False):
            noise = torch.randint(10, (len(lists), steps))  # other each time it is asked
            T = lists.targets.shape[1]
            noise[:, :T] = torch.where(lists.asked, lists.targets, noise[:, :T])
            return noise, None

    assert pointing_results.orders(Fence(True), "hulls") == {"same": 1.0, "exact": 1.0}


def test_close_numbers_are_as_close_as_twenty_of_a_hundred():
    lists = pointing_results.close()
    said = (lists.things[..., 0] * points.LARGEST).round()
    assert said.min() >= 1 and said.max() <= 50
    assert (said.gather(1, lists.targets).diff(dim=1) > 0).all()
