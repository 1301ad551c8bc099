"""What people type, made like the text that a model was trained on.

Every text that a reader gives to a model goes through `clean` before the tokenizer sees it: what
nobody can see is taken out, and typographic signs are written as the training text writes them.
Training text does not go through it: vocabularies and weights stay what they are.
"""

import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable

# Characters that show nothing (Unicode's Default_Ignorable_Code_Point): soft hyphen, zero-width
# space, word joiner, direction marks, variation selectors, byte-order mark and their like. Those
# of the categories Cf (format) and Cc (control) go the same way.
_IGNORABLE = (
    (0x00AD, 0x00AD), (0x034F, 0x034F), (0x061C, 0x061C), (0x115F, 0x1160), (0x17B4, 0x17B5),
    (0x180B, 0x180F), (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164),
    (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFFB), (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
)  # fmt: skip
INVISIBLE = frozenset(chr(code) for low, high in _IGNORABLE for code in range(low, high + 1))
JOINERS = frozenset(
    "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"
)  # they shape Marathi's letters

# Typographic signs, each with the plain forms that may stand for it, the best one first.
PLAIN = {
    **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u02bc\u00b4\uff07", ("'",)),
    **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\uff02", ('"', "\u201c")),
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", ("-",)),
    "\u2026": ("...",),
}
SELDOM = 1000  # a sign that less than one sentence in so many has is not one a model has learned


def clean(text: str, signs: Collection[str] | None = None) -> str:
    """The text without invisible characters, its typographic signs as plain as the model knows.

    Parameters
    ----------
    text : str
        As somebody typed, pasted or piped it.
    signs : collection of str, optional
        The signs that the model knows (`signs_of` its training text). A typographic apostrophe,
        quotation mark, dash or ellipsis that is not among them is written plainly, if the plain
        one is; `JOINERS` that are not among them are taken out. None: no sign is changed.

    Raises
    ------
    ValueError
        If the text holds surrogates: it came from bytes that are not UTF-8.

    Examples
    --------
    A byte-order mark, a soft hyphen and a curly apostrophe, for a model that knows the plain one:

    >>> clean("\\ufeffThe wo\\u00adman\\u2019s dog", signs="'.")
    "The woman's dog"
    """
    if text.isascii() and text.isprintable():  # as most texts are; nothing of these changes
        return text
    for position, letter in enumerate(text):
        if "\ud800" <= letter <= "\udfff":
            byte = f"byte 0x{ord(letter) - 0xDC00:02x}" if letter >= "\udc80" else "a surrogate"
            raise ValueError(f"not UTF-8 text: {byte} at position {position} stands for no letter")
    return "".join(_cleaned(letter, signs) for letter in text)


def _cleaned(letter: str, signs: Collection[str] | None) -> str:
    if letter in JOINERS:
        return letter if signs is None or letter in signs else ""
    if letter.isspace():  # the separators of ASCII too, which are no white space in Unicode
        return " "
    if letter in INVISIBLE or unicodedata.category(letter) in ("Cf", "Cc"):
        return ""
    if signs is None or letter in signs:
        return letter
    plain = (form for form in PLAIN.get(letter, ()) if form[0] in signs)
    return next(plain, letter)


def signs_of(texts: Iterable[str]) -> str:
    """The signs of a training text, those aside that less than one text in `SELDOM` has.

    A sign is what is neither letter, digit, combining mark nor space; `JOINERS` are signs.

    >>> signs_of(["It's a dog.", "Two dogs."])
    "'."
    """
    texts = list(texts)
    found = Counter(letter for text in texts for letter in set(text))
    return "".join(
        sorted(
            letter
            for letter, number in found.items()
            if number * SELDOM >= len(texts)
            and unicodedata.category(letter)[0] not in "LNMZ"
            and (letter in JOINERS or unicodedata.category(letter)[0] != "C")
        )
    )


def listed(name: str, texts: Iterable[str]) -> list[str]:
    """Several texts as a list, from any iterable of them, a generator too.

    Raises
    ------
    TypeError
        If it is one text, whose letters would pass for texts, or holds something else than texts.

    Examples
    --------
    >>> listed("sources", "Two dogs.")
    Traceback (most recent call last):
    TypeError: sources must be a list of str, got one str: put it in a list
    """
    if isinstance(texts, (str, bytes)) or not isinstance(texts, Iterable):
        kind = type(texts).__name__
        one = f"one {kind}: put it in a list" if isinstance(texts, (str, bytes)) else kind
        raise TypeError(f"{name} must be a list of str, got {one}")
    texts = list(texts)
    for number, text in enumerate(texts, start=1):
        if not isinstance(text, str):
            raise TypeError(f"{name} must be str, got {type(text).__name__} as number {number}")
    return texts
