"""The drawing of the guide for lecturers: which chapter rests on which."""

from attnlib.drawing.canvas import WIDEST, Canvas

# name: (left, top, width, words, what it rests on)
CHAPTERS: dict[str, tuple[float, float, float, str, tuple[str, ...]]] = {
    "1": (15, 10, 195, "1 One vector", ()),
    "2": (230, 10, 195, "2 On paper", ()),
    "3": (125, 90, 155, "3 Align, translate", ("1", "2")),
    "3b": (305, 90, 125, "3b Alignment?", ("3",)),
    "8": (10, 170, 130, "8 Self-attention", ("3",)),
    "4": (155, 170, 130, "4 How to ask", ("3",)),
    "6": (300, 170, 130, "6 Soft or hard", ("3",)),
    "9": (10, 250, 130, "9 Transformer", ("8",)),
    "5": (155, 250, 130, "5 Windows", ("4",)),
    "7": (300, 250, 130, "7 Captions", ("6",)),
    "7b": (300, 330, 130, "7b Photographs", ("7",)),
    "10": (10, 330, 130, "10 Reading it", ("9",)),
    "10b": (155, 330, 110, "10b Bugs", ("10",)),
    "11": (10, 410, 130, "11 Elsewhere", ("10",)),
    "11b": (155, 410, 110, "11b Seeing", ("11",)),
    "11c": (280, 410, 150, "11c Without it", ("11b",)),
}
HIGH = 36


SECOND = ("3b", "7b", "10b", "11b", "11c")  # pages of a chapter that no other chapter rests on
SHORTEST = ("2", "3", "8", "9")  # for students who know recurrent networks, so without chapter 1


def dependencies() -> Canvas:
    """Which chapter rests on which: three branches below chapter 3, and the shortest route."""
    told = "; ".join(
        f"chapter {name} needs {' and '.join(needs)}"
        for name, (*_, needs) in CHAPTERS.items()
        if needs
    )
    canvas = Canvas(
        WIDEST,
        460,
        f"Boxes for the chapters, joined by arrows: {told}. The shortest route is "
        f"{', '.join(SHORTEST)}; the arrow from 1 to 3 and chapters {', '.join(SECOND)} are "
        "dashed.",
    )
    for name, (left, top, width, words, needs) in CHAPTERS.items():
        short = name in SHORTEST
        role = "context" if short else "ink"
        canvas.box(left, top, width, HIGH, words, role=role, dashed=name in SECOND, bold=short)
        for other in needs:
            x, y, wide, _, _ = CHAPTERS[other]
            thick = 4 if short and other in SHORTEST else 1.5
            role = "context" if thick > 2 else "ink"
            if y == top:
                ends = (x + wide, y + HIGH / 2), (left - 1, top + HIGH / 2)
            else:
                ends = (x + wide / 2, y + HIGH), (left + width / 2, top - 1)
            canvas.arrow(*ends, role=role, thick=thick, dashed=name in SECOND or other == "1")
    return canvas
