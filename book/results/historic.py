"""A thousand real captions: what a captioner learns from them, and what it does not.

Run from the root of the repository::

    OMP_NUM_THREADS=1 python book/results/historic.py

Historic photographs with their photographers' captions (`attnlib.data.historic`), split so that
captions and pictures that are alike stay together. Each photograph is seen by EfficientNet-Lite0,
frozen: 7 x 7 annotations. The captioner of chapter 7 is trained on the annotations of train, three
seeds, with attention; with the mean annotation alone; and with the photographs given out anew among
the captions, so that nothing in a picture can tell what is said of it. When to stop is read off the
loss on val; test is measured once. Beside them: the commonest caption, the caption of the most
similar photograph of train, and a linear layer from the mean annotation to the words of a caption.
Retrieval: of a test photograph's caption and 99 other test captions, how far up is its own, by what
the image adds to its log-probability (that of the model of shuffled photographs taken away).
"""

import argparse
import copy
import hashlib
import json
import random
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from _record import record
from PIL import Image, ImageOps
from torch import Tensor

from attnlib import decoding, efficientnet, metrics
from attnlib.attention import Attention
from attnlib.captioning import Captioner
from attnlib.data import files, historic
from attnlib.data.batches import collate
from attnlib.data.tokenizer import SPECIALS, UNK
from attnlib.scores import AdditiveScore
from attnlib.vision import Tiled

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/historic.py"
SIZE, VIEWS = 224, 4  # pixels a side; of a training photograph, the first all of its middle square
KNOWN = 4  # captions of train, all different, that must have a word for it to be learned
WIDTH, HIDDEN, ASKED = 96, 160, 96
DROPOUT, WORD_DROPOUT, DECAY = 0.5, 0.1, 0.05
BATCH, EPOCHS, LR = 32, 24, 1e-3
AMONG = 100  # captions
KINDS = ("attention", "mean", "shuffled")
RIDGES = (0.1, 1.0, 10.0)  # of the linear layer, as a share of the mean variance; by val
SHOWN = ("2017877743", "2017877532")  # of test, in chapter 7


class Words:
    """The vocabulary of the captions of train: ids of what is known, and back."""

    def __init__(self, train):
        texts = {x.words for x in train}
        often = Counter(word for words in texts for word in set(words))
        kept = sorted(w for w, n in often.items() if n >= KNOWN and w not in historic.LEFT_OUT)
        self.words = [*SPECIALS, *kept]
        self.id = {word: i for i, word in enumerate(self.words)}

    def ids(self, photograph) -> list[int]:
        return [self.id.get(word, UNK) for word in photograph.words]

    def text(self, ids) -> str:
        return " ".join(self.words[i] for i in ids)


def views(photograph, number: int) -> np.ndarray:
    """Pictures (number, SIZE, SIZE, 3) of a photograph: its middle square, then random crops."""
    image = photograph.image()
    shown = [ImageOps.fit(image, (SIZE, SIZE), Image.Resampling.BICUBIC)]
    for view in range(1, number):
        rng = random.Random(f"{photograph.number} {view}")
        side = rng.uniform(0.8, 1.0) * min(image.size)
        left, top = (rng.uniform(0, length - side) for length in image.size)
        cut = image.crop(tuple(map(round, (left, top, left + side, top + side))))
        cut = cut.resize((SIZE, SIZE), Image.Resampling.BICUBIC)
        shown.append(ImageOps.mirror(cut) if rng.random() < 0.5 else cut)
    return np.stack([np.asarray(x) for x in shown])


@torch.no_grad()
def seen(name: str, encoder: Tiled) -> np.ndarray:
    """Annotations (n, views, S, D) of a split, kept in the cache."""
    number = VIEWS if name == "train" else 1
    of = historic.split(name)
    shape = (len(of), number, 49, encoder.annotation_dim)

    def see() -> np.ndarray:
        found = []
        for x in of:
            pixels = torch.from_numpy(views(x, number)).permute(0, 3, 1, 2).float() / 255
            found.append(encoder.features(pixels).half().numpy())
        return np.stack(found)

    listed = "".join(files.REGISTRY[files.historic(x.number)].sha256 for x in of)
    key = hashlib.sha256(f"{efficientnet.checksum()} {shape} {listed}".encode()).hexdigest()[:16]
    path = files.cache() / "fsa-color" / f"{name}-seen-{key}.npz"
    return files.kept(path, shape, np.float16, see)


def captioner(words: Words, kind: str, encoder: Tiled) -> Captioner:
    """An untrained captioner on features, with attention or with the mean annotation."""
    attention = Attention(AdditiveScore(HIDDEN, encoder.annotation_dim, ASKED))
    return Captioner(
        len(words.words),
        WIDTH,
        encoder=Tiled(encoder.network, tiles=1),  # with positions of its own
        attention=None if kind == "mean" else attention,
        hidden=HIDDEN,
        timing="after",
        dropout=DROPOUT,
        output_dropout=DROPOUT,
        word_dropout=WORD_DROPOUT,
    )


def spoken(model: Captioner, features: Tensor, ids: list[list[int]]) -> Tensor:
    """The log-probability (B, T) of each known word and of </s>, given the words before it."""
    batch = collate([([], x) for x in ids])
    lengths = torch.full((len(ids),), features.shape[1])
    vectors, _ = model.hidden_forward(features, lengths, batch.target_in)
    found = model.output(vectors).log_softmax(-1).gather(-1, batch.target_out[..., None])[..., 0]
    steps = torch.arange(found.shape[1]) < batch.target_lengths[:, None]
    return found * (steps & (batch.target_out != UNK))


def tokens(ids: list[list[int]]) -> int:
    return sum(1 + sum(i != UNK for i in x) for x in ids)


def train(kind: str, seed: int, data: dict, words: Words, encoder: Tiled) -> tuple[Captioner, dict]:
    """Train one captioner; its weights are those of the epoch whose loss on val was the least."""
    torch.manual_seed(seed)
    rng = random.Random(seed)
    features, ids = data["train"]
    order = list(range(len(ids)))
    if kind == "shuffled":
        rng.shuffle(order)
    model = captioner(words, kind, encoder)
    learner = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=DECAY)
    best, curve = copy.deepcopy(model.state_dict()), []
    for _ in range(EPOCHS):
        model.train()
        rows = list(range(len(ids)))
        rng.shuffle(rows)
        for start in range(0, len(rows), BATCH):
            some = rows[start : start + BATCH]
            shown = [features[order[i], rng.randrange(VIEWS)] for i in some]
            told = [ids[i] for i in some]
            loss = -spoken(model, torch.from_numpy(np.stack(shown)).float(), told).sum()
            learner.zero_grad()
            (loss / tokens(told)).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            learner.step()
        model.eval()
        curve.append(loss_on(model, data["val"]))
        if curve[-1] == min(curve):
            best = copy.deepcopy(model.state_dict())
    model.load_state_dict(best)
    return model, {"epochs": curve.index(min(curve)) + 1, "val": round(min(curve), 4)}


@torch.no_grad()
def loss_on(model: Captioner, split) -> float:
    """Nats a known word."""
    features, ids = split
    lost = 0.0
    for start in range(0, len(ids), BATCH):
        some = torch.from_numpy(features[start : start + BATCH, 0]).float()
        lost -= float(spoken(model, some, ids[start : start + BATCH]).sum())
    return lost / tokens(ids)


@torch.no_grad()
def written(model: Captioner, features: np.ndarray, words: Words) -> list[str]:
    """Its own captions, by beam search, without the word for what is not known."""
    with torch.no_grad():
        model.bias[UNK] = -1e4
    found = []
    for start in range(0, len(features), BATCH):
        some = torch.from_numpy(features[start : start + BATCH, 0]).float()
        lengths = torch.full((len(some),), some.shape[1])
        out = decoding.beam_search(model, some, lengths, beam=3, max_length=historic.LONGEST)
        found += [words.text(x[0].ids) for x in out]
    return found


def choices(texts: list[tuple[str, ...]]) -> np.ndarray:
    """For each photograph of test its own caption, then the others to choose from: (n, AMONG)."""
    rng = random.Random(0)
    found = []
    for i, own in enumerate(texts):
        others = [j for j, text in enumerate(texts) if text != own]
        found.append([i, *rng.sample(others, AMONG - 1)])
    return np.array(found)


@torch.no_grad()
def said_of(
    model: Captioner, features: np.ndarray, ids: list[list[int]], chosen: np.ndarray
) -> np.ndarray:
    """The log-probability of each of the `chosen` captions of each photograph: (n, AMONG)."""
    found = np.empty(chosen.shape, np.float32)
    for i, row in enumerate(features[:, 0]):
        shown = torch.from_numpy(row[None]).float().expand(chosen.shape[1], -1, -1)
        found[i] = spoken(model, shown, [ids[j] for j in chosen[i]]).sum(1)
    return found


def ranks(scores: np.ndarray) -> list[float]:
    """The rank of the first column in each row, 1 the best; ties count half."""
    own, others = scores[:, :1], scores[:, 1:]
    return (1 + (others > own).sum(1) + (others == own).sum(1) / 2).tolist()


def retrieval(found: list[float]) -> dict:
    """Median rank, and how often the caption is first or among ten, with intervals."""
    return {
        "median rank": float(np.median(found)),
        "first": share([float(x <= 1) for x in found]),
        "in ten": share([float(x <= 10) for x in found]),
    }


def share(values: list[float]) -> dict:
    mean = metrics.bootstrap_interval(values, [1] * len(values))
    return {"mean": round(mean.value, 4), "interval": [round(x, 4) for x in mean.interval]}


def quality(texts: list[str], references: list[str]) -> dict:
    """BLEU and chrF of captions in lower case without punctuation."""
    found = {}
    for name, metric in (("BLEU", metrics.bleu), ("chrF", metrics.chrf)):
        of = metric(texts, references, resamples=1000)
        found[name] = {
            "value": round(of.value, 2),
            "interval": [round(x, 2) for x in of.interval],
            "signature": of.signature,
        }
    return found


@torch.no_grad()
def looks(model: Captioner, data: dict, words: Words) -> list[dict]:
    """What it writes of the photographs that are shown, and the weights for their own captions."""
    found = []
    for i, photograph in enumerate(historic.split("test")):
        if photograph.number not in SHOWN:
            continue
        features, ids = data["test"][0][i : i + 1], data["test"][1][i]
        batch = collate([([], ids)])
        shown = torch.from_numpy(features[:, 0]).float()
        _, weights = model.hidden_forward(shown, torch.tensor([shown.shape[1]]), batch.target_in)
        found.append(
            {
                "number": photograph.number,
                "title": photograph.title,
                "written": written(model, features, words)[0],
                "words": list(photograph.words),
                "weights": [[round(x, 3) for x in row] for row in weights[0, :-1].tolist()],
            }
        )
    return found


def linear(data: dict, words: Words) -> tuple[np.ndarray, dict]:
    """Scores of every test caption for every test photograph by a linear layer to bags of words."""
    means = {k: features[:, 0].astype(float).mean(1) for k, (features, _) in data.items()}
    mean, spread = means["train"].mean(0), means["train"].std(0) + 1e-6
    X = {k: (x - mean) / spread for k, x in means.items()}
    bags = {k: np.zeros((len(ids), len(words.words))) for k, (_, ids) in data.items()}
    for k, (_, ids) in data.items():
        for row, each in zip(bags[k], ids, strict=True):
            row[[i for i in each if i != UNK]] = 1
    base = bags["train"].mean(0)
    gram = X["train"].T @ X["train"]
    fits = []
    for ridge in RIDGES:
        W = np.linalg.solve(
            gram + ridge * len(X["train"]) * np.eye(len(gram)),
            X["train"].T @ (bags["train"] - base),
        )
        off = float(((X["val"] @ W + base - bags["val"]) ** 2).mean())
        fits.append((off, ridge, W))
    off, ridge, W = min(fits, key=lambda x: x[0])
    rare = 1 / np.sqrt(base + 1 / len(bags["train"]))
    weighted = bags["test"] * rare
    weighted /= np.linalg.norm(weighted, axis=1, keepdims=True) + 1e-9
    return (X["test"] @ W * rare) @ weighted.T, {"ridge": ridge}


def nearest(data: dict) -> np.ndarray:
    """The photograph of train that looks most alike: cosine of mean annotations."""
    unit = {}
    for k in ("train", "test"):
        means = data[k][0][:, 0].astype(float).mean(1)
        means -= data["train"][0][:, 0].astype(float).mean((0, 1))
        unit[k] = means / np.linalg.norm(means, axis=1, keepdims=True)
    return (unit["test"] @ unit["train"].T).argmax(1)


def main() -> None:
    """Train, measure, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    encoder = Tiled(efficientnet.pretrained(SIZE), tiles=1)
    words = Words(historic.split("train"))
    data = {
        k: (seen(k, encoder), [words.ids(x) for x in historic.split(k)]) for k in historic.SPLITS
    }
    test = historic.split("test")
    texts, references = [x.words for x in test], [" ".join(x.words) for x in test]
    features, ids = data["test"]
    told = historic.split("train")
    common = Counter(x.words for x in told).most_common(1)[0][0]
    alike = nearest(data)
    scores, about_linear = linear(data, words)
    chosen = choices(texts)
    found: dict = {
        "photographs": {k: len(historic.split(k)) for k in historic.SPLITS},
        "captions": {k: len({x.words for x in historic.split(k)}) for k in historic.SPLITS},
        "words known": len(words.words) - len(SPECIALS),
        "words of test known": round(float(np.mean([i != UNK for x in ids for i in x])), 4),
        "baselines": {
            "commonest caption": quality([" ".join(common)] * len(test), references),
            "caption of the most similar photograph": quality(
                [" ".join(told[i].words) for i in alike], references
            ),
            "linear": about_linear | retrieval(ranks(np.take_along_axis(scores, chosen, 1))),
        },
        "models": [],
    }
    inside = {x.words for x in told}
    blind: dict[int, np.ndarray] = {}
    for seed in options.seeds:
        for kind in reversed(KINDS):
            model, about = train(kind, seed, data, words, encoder)
            logs = said_of(model, features, ids, chosen)
            if kind == "shuffled":
                blind[seed] = logs
            lost = [-float(own[0]) / tokens([x]) for own, x in zip(logs, ids, strict=True)]
            own = written(model, features, words)
            found["models"].append(
                {"kind": kind, "seed": seed, **about, "loss": share(lost)}
                | quality(own, references)
                | {
                    "different captions": len(set(own)),
                    "word for word in train": sum(tuple(x.split()) in inside for x in own),
                    "raw": retrieval(ranks(logs)),
                    "written": own[:5],
                }
            )
            if kind != "shuffled":
                found["models"][-1]["retrieval"] = retrieval(ranks(logs - blind[seed]))
            if kind == "attention" and seed == options.seeds[0]:
                found["shown"] = looks(model, data, words)
            print(json.dumps(found["models"][-1]), flush=True)
            record(options.out, COMMAND, found)


if __name__ == "__main__":
    main()
