"""Let nbval run cells as Jupyter does, and compare their outputs as the notebooks' tool does.

What may differ from processor to processor is said in ``_tools/compare.py``: what agrees by its
rules is taken for equal, and nbval compares the rest. Pictures, which nbval leaves out, are looked
at too: a changed or a missing one fails its cell. And a semicolon at the end of a cell keeps its
value from being shown: IPython looks for it in its history, which nbval does not let it keep.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_tools"))
from compare import PICTURES, settle
from notebooks import joined


def pictures(outputs: list) -> list[str]:
    """Return the pictures among a cell's outputs, in order."""
    return [o["data"][kind] for o in outputs for kind in PICTURES if kind in o.get("data", {})]


def pytest_configure(config):
    plugin = sys.modules.get("nbval.plugin")
    if plugin is None or not config.getoption("nbval", False):
        return
    compare_the_rest = plugin.IPyNbCell.compare_outputs

    def compare_outputs(self, test, ref, skip_compare=None):
        test, ref = joined(test), joined(ref)
        ref = settle(ref, test, self.cell.metadata.get("tags", ()))
        if not compare_the_rest(self, test, ref, skip_compare):
            return False
        now, stored = pictures(test), pictures(ref)
        if len(now) != len(stored):
            self.comparison_traceback.append(f"{len(stored)} pictures stored, {len(now)} drawn")
            return False
        for number, (one, other) in enumerate(zip(now, stored, strict=True)):
            if one.strip() != other.strip():
                self.comparison_traceback.append(f"picture {number} does not look as stored")
                return False
        return True

    def execute_cell_input(self, cell_input, allow_stdin=None):
        return self.kc.execute(
            cell_input, store_history=True, allow_stdin=allow_stdin, stop_on_error=False
        )

    plugin.IPyNbCell.compare_outputs = compare_outputs
    plugin.RunningKernel.execute_cell_input = execute_cell_input
