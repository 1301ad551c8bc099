"""A transformer on patches and a convolutional network, asked which colour stands beside the white.

Run from the root of the repository::

    OMP_NUM_THREADS=1 python book/results/patches.py

`attnlib.beyond.patches` on `attnlib.data.beside`. The kinds of rows:

* ``trained``: one a network, number of training pictures and seed, all with the same updates;
  ``fresh``: every batch has new pictures. The share of right answers to training pictures and to
  1,000 test pictures; the same with the patches in another order; how often the answer is the
  colour of each other thing of the picture. Of the transformer, where [class] looks by layer and by
  rollout: how often most at each of the four things, and how much of its weight is on each.
  ``set`` is the transformer without positions. ``one question``: trained on the colour alone, not
  on the quarter of the white thing. ``longer`` has three times the updates;
* ``untrained``: where [class] looks before anything was learned, 8 seeds;
* ``baseline``: the same of uniform weights, and of weights in the middle of the picture;
* ``shown``: for a figure, [class]'s weights of one model in the first picture where layer 1 looks
  most at the white thing, layer 2 at the one beside it, and rollout at the white one.

What is in ``patches.json`` already is not measured again, so a stopped run goes on. Some 20 minutes
of one core; a training of the transformer takes half a minute, or three times that.
"""

import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import torch
from _record import begin, record
from torch.nn.functional import avg_pool2d

from attnlib.beyond import patches
from attnlib.data import beside
from attnlib.explore.figure import rounded
from attnlib.metrics import pointing

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/patches.py"
SEEDS = (1, 2, 3)
UNTRAINED = 8  # seeds
UPDATES, BATCH, RATE = 1500, 32, 0.001
SIZES = (500, 2000, 8000, "fresh")
TESTED, MARKED = 1000, 300  # test pictures; those whose attention is marked
NETWORKS = {
    "transformer": patches.PatchTransformer,
    "set": partial(patches.PatchTransformer, positions=False),
    "convolutions": patches.SmallConvNet,
}
GRID = (8, 8)


@cache
def train() -> beside.Pictures:
    """The largest set; the smaller ones are its beginning."""
    return beside.pictures("train", range(max(size for size in SIZES if size != "fresh")))


@cache
def test() -> beside.Pictures:
    """The same for every network."""
    return beside.pictures("test", range(TESTED))


@cache
def others() -> torch.Tensor:
    """The colours of the two other things of each test picture: (N, 2), below and across."""
    return torch.tensor(
        [
            [beside.COLOURS.index(thing.colour) for thing in beside.things("test", n)[2:]]
            for n in range(TESTED)
        ]
    )


def drawer(size: int | str, seed: int):
    """What gives a batch for each update."""
    generator = torch.Generator().manual_seed(seed)

    def again(_: int) -> beside.Pictures:
        return train()[torch.randint(int(size), (BATCH,), generator=generator)]

    def fresh(update: int) -> beside.Pictures:
        first = 10_000_000 * seed + BATCH * update  # far from the numbers of the sets
        return beside.pictures("train", range(first, first + BATCH))

    return fresh if size == "fresh" else again


def marked(maps: torch.Tensor) -> dict:
    """Of weights (N, 64) on the patches of the first test pictures: on which thing they are.

    ``most``: the share of pictures whose heaviest patch lies on the thing (`metrics.pointing`, its
    rule "half"); ``mass``: the share of the weight there.
    """
    records = []
    for weights, masks in zip(maps.double().numpy(), test().masks[: len(maps)].numpy()):
        of_all = [weights] * len(beside.ROLES)
        named = [{k} for k in range(len(beside.ROLES))]
        records.append(pointing.Record.of(beside.ROLES, named, of_all, masks, GRID))
    most, mass = ([each(one) for one in records] for each in (pointing.hits, pointing.inside))
    return {
        name: {
            role: sum(one[k] for one in values) / len(values) for k, role in enumerate(beside.ROLES)
        }
        for name, values in (("most", most), ("mass", mass))
    }


def looks(model: patches.PatchTransformer) -> dict:
    """Where [class] looks, by layer and by rollout."""
    maps = patches.class_maps(model, test().images[:MARKED])
    return {name: marked(each) for name, each in maps.items()}


def right(said: torch.Tensor, wanted: torch.Tensor) -> float:
    """The share of answers that are."""
    return (said == wanted).double().mean().item()


@cache
def trained(network: str, size: int | str, setting: str, seed: int):
    """A network, and the seconds its training took."""
    torch.manual_seed(seed)
    model = NETWORKS[network]()
    begun = time.process_time()
    updates = UPDATES * (3 if setting == "longer" else 1)
    both = setting != "one question"
    patches.fit(model, drawer(size, seed), updates, RATE, both, seed)
    return model, time.process_time() - begun


def of_trained(network: str, size: int | str, setting: str, seed: int) -> dict:
    """Train one, and ask it everything."""
    model, seconds = trained(network, size, setting, seed)
    said, quarters = patches.answers(model, test().images).T
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    moved = beside.shuffled(test().images, order)
    found = {
        "seconds": round(seconds),
        "parameters": sum(p.numel() for p in model.parameters()),
        "test": right(said, test().answers),
        "below": right(said, others()[:, 0]),
        "across": right(said, others()[:, 1]),
        "quarter": right(quarters, test().quarters),
        "shuffled": right(patches.answers(model, moved)[:, 0], test().answers),
    }
    if size != "fresh":
        known = train()[: min(int(size), TESTED)]
        found["train"] = right(patches.answers(model, known.images)[:, 0], known.answers)
    if network != "convolutions":
        found["looks"] = looks(model)
    return found


def of_untrained(seed: int) -> dict:
    """Where [class] looks that has learned nothing."""
    torch.manual_seed(100 + seed)
    return {"looks": looks(patches.PatchTransformer().eval())}


def of_baseline(name: str) -> dict:
    """Weights that nobody computed."""
    weights = torch.ones(8, 8)
    if name == "centre":
        weights = torch.zeros(8, 8)
        weights[3:5, 3:5] = 1
    return {"looks": marked((weights / weights.sum()).flatten().expand(MARKED, -1))}


def shown() -> dict:
    """What a figure needs of one model: the weights of a picture."""
    model = trained("transformer", "fresh", "paper", 1)[0]
    maps = patches.class_maps(model, test().images[:MARKED])

    def on(name: str, role: str) -> torch.Tensor:
        """Whether the heaviest patch of each picture is all on a thing."""
        thing = test().masks[:MARKED, beside.ROLES.index(role)].float()
        whole = avg_pool2d(thing, 64 // GRID[0]).flatten(1)
        return whole.gather(1, maps[name].argmax(1, keepdim=True))[:, 0] > 0.5

    fit = on("layer 1", "asking") & on("layer 2", "beside") & on("rollout", "asking")
    number = int(fit.nonzero()[0, 0])
    return {"number": number, **{name: each[number].tolist() for name, each in maps.items()}}


def plan(seeds) -> list[tuple[dict, Callable[[], dict]]]:
    """Every row: what it is, and how it is measured."""
    rows: list = [
        ({"kind": "baseline", "name": name}, partial(of_baseline, name))
        for name in ("uniform", "centre")
    ]

    def add(network: str, size: int | str, setting: str, seed: int) -> None:
        said = {"kind": "trained", "network": network, "size": size, "setting": setting}
        rows.append((said | {"seed": seed}, partial(of_trained, network, size, setting, seed)))

    for seed in seeds:
        for size in reversed(SIZES):
            add("transformer", size, "paper", seed)
            add("convolutions", size, "paper", seed)
        add("set", "fresh", "paper", seed)
        add("transformer", "fresh", "one question", seed)
        add("convolutions", "fresh", "one question", seed)
    for seed in range(1, UNTRAINED + 1):
        rows.append(({"kind": "untrained", "seed": seed}, partial(of_untrained, seed)))
    if seeds == list(SEEDS):
        for size in (500, 2000):
            add("transformer", size, "longer", 1)
    rows.append(({"kind": "shown"}, shown))
    return rows


def main() -> None:
    """Do what is left, and write the file as it goes."""
    options, results = begin(__doc__, RESULTS, {"runs": []})
    runs = results["runs"]
    for said, measure in plan([seed for seed in options.seeds if seed in SEEDS]):
        if any(said.items() <= run.items() for run in runs):
            continue
        runs.append(said | rounded(measure(), 4))
        print(said, runs[-1].get("test"), flush=True)
        record(options.out, COMMAND, {"runs": runs}, one_a_line="runs")


if __name__ == "__main__":
    main()
