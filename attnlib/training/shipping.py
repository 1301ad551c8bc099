"""A finished run as a model folder: weights without what training never saw, and their card."""

import dataclasses
import datetime
import hashlib
import json
import warnings
from pathlib import Path
from typing import Any

import torch

from attnlib import __version__, evaluation, metrics, pretrained, storage
from attnlib.autoregressive import AutoregressiveModel
from attnlib.data import cleaning, files, images
from attnlib.data.tokenizer import Tokenizer
from attnlib.training import own
from attnlib.training.config import OWN, RunConfig
from attnlib.training.environment import commit, hardware
from attnlib.training.inputs import (
    DISTILLED,
    ImageData,
    TextData,
    load_corpus,
    prepare,
    short_enough,
)
from attnlib.training.loop import Run, mean_loss

MANY = 20  # files that a card lists one by one

# shipped with 8 bits a number: all have to fit 40 MB
EIGHT_BITS = {"en-fr-luong", "en-fr-transformer", "hansards-bahdanau"}
EIGHT_BITS |= {"mosaics-soft", "photographs-soft", "photographs-hard"}
OWN_SCORED = 1000  # validation sentences or photographs of one's own, which have no test set
FIRST = 200  # test sentences or images: few enough to try again, for a test of the card
LICENCES = {
    "multi30k": "weights for research and teaching only, as Multi30k is",
    "tatoeba": "CC BY 2.0 (France), sentences by the contributors of tatoeba.org",
    "hansards": "the debates are free for research without restrictions (ISI Hansards)",
    "scenes": "MIT, as attnlib, which draws the scenes",
    "digits": "MIT, as attnlib; the digits, in scikit-learn, are CC BY 4.0 (Alpaydin, Kaynak 1998)",
    "mosaics": "MIT, as the photographs are (Klasson et al. 2019)",
    "photographs": "MIT, as the photographs are (Klasson et al. 2019); image encoder: Apache-2.0",
    "flickr8k": "for research and teaching only, as Flickr8k is",
    "coco": "captions CC BY 4.0; the photographs under the terms of Flickr (COCO)",
    "own": "as its training text allows",
    images.OWN: "as its photographs, its captions and its image encoder allow",
}
# where files are not under the name of the data
FOLDERS = {"mosaics": "grocery-store", "photographs": "grocery-store"}
LIMITS = {
    "multi30k": "Trained on 29,000 captions of photographs: short descriptive sentences in the "
    "present tense. Anything else comes out as a caption.",
    "tatoeba": "Trained on 32,000 short everyday sentences; long ones come out broken.",
    "hansards": "Trained on 69,000 pairs of at most 20 words of parliamentary debates, lower-cased "
    "and split into words: give it text in that form. Anything else comes out as a debate.",
    "scenes": "Trained on drawn scenes of one to four things, 64 x 64 pixels: it has 31 words. "
    "Anything else comes out as coloured shapes.",
    "digits": "Trained on scenes of one to four coloured handwritten digits, 64 x 64 pixels. "
    "Anything else comes out as digits.",
    "mosaics": "Trained on mosaics of two to four photographs of fruit and vegetables. Anything "
    "else comes out as groceries.",
    "photographs": "Trained on mosaics of two to four photographs of 16 kinds of fruit and "
    "vegetables, a tile each. Anything else comes out as groceries.",
    "flickr8k": "Trained on 6,000 photographs of people and dogs. Anything else comes out as such.",
    "coco": "Trained on photographs of 80 kinds of everyday things. Anything else comes out as "
    "such.",
    "own": "Trained on the text whose files are named under data. Anything else comes out like it.",
    images.OWN: "Trained on the photographs whose folder and captions are named under data. "
    "Anything else comes out like them.",
}


def check_shippable(config: RunConfig) -> None:
    """Refuse a run whose model would be of no use once loaded, where it is fed plain sentences.

    Raises
    ------
    ValueError
        If the run's data is a toy task (which has neither subwords nor a licence), or its source is
        rearranged before the model sees it.

    Examples
    --------
    >>> check_shippable(RunConfig.of("letters", corpus="copy"))
    Traceback (most recent call last):
    ValueError: letters cannot be shipped: its data, 'copy', is not one of multi30k, ...
    """
    if config.data.corpus not in LICENCES:
        raise ValueError(
            f"{config.name} cannot be shipped: its data, {config.data.corpus!r}, is not one of "
            f"{', '.join(LICENCES)}"
        )
    for trick in ("reverse_source", "double_source"):
        if getattr(config.data, trick):
            raise ValueError(
                f"{config.name} cannot be shipped: it was trained with {trick}, and a model that "
                "is loaded gets its source as it was written"
            )


def ship(run: Run, folder: Path | str) -> dict:
    """Write a finished run as a model folder, measured after the rounding of its weights; its card.

    Raises
    ------
    ValueError
        As `check_shippable`, before anything is written.
    """
    check_shippable(run.config)
    config, state = run.config, run.progress
    model, tokenizer = trimmed(run)
    pictures = config.data.corpus in images.COLLECTIONS
    card = {
        "name": config.name,
        "architecture": config.architecture,
        "languages": _languages(config),
        **({"pictures": config.data.corpus} if pictures else {"signs": signs(config)}),
        "model": config.arguments(len(tokenizer)),
        **({"bits": 8} if config.name in EIGHT_BITS else {}),
        **({"subwords": _subwords(run, tokenizer)} if config.data.corpus in OWN else {}),
        "parameters": sum(p.numel() for p in model.parameters()),
        "config": config.as_dict(),
        "command": own.command(config)
        if config.data.corpus in OWN
        else " && ".join(
            f"python -m attnlib.training --run {name}"
            for name in (config.start_from, config.name)
            if name
        ),
        "data": provenance(config),
        **({"generated": generated(config)} if config.data.corpus in images.GENERATED else {}),
        "licence": LICENCES[config.data.corpus],
        "limits": LIMITS[config.data.corpus],
        "seed": config.seed,
        "device": state.device or run.device.type,
        "hardware": state.hardware or hardware(run.device),
        "seconds": round(state.seconds),
        **({"planned_minutes": state.planned_minutes} if state.planned_minutes else {}),
        "tokens_per_s": round(state.tokens / max(state.seconds, 1e-9)),
        "commit": commit(),
        "attnlib": __version__,
        "date": datetime.date.today().isoformat(),
    }
    storage.save(folder, model, tokenizer, card)
    return measure(folder, run.data if isinstance(run.data, ImageData) else None)


def measure(folder: Path | str, data: ImageData | None = None) -> dict:
    """Measure a model that was shipped, and write that into its card; the card.

    What cannot be measured here, for want of a package or of the test set's files, is listed in the
    card as ``unmeasured``: measure it again where they are.

    Parameters
    ----------
    folder : path
    data : ImageData, optional
        Of the run of a captioner; made from the card unless given.
    """
    shipped = pretrained.read(folder)
    config = RunConfig.from_dict(shipped.card["config"])
    if data is None and config.data.corpus in images.COLLECTIONS:
        prepared = prepare(config)
        assert isinstance(prepared, ImageData)
        data = prepared
    values, signatures, unmeasured = measured(shipped, data)
    card = {**shipped.card, "metrics": values, "signatures": signatures, "unmeasured": unmeasured}
    storage.save(folder, shipped.model, shipped.tokenizer, card)
    return card


def _subwords(run: Run, kept: Tokenizer) -> str:
    """How many subwords training had, and how many of them are in the model's folder."""
    assert isinstance(run.data.tokenizer, Tokenizer)
    said = f"{len(run.data.tokenizer):,} in training"
    left_out = len(run.data.tokenizer) - len(kept)
    if left_out:
        said += f", {len(kept):,} kept: the training text has the others only inside longer ones"
    return said


def _languages(config: RunConfig) -> list[str]:
    """What a card says of the languages: of pictures that of the captions alone."""
    if config.data.corpus == images.OWN:
        return [config.data.target]
    if config.data.corpus in images.COLLECTIONS:
        return ["en"]
    return [config.data.source, config.data.target]


def signs(config: RunConfig) -> dict[str, str]:
    """What each side of a translator's training text is punctuated with, by language."""
    corpus = load_corpus(config.data, "train")
    sides = {config.data.source: corpus.source}
    sides[config.data.target] = [*sides.get(config.data.target, ()), *corpus.target]
    return {language: cleaning.signs_of(side) for language, side in sides.items()}


def measured(
    shipped: pretrained.Pretrained, data: ImageData | None = None
) -> tuple[dict, dict, list[str]]:
    """The metrics of a model's card, how each was measured, and which are not measured yet.

    A captioner needs its run's data.

    In full float32, whatever the training allowed itself: beam search turns a rounding of bf16 into
    another word, and the card would hold on one kind of processor only.
    """
    config, tokenizer = RunConfig.from_dict(shipped.card["config"]), shipped.tokenizer
    test: dict[str, Any] = {}  # that of the model's languages
    if data is None:
        corpus = load_corpus(config.data, "val")
        if config.data.corpus == "own":
            corpus, _ = short_enough(corpus, tokenizer, config.data.max_length)
            test = {"test": corpus[:OWN_SCORED], "name": "val"}
        pairs = [(tokenizer.encode(x), tokenizer.encode(y)) for x, y in corpus]
        val = TextData(tokenizer, [], pairs).validation()
    else:
        val = dataclasses.replace(data, tokenizer=tokenizer).validation()
        if config.data.corpus == images.OWN:
            pictures = data.val.photographs if hasattr(data.val, "photographs") else data.val
            test = {"test": pictures[:OWN_SCORED], "name": "val"}
    assert isinstance(shipped.model, AutoregressiveModel)  # and not one that samples
    allowed = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    found, unmeasured = None, []
    try:
        loss = mean_loss(shipped.model, val)
        with warnings.catch_warnings(record=True) as left_out:
            warnings.simplefilter("always")
            found = evaluation.evaluate(shipped, **test)
        unmeasured = [str(x.message) for x in left_out if "left out" in str(x.message)]
    except (ImportError, files.DataError) as error:
        unmeasured = [f"all but val.loss is left out: {error}"]
    finally:
        torch.set_float32_matmul_precision(allowed)
    unit = "word" if config.data.corpus in images.GENERATED else "subword"
    values = {"val.loss": round(loss, 4)}
    signatures = {"val.loss": f"cross-entropy on gold prefixes, nats a {unit}"}
    scores = found.scores if found else {}
    if found and data is None and not test:
        first = metrics.bleu(found.hypotheses[:FIRST], found.references[:FIRST])
        scores = scores | {f"{found.test_set}.bleu_first_{FIRST}": first}
    for name, score in scores.items():
        percent = "bleu" in name or name.endswith(".chrf")  # out of 100; the others out of 1
        values[name] = round(float(score), 2 if percent else 4)
        how = "forced decoding" if name.endswith(".aer") else "beam 5"
        tests = "pairs" if data is None else "photographs"
        how += f", the first {len(found.hypotheses)} {tests}" if found and test else ""
        signatures[name] = f"{how}, {score.signature}"
    return values, signatures, unmeasured


def provenance(config: RunConfig) -> dict[str, str]:
    """The checksums of the files that a run read; of many, that of their list."""
    sides = {config.data.source, config.data.target}
    if config.data.corpus in OWN:
        return own.checksums(config.data)
    read = {
        name: files.REGISTRY[name].sha256
        for name in files.names(f"{FOLDERS.get(config.data.corpus, config.data.corpus)}/")
        if config.data.corpus != "multi30k" or Path(name).stem.rpartition(".")[2] in sides
    }
    if config.data.distilled:
        made = json.loads((Path(config.data.distilled) / DISTILLED[1]).read_text(encoding="utf-8"))
        read[f"targets of {', '.join(made['teachers'])}"] = made["sha256"]
    if len(read) > MANY:
        lines = "".join(f"{checksum}  {name}\n" for name, checksum in sorted(read.items()))
        whole = hashlib.sha256(lines.encode("utf-8")).hexdigest()
        read = {f"{len(read)} files, their list as sha256sum writes it": whole}
    return read


def generated(config: RunConfig) -> dict[str, str]:
    """How to make a run's images again, and the checksum by which to see that one has."""
    test = images.load(config.data.corpus, "test")
    captions = "".join(test.sample(i).captions[0].text + "\n" for i in range(FIRST))
    return {
        "by": f"attnlib.data.images.load({config.data.corpus!r}), attnlib {__version__}",
        "seeds": f"train {config.seed}, val, test and held_out 0",
        f"captions of test 0 to {FIRST - 1}": hashlib.sha256(captions.encode("utf-8")).hexdigest(),
    }


def trimmed(run: Run) -> tuple[AutoregressiveModel, Tokenizer]:
    """A run's averaged model and its tokenizer, without the subwords that training never saw."""
    model, tokenizer = run.averaged_model(), run.data.tokenizer
    assert isinstance(tokenizer, Tokenizer)  # see `check_shippable`
    if run.config.data.corpus in images.GENERATED or run.config.data.bpe_dropout:
        return model, tokenizer  # it has no others
    if run.config.data.corpus in (*images.PHOTOGRAPHS, images.OWN):
        pictures: Any = run.data.train
        samples = pictures[: run.config.data.sentences]
        texts = [text for _, captions in samples for text in captions]
    else:
        train = load_corpus(run.config.data, "train")
        texts = [*train.source, *train.target]
    tokenizer, kept = tokenizer.trimmed(texts)
    small = run.config.build(len(tokenizer))
    state = model.state_dict()
    for name in ("embedding.weight", "bias", "detector.weight", "detector.bias"):
        if name in state:
            state[name] = state[name][kept]
    small.load_state_dict(state)
    return small.eval(), tokenizer
