"""One reordering sentence under four windows, each with its own trained model (chapter 05).

    OMP_NUM_THREADS=1 python book/results/four_windows.py

trains the first seed of four settings of ``dials.py`` in about three minutes of one core, and
writes ``four_windows.json`` beside this file: the attention weights of one test sentence. Which
links a small model with a predicted window finds depends on its start, and on how a processor
rounds; so the chapter draws these weights and does not train the models again.
"""

from pathlib import Path

import alignment
import dials
import torch
from _record import record

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/four_windows.py"
SEED = 1


def main() -> None:
    """Train, and write the file."""
    torch.set_num_threads(1)
    examples = alignment.held_out()
    example = next(
        x for x in examples if len(x.source) >= 8 and max(abs(s - t) for t, s in x.alignment) > 3
    )
    rows = []
    for setting in dials.settings():
        if (setting["score"], setting["feeding"]) != ("dot", "input"):
            continue
        model = dials.trained(setting, SEED).averaged_model()
        (weights,) = alignment.attention(model, [example])
        weights = [[round(float(a), 4) for a in row] for row in weights]
        rows.append({"window": setting["window"], "reach": setting["reach"], "weights": weights})
        print(rows[-1], flush=True)
    content = {
        "seed": SEED,
        "source": example.source,
        "target": example.target,
        "alignment": example.alignment,
        "rows": rows,
    }
    record(RESULTS, COMMAND, content)


if __name__ == "__main__":
    main()
