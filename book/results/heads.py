"""What do the heads of the shipped transformer look at? Measured on captions (chapter 09).

Run from the root of the repository::

    OMP_NUM_THREADS=1 python book/results/heads.py

It forces ``en-fr-transformer`` through the references of Multi30k's test set, and measures

* the share of each head's weight on the previous position, its own, the next, the first, and on
  ``</s>``, beside what a head has there that looks at everything alike (`attnlib.metrics.heads`);
* the alignment error of its attention to the source, head by head and for the mean of the heads of
  each layer, against silver links (`sweep.silver`), beside the other shipped models. The best head
  and the best layer are chosen on the val split; ``differences`` are theirs less that of
  ``en-fr-bahdanau``, paired by sentence. ``late`` links target word t by the row after its
  own, in which the decoder has just been given it;
* by the kind of token that is due, how much of that attention rests on ``</s>``; the loss, and the
  loss if the decoder may not see ``</s>`` (in no block, in the last one only, in those below it),
  or a source token drawn at random in its place; and how long what a head reads from ``</s>`` is,
  beside what it reads from the words;
* the loss on captions of val when one head that looks at the source is left out (an exercise).

Intervals are 95 %, by bootstrap over sentences. It writes ``heads.json`` beside this file.
"""

from pathlib import Path

import numpy as np
import torch
from _record import record
from finger import KINDS, TEST, kind
from sweep import silver
from torch.nn.functional import cross_entropy

from attnlib import metrics, pretrained, storage
from attnlib.data.batches import collate
from attnlib.data.corpora import multi30k
from attnlib.data.tokenizer import EOS, SPECIALS
from attnlib.metrics import heads
from attnlib.training import validation_loss

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/heads.py"
MODEL, OTHERS = "en-fr-transformer", ("en-fr-bahdanau", "en-fr-luong")
RESAMPLES = 1000
# hidden from the decoder: what, and from which blocks
HIDDEN = {
    "nothing": ("no token", slice(0)),
    "</s>": ("end", slice(None)),
    "</s> from the last block": ("end", slice(-1, None)),
    "</s> from the blocks below": ("end", slice(-1)),
    "a word": ("other", slice(None)),
}


def shares(found: list[pretrained.HeadMaps]) -> tuple[dict, dict]:
    """The share of every head on every place, and that of a head that looks everywhere alike."""
    measured: dict[str, dict] = {}
    alike: dict[str, dict] = {}
    for which in ("encoder", "decoder", "cross"):
        looks = [getattr(each, which) for each in found]
        marked = []
        for each, weights in zip(found, looks, strict=True):
            ends = [] if which == "decoder" else [len(each.source_tokens) - 1]
            marked.append(heads.places(*weights.shape[2:], separators=ends))
        flat = [heads.even(*w.shape[2:], causal=which == "decoder")[None, None] for w in looks]
        for into, weights in ((measured, looks), (alike, flat)):
            into[which] = {
                name: {
                    key: np.round(part, 3).tolist()
                    for key, part in zip(
                        ("value", "low", "high"), (found.value, *found.interval), strict=True
                    )
                }
                for name, found in heads.measure(weights, marked, resamples=RESAMPLES).items()
                if not np.isnan(found.value).all()
            }
    return measured, {
        which: {name: found["value"][0][0] for name, found in row.items()}
        for which, row in alike.items()
    }


def links(weights, source_tokens, target_tokens) -> set[tuple[int, int]]:
    """Each target word with the source word it attends to most."""
    sides = metrics.word_indices(source_tokens), metrics.word_indices(target_tokens)
    return metrics.alignment_from_weights(weights, *sides)


def error(predicted, sure_possible, resamples=RESAMPLES) -> dict:
    """Alignment error rate with its interval."""
    return _rounded(metrics.alignment_error_rate(predicted, *sure_possible, resamples=resamples))


def alignment(val, val_links, test, test_links) -> dict:
    """The error of every head and of the mean of each layer's heads, on val and on test."""
    L, H = test[0].cross.shape[:2]
    where = {f"{layer} {head}": (layer, head) for layer in range(L) for head in range(H)}
    where |= {f"{layer} mean": (layer, slice(None)) for layer in range(L)}
    rows = []
    for name, (layer, which) in where.items():
        row = {"layer": layer, "head": name.split()[1]}
        for into, found, gold in (("val", val, val_links), ("test", test, test_links)):
            picked = [each.cross[layer, which] for each in found]
            if row["head"] == "mean":
                picked = [weights.mean(axis=0) for weights in picked]
            drawn = [
                links(w, x.source_tokens, x.target_tokens)
                for w, x in zip(picked, found, strict=True)
            ]
            row[into] = error(drawn, gold)
            if into == "test" and row["head"] == "mean":
                late = [
                    links(w[1:], x.source_tokens, x.target_tokens[:-1]) if len(w) > 1 else set()
                    for w, x in zip(picked, found, strict=True)
                ]
                row["late"] = error(late, gold)
        rows.append(row)
        print(row, flush=True)
    of_heads = [row for row in rows if row["head"] != "mean"]
    of_layers = [row for row in rows if row["head"] == "mean"]
    best = {
        what: min(some, key=lambda row: row["val"]["value"])
        for what, some in (("head", of_heads), ("layer", of_layers))
    }
    return {"heads": of_heads, "layers": of_layers, "best": best}


def beside(gold, pairs) -> tuple[list[dict], dict[str, list]]:
    """The error of the other shipped models, and of knowing nothing; and the models' links."""
    rows, drawn = [], {}
    for name in OTHERS:
        found = pretrained.load(name).align(*pairs)
        drawn[name] = [links(x.weights, x.source_tokens, x.target_tokens) for x in found]
        rows.append({"what": name} | error(drawn[name], gold))
    sizes = [(len(y.split()), len(x.split())) for x, y in zip(*pairs, strict=True)]
    rows.append(
        {"what": "diagonal"} | error([metrics.diagonal_alignment(*size) for size in sizes], gold)
    )
    return rows, drawn


def differences(best: dict, test, others: dict[str, list], gold) -> dict:
    """The error of the best head and of the best layer, less that of the other models."""
    found: dict[str, dict] = {}
    for what, row in best.items():
        which = (
            slice(None) if row["head"] == "mean" else slice(int(row["head"]), int(row["head"]) + 1)
        )
        drawn = [
            links(
                each.cross[row["layer"], which].mean(axis=0), each.source_tokens, each.target_tokens
            )
            for each in test
        ]
        found[what] = {}
        for name, other in others.items():
            score = metrics.alignment_error_difference(drawn, other, *gold, resamples=RESAMPLES)
            found[what][name] = _rounded(score)
    return found


def losses(model, batch, hidden: int, blocks: slice) -> np.ndarray:
    """Loss of each target token, one source token hidden from some blocks of the decoder."""

    def hide(_, args, named):
        mask = named["source_mask"].clone()
        mask[..., hidden] = False
        return args, named | {"source_mask": mask}

    chosen = model.decoder.stack.blocks[blocks]
    hooks = [block.register_forward_pre_hook(hide, with_kwargs=True) for block in chosen]
    with torch.no_grad():
        memory = model.encode(batch.source, batch.source_lengths)
        vectors, _ = model.decode(memory, batch.target_in, need_weights=False)
        logits = model.output(vectors)[0]
    for hook in hooks:
        hook.remove()
    return cross_entropy(logits, batch.target_out[0], reduction="none").numpy()


def silent(model: pretrained.Pretrained, pairs, found) -> list[dict]:
    """By kind of token: the share of the attention on </s>, and the loss without it."""
    rng = np.random.default_rng(0)
    of_kind: dict[str, list] = {name: [] for name in KINDS}
    for x, y, each in zip(*pairs, found, strict=True):
        batch = collate([(model.tokenizer.encode(x), model.tokenizer.encode(y))])
        end = batch.source.shape[1] - 1
        assert batch.source[0, end] == EOS and each.source_tokens[end] == SPECIALS[EOS]
        tokens = {"no token": end, "end": end, "other": int(rng.integers(end))}
        by_hiding = [
            losses(model.model, batch, tokens[token], blocks) for token, blocks in HIDDEN.values()
        ]
        on_end = each.cross[:, :, :, end].mean(axis=1)  # (L, T), the mean of the heads
        for name, rows in of_kind.items():
            chosen = [t for t, token in enumerate(each.target_tokens) if kind(token) == name]
            sums = [on_end[:, chosen].sum(axis=1), [part[chosen].sum() for part in by_hiding]]
            rows.append(np.concatenate([[len(chosen)], *sums]))
    table = []
    for name, rows in of_kind.items():
        number, *sums = np.array(rows).T  # of a sentence each: tokens, the layers, the losses
        on_end = sums[: -len(HIDDEN)]
        hiding = dict(zip(HIDDEN, sums[-len(HIDDEN) :], strict=True))

        def mean(totals, number=number):
            return metrics.bootstrap_interval(totals, number, resamples=RESAMPLES)

        table.append(
            {
                "what": name,
                "tokens": int(number.sum()),
                "on_end": [_rounded(mean(each)) for each in on_end],
                "loss": {what: _rounded(mean(each))["value"] for what, each in hiding.items()},
                "more": {
                    what: _rounded(mean(each - hiding["nothing"]))
                    for what, each in hiding.items()
                    if what != "nothing"
                },
            }
        )
        print(table[-1], flush=True)
    return table


def reads(model: torch.nn.Module, pairs, tokenizer) -> list[list[float]]:
    """The length of what a head reads from </s>, over the mean of what it reads from the others."""
    ratios = []
    for x, _ in zip(*pairs, strict=True):
        source = torch.tensor([[*tokenizer.encode(x), EOS]])
        with torch.no_grad():
            memory = model.encode(source, torch.tensor([source.shape[1]]))
            layers = []
            for block, prepared in zip(model.decoder.stack.blocks, memory.prepared, strict=True):
                W_O = block.cross_attention.W_O.weight
                by_head = W_O.unflatten(1, (prepared.values.shape[1], -1))  # (D, H, D / H)
                read = torch.einsum("dhk,hsk->hsd", by_head, prepared.values[0]).norm(dim=-1)
                layers.append((read[:, -1] / read[:, :-1].mean(1)).tolist())
        ratios.append(layers)
    return np.mean(ratios, axis=0).round(4).tolist()


def pruned(model: pretrained.Pretrained, number: int = 200) -> dict:
    """The loss on captions of val, as it is and without each head that looks at the source."""
    encode = model.tokenizer.encode
    pairs = [(encode(x), encode(y)) for x, y in list(multi30k("val"))[:number]]
    whole, without = round(validation_loss(model.model, pairs), 4), []
    for block in model.model.decoder.stack.blocks:
        W_O, heads_ = block.cross_attention.W_O.weight, block.cross_attention.heads
        width, losses = W_O.shape[1] // heads_, []
        for head in range(heads_):
            columns = slice(head * width, (head + 1) * width)
            kept = W_O[:, columns].clone()
            with torch.no_grad():
                W_O[:, columns] = 0
                losses.append(round(validation_loss(model.model, pairs), 4))
                W_O[:, columns] = kept
        without.append(losses)
    return {"captions": number, "all": whole, "without": without}


def _rounded(score: metrics.Estimate) -> dict:
    """Its value and the ends of its interval."""
    parts = dict(zip(("value", "low", "high"), (score.value, *score.interval), strict=True))
    return {name: round(float(part), 4) for name, part in parts.items()}


def main() -> None:
    """Measure, and write the file."""
    torch.set_num_threads(1)
    model = pretrained.load(MODEL)
    test, val = multi30k(TEST), multi30k("val")
    both = list(test) + list(val)
    sure, possible = silver(multi30k("train"), both)
    n = len(test)
    gold = {"test": (sure[:n], possible[:n]), "val": (sure[n:], possible[n:])}
    pairs = list(test.source), list(test.target)
    found = model.attention_maps(*pairs)
    on_val = model.attention_maps(list(val.source), list(val.target))
    measured, alike = shares(found)
    aligned = alignment(on_val, gold["val"], found, gold["test"])
    rows, drawn = beside(gold["test"], pairs)
    content = {
        "model": MODEL,
        "sha256": model.card["sha256"][storage.MODEL],
        "sentences": n,
        "shares": measured,
        "alike": alike,
        "alignment": aligned,
        "beside": rows,
        "differences": differences(aligned["best"], found, drawn, gold["test"]),
        "silent": silent(model, pairs, found),
        "reads_from_end": reads(model.model, pairs, model.tokenizer),
        "pruned": pruned(model),
    }
    record(RESULTS, COMMAND, content)
    for which, row in measured.items():
        for name, each in row.items():
            print(which, name, each["value"], "alike", alike[which][name])
    print(
        content["alignment"]["best"],
        content["beside"],
        content["differences"],
        content["reads_from_end"],
        sep="\n",
    )


if __name__ == "__main__":
    main()
