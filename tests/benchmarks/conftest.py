"""The table of what ``make bench`` measured, which the appendix prints."""

import datetime
import json
from pathlib import Path

import chromium
import pytest
import torch
from _record import record

from attnlib.training import hardware

browser = chromium.browser
RESULTS = Path(__file__).parents[2] / "book" / "results" / "benchmarks.json"


@pytest.fixture(scope="session")
def table():
    """What was measured; written when all is.

    A row of before that was not measured again (a rival that is not installed here, say) is kept,
    with the date and the hardware of then.
    """
    torch.set_num_threads(1)
    rows = []
    yield rows
    if not rows:
        return
    about = {"hardware": hardware(), "date": datetime.date.today().isoformat()}
    before = json.loads(RESULTS.read_text(encoding="utf-8"))
    then = {key: before[key] for key in about if before[key] != about[key]}
    new = {row["what"]: row for row in rows}
    kept = [{**row, **then, **row} for row in before["rows"] if row["what"] not in new]
    record(RESULTS, "make bench", {"rows": [*kept, *new.values()]})
