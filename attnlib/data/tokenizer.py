"""Text to subword ids and back: byte-pair encoding (Sennrich et al. 2016) by ``tokenizers``.

One joint vocabulary serves source and target. It is trained on the training split only, keeps case,
and marks the start of a word with ``▁`` so that decoding gives back plain text.
"""

import itertools
import json
import random
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

import tokenizers
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, trainers

PAD, BOS, EOS, UNK = 0, 1, 2, 3  # the same ids in every vocabulary of the package
SPECIALS = ("<pad>", "<s>", "</s>", "<unk>")
WORD_START = "▁"  # begins the first subword of each word
_SPACES = Regex(r"\s+")  # a no-break space is a space too


class Tokenizer:
    """A trained byte-pair vocabulary.

    Examples
    --------
    >>> tokenizer = Tokenizer.train(["a red shirt", "a red bike"] * 10, vocab_size=40)
    >>> tokenizer.tokens(tokenizer.encode("a red bike"))
    ['▁a', '▁red', '▁bike']
    >>> tokenizer.decode(tokenizer.encode("  a red   bike "))
    'a red bike'
    """

    pad, bos, eos, unk = PAD, BOS, EOS, UNK

    def __init__(self, backend: tokenizers.Tokenizer, size: int | None = None):
        self._backend = backend
        self._backend.encode_special_tokens = True  # "<s>" in a text is three signs, no special
        self._size = backend.get_vocab_size() if size is None else size

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int = 8000) -> "Tokenizer":
        """Learn `vocab_size` subwords, the four specials among them, from the training split.

        Raises
        ------
        TypeError
            If `texts` is one string, whose letters would pass for texts.
        """
        if isinstance(texts, str):
            raise TypeError("texts must be a list of str, got one str: put it in a list")
        backend = tokenizers.Tokenizer(models.BPE(unk_token=SPECIALS[UNK], fuse_unk=True))
        backend.normalizer = normalizers.Sequence(
            [normalizers.NFC(), normalizers.Replace(_SPACES, " "), normalizers.Strip()]
        )
        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation("isolated")]
        )
        backend.decoder = decoders.Metaspace()
        backend.train_from_iterator(
            texts,
            trainers.BpeTrainer(
                vocab_size=vocab_size, special_tokens=list(SPECIALS), show_progress=False
            ),
        )
        return cls(backend)

    def encode(self, text: str) -> list[int]:
        """Subword ids of a text, without specials; what was never seen becomes ``<unk>``."""
        if not isinstance(text, str):
            raise TypeError(f"text must be one str, got {type(text).__name__}")
        ids = self._backend.encode(text, add_special_tokens=False).ids
        return [i if i < self._size else UNK for i in ids]

    def sample(self, text: str, dropout: float, rng: random.Random) -> list[int]:
        """Subword ids of a text, cut anew each time: BPE-dropout (Provilkov et al. 2020, alg. 1).

        Each merge that could be done next is left out with probability `dropout`, so that a model
        meets a word in several spellings. The library's own dropout cannot be seeded; this one
        draws from `rng` alone, and with a dropout of 0 gives what `encode` does.

        Parameters
        ----------
        text : str
        dropout : float
            From 0 (`encode`) to 1 (single characters).
        rng : random.Random

        Raises
        ------
        ValueError
            If `dropout` is not in [0, 1].

        Examples
        --------
        >>> tokenizer = Tokenizer.train(["a red shirt", "a red bike"] * 10, vocab_size=40)
        >>> tokenizer.tokens(tokenizer.sample("a red bike", 0.5, random.Random(2)))
        ['▁a', '▁', 'r', 'ed', '▁bi', 'ke']
        """
        if not 0 <= dropout <= 1:
            raise ValueError(f"dropout must be between 0 and 1, got {dropout}")
        normal = self._backend.normalizer.normalize_str(text)
        ids: list[int] = []
        for word, _ in self._backend.pre_tokenizer.pre_tokenize_str(normal):
            pieces = _merged(word, self._ranks, dropout, rng)
            for known, run in itertools.groupby(pieces, self._ids.__contains__):
                ids += [self._ids[x] for x in run] if known else [UNK]  # neighbours are one <unk>
        return [i if i < self._size else UNK for i in ids]

    @cached_property
    def _ids(self) -> dict[str, int]:
        return self._backend.get_vocab(with_added_tokens=False)

    @cached_property
    def _ranks(self) -> dict[tuple[str, str], int]:
        """The merges in the order in which they were learned, the first one first."""
        merges = json.loads(self.to_json())["model"]["merges"]
        return {tuple(merge): rank for rank, merge in enumerate(merges)}

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids; specials are left out."""
        return self._backend.decode(list(ids), skip_special_tokens=True)

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """The subwords themselves, ``▁`` marking the start of a word.

        Raises
        ------
        IndexError
            If there is no subword of such a number.
        """
        return [self._token(i) for i in ids]

    def _token(self, i: int) -> str:
        token = self._backend.id_to_token(i)
        if token is None:
            raise IndexError(f"no subword has the id {i}: there are {len(self)}")
        return token

    def __len__(self):
        return self._size

    def __reduce__(self):
        """Copy and pickle by the constructor: the backend forgets how it was to be used."""
        return type(self), (self._backend, self._size)

    @cached_property
    def characters(self) -> frozenset[str]:
        """The characters that the training text had, so far as they have ids of their own."""
        return frozenset(
            token for token, i in self._ids.items() if len(token) == 1 and i < self._size
        )

    def trimmed(self, texts: Iterable[str]) -> tuple["Tokenizer", list[int]]:
        """Leave out the subwords that `texts` never end up with, only pass through on the way.

        A merge may serve longer merges alone: of a vocabulary of 8000 some 300 never occur in the
        training text, and nothing is learned of them. They are numbered last, and read as
        ``<unk>``. Returns the new tokenizer, and the old ids in their new order: the rows of an
        embedding to keep.
        """
        if isinstance(texts, str):
            raise TypeError("texts must be a list of str, got one str: put it in a list")
        seen = set(range(len(SPECIALS))).union(*(self.encode(text) for text in texts))
        kept = sorted(seen)
        order = [*kept, *(i for i in range(self._backend.get_vocab_size()) if i not in seen)]
        new = {old: i for i, old in enumerate(order)}
        content = json.loads(self.to_json())
        vocabulary = content["model"]["vocab"]
        content["model"]["vocab"] = {token: new[i] for token, i in vocabulary.items()}
        backend = tokenizers.Tokenizer.from_str(json.dumps(content))
        return Tokenizer(backend, len(kept)), kept

    def to_json(self) -> str:
        """The vocabulary and its merges as `save` writes them, in one line."""
        return self._backend.to_str()

    def save(self, path: Path | str) -> None:
        """Write the vocabulary as ``tokenizers`` does, in one JSON file."""
        self._backend.save(str(path), pretty=False)

    @classmethod
    def load(cls, path: Path | str, size: int | None = None) -> "Tokenizer":
        """Read what `save` wrote; `size` is the number of ids in use, all unless given."""
        return cls(tokenizers.Tokenizer.from_file(str(path)), size)


def word_indices(tokens: Sequence[str]) -> list[int | None]:
    """Which word each subword belongs to; None for the specials, ``<unk>`` aside.

    A word starts at ``▁``, as `Tokenizer` marks it, so "bike." is one word.

    >>> word_indices(["▁un", "▁vé", "lo", ".", "</s>"])
    [0, 1, 1, 1, None]
    """
    indices: list[int | None] = []
    word = -1
    for token in tokens:
        if token in SPECIALS[:UNK]:  # <unk> is a part of a word
            indices.append(None)
        else:
            word += token.startswith(WORD_START) or word < 0
            indices.append(word)
    return indices


def _merged(word: str, ranks: dict, dropout: float, rng: random.Random) -> list[str]:
    """A word's subwords: at each step the earliest merge that is not dropped."""
    pieces = list(word)
    while len(pieces) > 1:
        pairs = enumerate(itertools.pairwise(pieces))
        possible = sorted((ranks[pair], i) for i, pair in pairs if pair in ranks)
        for _, i in possible:
            if not dropout or rng.random() >= dropout:
                pieces[i : i + 2] = [pieces[i] + pieces[i + 1]]
                break
        else:
            break
    return pieces
