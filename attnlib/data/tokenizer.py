"""Text to subword ids and back: byte-pair encoding (Sennrich et al. 2016) by ``tokenizers``.

One joint vocabulary serves source and target. It is trained on the training split only, keeps case,
and marks the start of a word with ``▁`` so that decoding gives back plain text.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import tokenizers
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, trainers

PAD, BOS, EOS, UNK = 0, 1, 2, 3  # the same ids in every vocabulary of the package
SPECIALS = ("<pad>", "<s>", "</s>", "<unk>")
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

    def __init__(self, backend: tokenizers.Tokenizer):
        self._backend = backend

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int = 8000) -> "Tokenizer":
        """Learn `vocab_size` subwords, the four specials among them, from the training split."""
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
        return self._backend.encode(text, add_special_tokens=False).ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids; specials are left out."""
        return self._backend.decode(list(ids), skip_special_tokens=True)

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """The subwords themselves, ``▁`` marking the start of a word."""
        return [self._backend.id_to_token(i) for i in ids]

    def __len__(self):
        return self._backend.get_vocab_size()

    def save(self, path: Path | str) -> None:
        """Write the vocabulary as ``tokenizers`` does, in one JSON file."""
        self._backend.save(str(path))

    @classmethod
    def load(cls, path: Path | str) -> "Tokenizer":
        """Read what `save` wrote."""
        return cls(tokenizers.Tokenizer.from_file(str(path)))
