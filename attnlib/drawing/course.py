"""The drawing of the guide for lecturers: which chapter rests on which."""

from attnlib.drawing.canvas import WIDEST, Canvas

# name: (left, top, width, words, what it rests on)
CHAPTERS: dict[str, tuple[float, float, float, str, tuple[str, ...]]] = {
    "1": (15, 10, 195, "1 One vector", ()),
    "2": (230, 10, 195, "2 On paper", ()),
    "3": (125, 90, 155, "3 Align, translate", ("1", "2")),
    "3.x": (305, 90, 125, "3.x Alignment?", ("3",)),
    "8": (10, 170, 130, "8 Self-attention", ("3",)),
    "4": (155, 170, 130, "4 How to ask", ("3",)),
    "6": (300, 170, 130, "6 Soft or hard", ("3",)),
    "9": (10, 250, 130, "9 Transformer", ("8",)),
    "5": (155, 250, 130, "5 Windows", ("4",)),
    "7": (300, 250, 130, "7 Captions", ("6",)),
}
HIGH = 36


def dependencies() -> Canvas:
    """Which chapter rests on which: a tree with three branches below chapter 3."""
    told = "; ".join(
        f"chapter {name} needs {' and '.join(needs)}"
        for name, (*_, needs) in CHAPTERS.items()
        if needs
    )
    canvas = Canvas(WIDEST, 300, f"Boxes for the chapters, joined by arrows: {told}.")
    for name, (left, top, width, words, needs) in CHAPTERS.items():
        role = "context" if name in ("2", "3", "8", "9") else "ink"
        canvas.box(left, top, width, HIGH, words, role=role, dashed=name == "3.x")
        for other in needs:
            x, y, wide, _, _ = CHAPTERS[other]
            if y == top:
                canvas.arrow((x + wide, y + HIGH / 2), (left - 1, top + HIGH / 2))
            else:
                canvas.arrow((x + wide / 2, y + HIGH), (left + width / 2, top - 1))
    return canvas
