r"""A sentence to its parse: a tree is a text too (Vinyals et al. 2015).

A tree is written as brackets, and a translator learns to write them: nothing of it knows what a
tree is. Vinyals et al. write constituents; the treebank here (`data.treebank`) says which word
depends on which, so a bracket stands for a word. It opens with the word's relation, the word itself
is an ``x``, and what depends on it stands before and after the ``x`` as it does in the sentence::

    the dog barked .      (root (nsubj (det x ) x ) x (punct x ) )

The k-th ``x`` is the k-th word, and the head of a word is the ``x`` of the bracket around its own:
brackets say all of a tree in which no two arcs cross. A model may write what is no tree, or the
tree of a sentence with more words or fewer. Both are counted, and all words of such a sentence are
wrong.
"""

import random
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from attnlib.attention import Attention
from attnlib.autoregressive import AutoregressiveModel
from attnlib.beyond.teaching import teach
from attnlib.data import treebank
from attnlib.data.batches import collate
from attnlib.data.tokenizer import SPECIALS, UNK
from attnlib.data.toy import Vocabulary
from attnlib.data.treebank import Tree
from attnlib.decoding import greedy
from attnlib.scores import AdditiveScore
from attnlib.seq2seq import Translator
from attnlib.transformer import Transformer

MODELS = ("fixed", "bahdanau", "transformer")
LONGEST = 12  # words
WORD, CLOSE = "x", ")"
RARE = 3  # a word seen less often is read as its last letters


def sentences(split: str, longest: int = LONGEST) -> list[Tree]:
    """The projective trees of 2 to `longest` words of a split: ``train``, ``dev`` or ``test``."""
    return [
        tree
        for tree in treebank.trees(split)
        if 2 <= len(tree.words) <= longest and tree.is_projective
    ]


# Brackets -------------------------------------------------------------------------------------


def brackets(tree: Tree) -> list[str]:
    """A projective tree as 3 tokens a word: opening bracket with relation, ``x``, closing bracket.

    Raises
    ------
    ValueError
        If two arcs of the tree cross: brackets cannot say it.

    Examples
    --------
    >>> tree = Tree("", ("a", "dog", "barks"), (1, 2, -1), ("det", "nsubj", "root"))
    >>> " ".join(brackets(tree))
    '(root (nsubj (det x ) x ) x )'
    """
    return [token for token, _ in _with_words(tree)]


def owners(tree: Tree) -> list[int]:
    """The word to whose bracket each token of `brackets` belongs.

    >>> owners(Tree("", ("a", "dog", "barks"), (1, 2, -1), ("det", "nsubj", "root")))
    [2, 1, 0, 0, 0, 1, 1, 2, 2]
    """
    return [word for _, word in _with_words(tree)]


def _with_words(tree: Tree) -> list[tuple[str, int]]:
    if not tree.is_projective:
        raise ValueError(f"arcs cross in {' '.join(tree.words)!r}: brackets cannot say it")

    def write(word: int) -> list[tuple[str, int]]:
        below = [i for i, head in enumerate(tree.heads) if head == word]
        before = [token for i in below if i < word for token in write(i)]
        after = [token for i in below if i > word for token in write(i)]
        opened = (f"({tree.relations[word]}", word)
        return [opened, *before, (WORD, word), *after, (CLOSE, word)]

    return write(tree.heads.index(-1))


class Parsed(NamedTuple):
    """What brackets say: the head (-1 for the root) and the relation of each word."""

    heads: tuple[int, ...]
    relations: tuple[str, ...]


def read(tokens: Sequence[str]) -> Parsed | None:
    """The tree that brackets say; None if they are malformed.

    Malformed: not every bracket is closed, or more are; the whole is not one bracket; a bracket has
    no ``x``, or two; a token is something else.

    Examples
    --------
    >>> read("(root (nsubj x ) x )".split())
    Parsed(heads=(1, -1), relations=('nsubj', 'root'))
    >>> read("(root (nsubj ) x )".split())
    """
    relations: list[str] = []  # of each bracket, in the order of opening
    around: list[int] = []  # the bracket around each bracket
    word_of: list[int] = []  # the word of each bracket
    bracket_of: list[int] = []  # the bracket of each word
    opened: list[int] = []
    for at, token in enumerate(tokens):
        if token.startswith("("):
            if not opened and at > 0:
                return None
            around.append(opened[-1] if opened else -1)
            opened.append(len(relations))
            relations.append(token[1:])
            word_of.append(-1)
        elif not opened or token not in (WORD, CLOSE):
            return None
        elif token == WORD:
            if word_of[opened[-1]] >= 0:
                return None
            word_of[opened[-1]] = len(bracket_of)
            bracket_of.append(opened[-1])
        elif word_of[opened.pop()] < 0:
            return None
    if opened or not relations:
        return None
    heads = [-1 if around[b] < 0 else word_of[around[b]] for b in bracket_of]
    return Parsed(tuple(heads), tuple(relations[b] for b in bracket_of))


# Words ----------------------------------------------------------------------------------------


def vocabulary(trees: Sequence[Tree]) -> Vocabulary:
    """Frequent words in lower case, endings of the others, and all the tokens of brackets."""
    counts = Counter(word.lower() for tree in trees for word in tree.words)
    frequent = sorted(word for word, n in counts.items() if n >= RARE)
    rare = Counter(_ending(word) for word, n in counts.items() if n < RARE)
    endings = sorted(ending for ending, n in rare.items() if n >= RARE)
    relations = sorted({f"({name}" for tree in trees for name in tree.relations})
    return Vocabulary([*(f"word {x}" for x in (*frequent, *endings)), *relations, WORD, CLOSE])


def _ending(word: str) -> str:
    return f"-{word[-2:]}" if word.isalpha() else "-0" if any(map(str.isdigit, word)) else "-?"


def ids(words: Sequence[str], known: Vocabulary) -> list[int]:
    """Ids of a sentence: of each word, else of its ending, else of ``<unk>``."""
    table = set(known.words)
    found = []
    for word in words:
        names = (f"word {word.lower()}", f"word {_ending(word.lower())}", SPECIALS[UNK])
        found.append(next(name for name in names if name in table))
    return known.encode(found)


# Models ---------------------------------------------------------------------------------------


def parser(kind: str, vocab_size: int, seed: int) -> AutoregressiveModel:
    """A new model of chapter 1 (``fixed``), 3 (``bahdanau``) or 9 (``transformer``).

    Their sizes are within 3 % of each other, at 1,900 words and tokens.

    Raises
    ------
    ValueError
        If the kind is unknown.
    """
    if kind not in MODELS:
        raise ValueError(f"unknown model {kind!r}: one of {', '.join(MODELS)}")
    torch.manual_seed(seed)
    if kind == "transformer":
        return Transformer(vocab_size, 64, layers=2, heads=4, feed_forward=256, dropout=0.2)
    attention, state = None, 144
    if kind == "bahdanau":
        state = 128
        attention = Attention(AdditiveScore(query_dim=state, key_dim=128, hidden_dim=64))
    return Translator(
        vocab_size,
        64,
        attention=attention,
        hidden=64,
        decoder_hidden=state,
        dropout=0.2,
        output_dropout=0.2,
    )


def fit(
    model: AutoregressiveModel,
    trees: Sequence[Tree],
    known: Vocabulary,
    updates: int,
    seed: int,
    lr: float = 0.003,
    batch: int = 32,
) -> AutoregressiveModel:
    """Train on trees drawn at random; the model comes back."""
    rng = random.Random(seed)
    pairs = [(ids(tree.words, known), known.encode(brackets(tree))) for tree in trees]

    def draw():
        drawn = collate(rng.choices(pairs, k=batch))
        return drawn.source, drawn.source_lengths, drawn.target_in, drawn.target_out

    return teach(model, draw, updates, lr, seed)


# What came of it ------------------------------------------------------------------------------


def parse(
    model: AutoregressiveModel, sentences: Sequence[Sequence[str]], known: Vocabulary
) -> list[list[str]]:
    """What the model writes for each sentence, greedily; at most 4 tokens a word and 8 more."""
    source = collate([(ids(words, known), []) for words in sentences])
    limits = [4 * len(words) + 8 for words in sentences]
    found = greedy(model, source.source, source.source_lengths, limits)
    return [known.decode(one.ids) for one in found]


def scores(trees: Sequence[Tree], written: Sequence[Sequence[str]]) -> dict[str, float]:
    """How good brackets are as the parses of trees.

    Returns
    -------
    dict
        ``well-formed``: share of outputs that say a tree; ``fits``: a tree of so many words as the
        sentence has. ``uas``: unlabelled attachment score, the share of all words, punctuation
        included, whose head is right; ``las``: and whose relation is too. The words of an output
        that does not fit are all wrong. ``uas where it fits``: over the sentences that do, or NaN.
        ``exact``: share of sentences without a wrong head.
    """
    words = right = labelled = formed = fits = exact = fitting = 0
    for tree, tokens in zip(trees, written, strict=True):
        N, parsed = len(tree.words), read(tokens)
        words += N
        formed += parsed is not None
        if parsed is None or len(parsed.heads) != N:
            continue
        same = [a == b for a, b in zip(tree.heads, parsed.heads)]
        named = [a == b for a, b in zip(tree.relations, parsed.relations)]
        fits, fitting = fits + 1, fitting + N
        right += sum(same)
        labelled += sum(a and b for a, b in zip(same, named))
        exact += all(same)
    n = len(trees)
    return {
        "well-formed": formed / n,
        "fits": fits / n,
        "uas": right / words,
        "las": labelled / words,
        "uas where it fits": right / fitting if fitting else float("nan"),
        "exact": exact / n,
    }


def places(tree: Tree) -> dict[str, list[int]]:
    """For each token of `brackets`, where an attention might look.

    Returns
    -------
    dict
        ``next``: the first word that has no ``x`` yet (the front of a parser's buffer; the last
        word when there is none); ``last``: the word before that, which had its ``x`` last;
        ``own``: the word of the token's bracket; ``head``: that word's head (the root's: itself).
    """
    tokens, own = brackets(tree), owners(tree)
    done, at = [], 0  # words that have their x before each token
    for token in tokens:
        done.append(at)
        at += token == WORD
    front = [min(n, len(tree.words) - 1) for n in done]
    last = [max(n - 1, 0) for n in done]
    heads = [word if tree.heads[word] < 0 else tree.heads[word] for word in own]
    return {"next": front, "last": last, "own": own, "head": heads}


@torch.no_grad()
def attend(model: AutoregressiveModel, trees: Sequence[Tree], known: Vocabulary) -> list[Tensor]:
    """Weights (3N, N + 1) of each tree's own brackets over its N words and </s>."""
    drawn = collate([(ids(tree.words, known), known.encode(brackets(tree))) for tree in trees])
    _, weights = model(drawn.source, drawn.source_lengths, drawn.target_in)
    return [w[: 3 * (N := len(tree.words)), : N + 1] for w, tree in zip(weights, trees)]
