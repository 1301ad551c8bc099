"""Sphinx extension: label the bibliography by author and year, as the text cites it."""

from collections import Counter

from pybtex.plugin import register_plugin
from pybtex.style.formatting.plain import Style
from pybtex.style.labels import BaseLabelStyle
from pybtex.style.sorting import BaseSortingStyle


def name(person) -> str:
    return " ".join([*person.prelast_names, *person.last_names])


class AuthorYearLabels(BaseLabelStyle):
    """Cho et al., 2014a; Graves, 2014; Jain and Wallace, 2019."""

    def format_labels(self, sorted_entries):
        labels = []
        for entry in sorted_entries:
            names = [name(person) for person in entry.persons["author"]]
            who = f"{names[0]} et al." if len(names) > 2 else " and ".join(names)
            labels.append(f"{who}, {entry.fields['year']}".replace("{", "").replace("}", ""))
        doubled = [label for label, count in Counter(labels).items() if count > 1]
        if doubled:
            raise ValueError(f"references.bib: give the years of {doubled} a letter")
        return labels


class FirstAuthorYear(BaseSortingStyle):
    """By the first author, then by year: 2014a before 2014b, whoever the other authors are."""

    def sorting_key(self, entry):
        return name(entry.persons["author"][0]).lower(), entry.fields["year"], entry.fields["title"]


class AuthorYearStyle(Style):
    default_label_style = AuthorYearLabels
    default_sorting_style = FirstAuthorYear


def setup(app):
    register_plugin("pybtex.style.formatting", "author_year", AuthorYearStyle)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
