"""Every decimal number in the chapters' prose can be traced.

A number stands in the code or in the output of its section, or of the chapter where its section
has none; in a sentence that cites a source or links to where it is computed, or a paragraph that
tells what papers said; or `prose_numbers.py` works it out again, or looks it up in a results file.

How sharp this is: the test moves the last digit of each number that it has to trace by up to three
either way, and counts how often it notices.
"""

import bisect
import re

import nbformat
import notebooks
import prose_numbers
import pytest

PAGES = [*notebooks.chapters(), notebooks.BOOK / "appendix/own.ipynb"]
CHAPTERS = {path.stem: path for path in PAGES}
chapter = pytest.mark.parametrize("name", CHAPTERS)

NUMBER = re.compile(r"(?<![\w.,/-])\d+\.\d+(?!\w|\.\d)")
PRINTED = re.compile(r"\d+\.\d+(?:e[-+]?\d+)?|\d+(?:,\d{3})*")
FENCE = re.compile(r"^(`{3,})(?:python|text|none|\{math\})?\n(.*?)^\1", re.MULTILINE | re.DOTALL)
# What a page holds beside the numbers that it shows: data, and where a drawing's lines lie.
UNSEEN = re.compile(r"<script.*?</script>|<style.*?</style>|<[a-zA-Z/][^>]*>", re.DOTALL)
# A heading, an exercise or a solution; `# check` is the first line of an exercise's test.
OPENS = re.compile(r"(?m)^(?=#{1,4} (?!check$)|`{3,}\{(?:exercise|solution)\})")
SOURCE = re.compile(r"\{(?:cite|ref|numref|doc|eq)[\w:]*\}`|\]\(")
PLACE = re.compile(
    r"(?:[Tt]able|[Ss]ections?|[Ff]ig(?:ure|\.)|[Ee]q(?:uation|\.)|[Aa]ppendix)s? [\w.]+"
)
# What is numbered with a point, and no measurement: a section, a version of a library.
NAMED = re.compile(
    r"(?:[Ss]ections?|[Tt]ables?|[Ff]igures?|[Ee]q\.|[Ee]quations?|[Aa]ppendix|torch|Python|PyTorch)"
    r" \(?(?:[\w.]+(?:,| and| to) )*$"
)


class Section:
    """A heading's prose, and the text of the code and outputs below it."""

    def __init__(self, level: int, above: "Section | None"):
        self.level, self.above = level, above
        self.prose: list[str] = []
        self.computed: list[str] = []
        self.cells = 0
        self.of_papers = False  # where a paragraph's numbers are those of the papers it cites

    def known(self) -> list[float]:
        """The numbers of its code and outputs, in order; of all above where it has no cell."""
        part = next(each for each in chain(self) if each.cells or each.above is None)
        texts = " ".join(self.computed + part.computed)
        return sorted({float(found.replace(",", "")) for found in PRINTED.findall(texts)})


def sections(notebook) -> list[Section]:
    """The parts of a chapter; what is computed in a part counts for all those above it."""
    found = [Section(0, None)]

    def compute(text):
        for part in chain(found[-1]):
            part.computed.append(text)

    for cell in notebook.cells:
        if cell.cell_type == "code":
            for part in chain(found[-1]):
                part.cells += 1
            compute(cell.source)
            for output in cell.outputs:
                data = output.get("data", {})
                shown = [output.get("text", ""), *(data[k] for k in data if k.startswith("text/"))]
                compute(UNSEEN.sub(" ", "\n".join(map("".join, shown))))
            continue
        for text in OPENS.split(cell.source):
            heading = re.match(r"#+", text)
            opens = 5 if text.startswith("```") else len(heading.group()) if heading else None
            if opens is not None:
                above = next(part for part in chain(found[-1]) if part.level < opens)
                found.append(Section(opens, above))
                found[-1].of_papers = bool(re.match(r"#+ What the papers said", text))
            for _, code in FENCE.findall(text):
                compute(code)
            found[-1].prose.append(FENCE.sub(" ", text))
    return found


def chain(part: Section | None):
    """A section, and those that hold it."""
    while part is not None:
        yield part
        part = part.above


def untraced(part: Section) -> list[tuple[str, str]]:
    """The numbers of a section that stand in no sentence with a source, each with its sentence."""
    found = []
    for text in part.prose:
        for paragraph in re.split(r"\n\s*\n|\n(?=\s*[-*] )", text):
            cited = "{cite" in paragraph
            if cited and (part.of_papers or paragraph.lstrip().startswith("|")):
                continue
            for sentence in re.split(r"(?<=[.!?:;])\s+(?=[A-Z*$(“_\[`{])", paragraph):
                if SOURCE.search(sentence) or (cited and PLACE.search(sentence)):
                    continue
                plain = re.sub(r"`[^`]*`", " ", sentence)
                for match in NUMBER.finditer(plain):
                    if not NAMED.search(plain[: match.start()]):
                        around = plain[max(0, match.start() - 50) : match.end() + 30]
                        found.append((match.group(), " ".join(around.split())))
    return found


def near(number: str, known: list[float]) -> bool:
    """Whether a known number, or a hundred times one, rounds to this one."""
    value, half = float(number), 0.5 * 10.0 ** -len(number.partition(".")[2]) + 1e-9
    for scale in (1, 100):
        i = bisect.bisect_left(known, (value - half) / scale)
        if i < len(known) and known[i] <= (value + half) / scale:
            return True
    return False


def by_pencil(name: str) -> list[float]:
    return sorted(abs(float(x)) for sums in prose_numbers.SUMS.get(name, {}).values() for x in sums)


def read(name: str) -> list[Section]:
    return sections(nbformat.read(CHAPTERS[name], 4))


@chapter
def test_every_decimal_number_of_the_prose_can_be_traced(name):
    pencil = by_pencil(name)
    lost = [
        f"{number} in “{sentence}”"
        for part in read(name)
        for number, sentence in untraced(part)
        if not near(number, part.known()) and not near(number, pencil)
    ]
    assert lost == []


@chapter
def test_no_pencil_is_left_over(name):
    """Each sum of `prose_numbers.py` is one that the chapter prints."""
    printed = [number for part in read(name) for number in NUMBER.findall("\n".join(part.prose))]
    for what, sums in prose_numbers.SUMS.get(name, {}).items():
        assert any(near(number, sorted(abs(float(x)) for x in sums)) for number in printed), what


def test_most_wrong_digits_are_noticed():
    """The last digit of each number, moved by up to three either way."""
    tried = noticed = 0
    for name in CHAPTERS:
        pencil = by_pencil(name)
        for part in read(name):
            known = part.known()
            for number, _ in untraced(part):
                digits = len(number.partition(".")[2])
                for step in (-3, -2, -1, 1, 2, 3):
                    wrong = f"{abs(float(number) + step * 10.0**-digits):.{digits}f}"
                    tried += 1
                    noticed += not near(wrong, known) and not near(wrong, pencil)
    assert noticed / tried > 0.6


def test_a_number_needs_a_source_in_its_own_sentence():
    cells = [
        nbformat.v4.new_markdown_cell(
            "## One\n\nWe found 0.25. They found 0.31 ({cite:t}`who`). Ours has 0.47."
        ),
        nbformat.v4.new_code_cell("print(0.2468)"),
        nbformat.v4.new_markdown_cell("## Two\n\nHere 0.25 comes from nowhere; see 12.5 %."),
        nbformat.v4.new_code_cell("0.125"),
    ]
    _, one, two = sections(nbformat.v4.new_notebook(cells=cells))
    for part, want in ((one, {"0.25": True, "0.47": False}), (two, {"0.25": False, "12.5": True})):
        assert {number: near(number, part.known()) for number, _ in untraced(part)} == want
