"""``attnlib train`` with a few tiny runs, one of which fails; run by test_training_queue.py."""

import dataclasses
import os
import sys

from attnlib import evaluation
from attnlib.training import RunConfig, inputs, loop, main, queue, recipes, shipping

ONE = RunConfig.of(
    "one",
    corpus="scenes",
    width=8,
    hidden=8,
    annotation_dim=8,
    images=3,
    updates=int(os.environ.get("TINY_UPDATES", "40")),
    warmup=2,
    average=2,
    validate_every=10,
)
RUNS = [
    ONE,
    ONE.replace(name="bad", lr=1e30),  # its loss is not finite
    ONE.replace(name="after-one", start_from="one", lr=1e-4),
    ONE.replace(name="after-bad", start_from="bad"),
    ONE.replace(name="last", seed=2),
]

if __name__ == "__main__":  # and not where pytest looks for examples: the tests beside it go on
    recipes.QUEUE = {config.name: config for config in RUNS}
    recipes.QUEUES = dict.fromkeys(("gpu", "cpu"), tuple(recipes.QUEUE))
    queue.PROGRAM = (sys.executable, __file__)
    evaluation.TESTED = 3
    prepare = inputs.prepare
    for module in (loop, shipping):
        module.prepare = lambda config: dataclasses.replace(prepare(config), validated=3)
    sys.exit(main())
