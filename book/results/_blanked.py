"""A captioner asked what each word owes to each cell of its picture. For `instruments.py`.

A cell's square of pixels is blanked by what would be there without any thing: the scene's own
background with its own noise, which `data.scenes` can draw. The words of a true caption are given,
and only the picture changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from _erasure import kendall
from torch import Tensor
from torch.nn.functional import max_pool2d

from attnlib import attribution, pretrained
from attnlib.data import scenes
from attnlib.data.batches import collate
from attnlib.data.images import as_floats
from attnlib.metrics import pointing

WHERE = {  # the attended cell: on the named thing (at least half as much as its fullest cell), on
    # another, or touching the named thing
    "on the named thing": lambda on, other, touching: on,
    "on another thing": lambda on, other, touching: other & ~on,
    "on the named thing's edge": lambda on, other, touching: ~on & ~other & touching,
    "elsewhere": lambda on, other, touching: ~on & ~other & ~touching,
}
SMALL = 0.1  # nats


@dataclass(frozen=True)
class Looked:
    """One scene's caption, and matrices (words, cells) by instrument."""

    record: pointing.Record  # of the raw weights; only nouns name something
    found: dict[str, np.ndarray]
    lost: np.ndarray  # nats of each word that blanking a cell costs
    changed: np.ndarray  # whether blanking it makes another word the likeliest
    right: np.ndarray  # (words,), whether the right word is the likeliest as it is
    whole: np.ndarray  # (words,), nats lost if every cell that the named things touch is blanked
    hidden: np.ndarray  # (words,), nats lost if the most attended cell is hidden from this one look
    unseen: np.ndarray  # (words,), if all cells that the named things touch are
    around: np.ndarray  # (words,), if those are, and all that lie next to them
    others: np.ndarray  # (words,), if as many are that lie elsewhere, drawn by chance; the control


def to_cells(images: Tensor, rows: int, columns: int) -> Tensor:
    """Images (B, 3, H, W) as cells row by row (B, cells, pixels and colours)."""
    cells = images.unflatten(3, (columns, -1)).unflatten(2, (rows, -1))  # (B, 3, r, h, c, w)
    return cells.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)


def to_images(cells: Tensor, rows: int, columns: int, side: int) -> Tensor:
    """The inverse of `to_cells`, for square images."""
    parts = cells.unflatten(1, (rows, columns)).unflatten(3, (3, side // rows, side // columns))
    return parts.permute(0, 3, 1, 4, 2, 5).flatten(4).flatten(2, 3)


def blanked(image: Tensor, background: Tensor, chosen: Tensor, grid: tuple[int, int]) -> Tensor:
    """Images (N, 3, H, W) with the `chosen` cells (N, cells) of one image (3, H, W) blanked."""
    cells = torch.where(
        chosen.unsqueeze(-1), *(to_cells(each[None], *grid) for each in (background, image))
    )
    return to_images(cells, *grid, image.shape[-1])


@torch.no_grad()
def said(model, images: Tensor, words) -> Tensor:
    """Log-probabilities (N, T, V) of the words of one caption after each of N images."""
    cells = torch.full((len(images),), model.grid[0] * model.grid[1])
    logits, _ = model.model(images, cells, words.target_in.expand(len(images), -1))
    return logits[:, :-1].log_softmax(-1)


@torch.no_grad()
def hidden(model: pretrained.Pretrained, image: Tensor, words, shut_cells=None) -> np.ndarray:
    """Nats of each word lost if this one look may not read some cells (T, cells).

    The most attended one unless given. Nothing is blanked: the picture, and what was read before,
    are as they were.
    """
    network, lost = model.model, []
    memory = network.encode(image[None], torch.tensor([model.grid[0] * model.grid[1]]))
    embedded, state = network.embedding(words.target_in), network.decoder.start(memory)
    for t, word in enumerate(words.target_out[0, :-1].tolist()):
        vector, weights, after = network.decoder.step(embedded[:, t], state, memory)
        shut = memory.mask.clone()
        shut[0, weights.argmax() if shut_cells is None else shut_cells[t]] = False
        moved, _, _ = network.decoder.step(embedded[:, t], state, memory._replace(mask=shut))
        whole, without = (network.output(v).log_softmax(-1)[0, word] for v in (vector, moved))
        lost.append(float(whole - without))
        state = after
    return np.array(lost)


def look(model: pretrained.Pretrained, sample, background: np.ndarray, caption) -> Looked:
    """Ask every instrument about every word of a caption."""
    grid, cells = model.grid, model.grid[0] * model.grid[1]
    image, bare = as_floats(sample.image), as_floats(background)
    ids = [i for word in caption.words for i in model.tokenizer.encode(word)]
    assert len(ids) == len(caption.words)  # words are tokens here
    words, T = collate([([], ids)]), len(ids)
    named = [sorted(its) for its in caption.things]
    touched = pointing.cells_on(sample.masks, grid, "touch").reshape(-1, cells)
    whole = torch.tensor(np.stack([touched[its].any(0) for its in named]))
    near = beside(whole, grid)
    chosen = torch.cat([torch.zeros(1, cells, dtype=torch.bool), torch.eye(cells).bool(), whole])
    logs = said(model, blanked(image, bare, chosen, grid), words)  # (1 + cells + T, T, V)
    right = logs[:, range(T), ids]
    lost = (right[0] - right[1 : 1 + cells]).T.numpy()
    best = logs.argmax(-1)
    with torch.no_grad():
        memory = model.model.encode(image[None], torch.tensor([cells]))
        weights = model.model.decode(memory, words.target_in)[1][:, :T]
        norms = {
            f"norms, {part}": attribution.value_norms(
                weights,
                attribution.context_values(model.model.decoder, memory.annotations, part),
            )[0].numpy()
            for part in attribution.PARTS
        }

    def word_logs(cells_of: Tensor) -> Tensor:
        """Row t gives the log-probability of word t, of images as cells."""
        images = to_images(cells_of, *grid, image.shape[-1])
        given = words.target_in.expand(T, -1)
        logits, _ = model.model(images, torch.full((T,), cells), given)
        return logits[range(T), range(T)].log_softmax(-1)[range(T), ids]

    start, full = (to_cells(each[None], *grid).expand(T, -1, -1) for each in (bare, image))
    paint = full - start
    gradient = attribution.gradient_times_input(word_logs, full)
    from_bare = attribution.gradient_times_input(lambda more: word_logs(start + more), paint)
    found = {
        "weights": weights[0].numpy(),
        **norms,
        "gradient times input": gradient.abs().numpy(),
        "gradient times what was painted": from_bare.abs().numpy(),
        "leave one out": lost - lost.min(axis=1, keepdims=True) + 1e-9,
    }
    nouns = [
        its if name == "noun" else frozenset()
        for its, name in zip(
            caption.things, pointing.word_classes(scenes.Scenes("test").grammar, caption.words)
        )
    ]
    record = pointing.Record.of(caption.words, nouns, found["weights"], sample.masks, grid)
    return Looked(
        record,
        found,
        lost,
        (best[1 : 1 + cells] != best[0]).T.numpy(),
        (best[0] == torch.tensor(ids)).numpy(),
        (right[0] - right[1 + cells :].diagonal()).numpy(),
        hidden(model, image, words),
        hidden(model, image, words, whole),
        hidden(model, image, words, near),
        hidden(model, image, words, as_many_others(near)),
    )


def as_many_others(cells: Tensor) -> Tensor:
    """As many of the other cells (T, H W), drawn by chance, or all where there are fewer."""
    drawn = torch.rand(cells.shape, generator=torch.Generator().manual_seed(0))
    order = drawn.masked_fill(cells, 2).argsort(1).argsort(1)
    return (order < cells.sum(1, keepdim=True)) & ~cells


def beside(cells: Tensor, grid: Sequence[int]) -> Tensor:
    """Cells (T, H W), and all that share a side or a corner with one of them."""
    maps = cells.float().unflatten(1, tuple(grid)).unsqueeze(1)
    return max_pool2d(maps, 3, 1, 1).flatten(1) > 0


def looks(model: pretrained.Pretrained, number: int) -> list[Looked]:
    """The first test scenes, each with a true caption of the data."""
    test, found = scenes.Scenes("test"), []
    for i in range(number):
        sample = test.sample(i)
        bare, _ = scenes.draw([], test.rng(i))
        found.append(look(model, sample, bare, sample.captions[0]))
    return found


# Tables ------------------------------------------------------------------------------------------


def effects(looked: Sequence[Looked]) -> list[dict]:
    """One record for each noun: what blanking the cells of each kind costs on average, and where.

    Of "another cell" and its like the mean over all such cells, not a draw.
    """
    rows = []
    for scene, each in enumerate(looked):
        cells = each.lost.shape[1]
        on = pointing.cells_on(each.record.masks, each.record.grid).reshape(-1, cells)
        seen = pointing.cells_on(each.record.masks, each.record.grid, "touch").reshape(-1, cells)
        for t, named in enumerate(each.record.things):
            if not named:
                continue
            its = np.zeros(len(on), dtype=bool)
            its[sorted(named)] = True
            own, others = on[its].any(0), on[~its].any(0) if (~its).any() else on[0] & False
            top = np.arange(cells) == each.found["weights"][t].argmax()
            kinds = {
                "attended": top,
                "another cell": ~top,
                "another cell on the named thing": own & ~top,
                "cell on another thing": others & ~own & ~top,
                "cell of background": ~seen.any(0) & ~top,
                "worst": np.arange(cells) == each.lost[t].argmax(),
            }
            at = [part[top].any() for part in (own, others, seen[its].any(0))]
            where = next(name for name, rule in WHERE.items() if rule(*at))
            row = {"scene": scene, "where": where, "right": bool(each.right[t])}
            row["weight"] = float(each.found["weights"][t].max())
            for name, some in kinds.items():
                if some.any():
                    row[name] = float(each.lost[t, some].mean())
                    row[f"changed, {name}"] = float(each.changed[t, some].mean())
            row["whole thing"] = float(each.whole[t])
            row["attended, hidden from the look"] = float(each.hidden[t])
            row["thing, hidden from the look"] = float(each.unseen[t])
            row["thing and around, hidden from the look"] = float(each.around[t])
            row["as many others, hidden from the look"] = float(each.others[t])
            rows.append(row)
    return rows


def marks(looked: Sequence[Looked], swapped: bool = False) -> dict[str, list[list[float]]]:
    """By instrument and scene: of each noun whether its first cell is on the thing.

    ``swapped``: by the map of another noun of the caption, as a control. Blanking background does
    nothing, so an instrument that knows only where anything is painted points better than chance.
    """
    names = list(looked[0].found)
    found: dict[str, list] = {name: [] for name in [*names, "uniform", "centre"]}
    for each in looked:
        places = list(range(len(each.record.things)))
        if swapped:
            nouns = [t for t in places if each.record.things[t]]
            for t, other in zip(nouns, [*nouns[1:], *nouns[:1]], strict=True):
                places[t] = other
        for name in names:
            other = pointing.with_weights(each.record, each.found[name][places])
            found[name].append(pointing.hits(other))
        for name, of in (("uniform", pointing.uniform), ("centre", pointing.centre)):
            found[name].append(pointing.hits(of(each.record)))
    return {
        name: [[hit for hit in hits if hit is not None] for hits in its]
        for name, its in found.items()
    }


def first_cells(looked: Sequence[Looked]) -> dict[str, list[list[float]]]:
    """By instrument and scene: the nats of each noun lost at the cell that it ranks first."""
    return {
        name: [
            [
                float(each.lost[t, each.found[name][t].argmax()])
                for t, x in enumerate(each.record.things)
                if x
            ]
            for each in looked
        ]
        for name in looked[0].found
    }


def agreement(looked: Sequence[Looked]) -> dict[str, dict[str, list[list[float]]]]:
    """Kendall's tau of each instrument with the loss over the cells, for nouns.

    ``same`` of one word, and ``another``: with the loss of another noun of the caption, if there is
    one.
    """
    found: dict[str, dict[str, list]] = {}
    for name in looked[0].found:
        same, another = [], []
        for each in looked:
            nouns = [t for t, its in enumerate(each.record.things) if its]
            scores, lost = each.found[name][nouns], each.lost[nouns]
            same.append(kendall(scores, lost).tolist())
            moved = np.roll(np.arange(len(nouns)), 1)
            another.append(kendall(scores, lost[moved]).tolist() if len(nouns) > 1 else [])
        found[name] = {"same": same, "another": another}
    return found


def untrained(model: pretrained.Pretrained, seed: int) -> pretrained.Pretrained:
    """The same model with random weights."""
    torch.manual_seed(seed)
    network = pretrained.build("captioner", model.card["model"]).eval()
    return pretrained.Pretrained("untrained", network, model.tokenizer, model.card)
