"""What a run leaves in its folder as it goes: a checkpoint, always whole, and a log."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from attnlib.data import toy
from attnlib.data.tokenizer import Tokenizer
from attnlib.training.config import RunConfig

CHECKPOINT, LOG = "checkpoint.pt", "log.csv"
LOG_FIELDS = ("update", "epoch", "train_loss", "val_loss", "lr", "tokens_per_s", "seconds")


@dataclass
class Progress:
    """Where a run stands; with weights, optimizer and random numbers, what a checkpoint holds."""

    update: int = 0
    epoch: int = 0
    index: int = 0  # batches done in this epoch
    averaged: int = 0  # snapshots in the average
    seconds: float = 0.0
    tokens: int = 0
    device: str = ""  # what it was trained on, whoever reads the checkpoint
    hardware: str = ""
    loss_sum: float = 0.0  # of the updates since the last row of the log, in nats
    loss_tokens: int = 0
    logged_seconds: float = 0.0  # `seconds` at that row
    planned_minutes: float = 0.0  # what the updates were planned for; 0: given as a number


def write(path: Path, content: dict) -> None:
    """Write a checkpoint beside the old one, then put it in its place: there is never half a file.

    Its bytes are on the disk before it gets its name, should the power fail.
    """
    part = path.with_name(path.name + ".part")
    torch.save(content, part)
    with part.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(part, path)


def read(path: Path, device: torch.device | str = "cpu") -> dict:
    """What `write` wrote, its tensors on a device; ValueError if the file is damaged."""
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except Exception as error:
        raise ValueError(f"{path} is damaged: delete it to start again ({error})") from error


def check(path: Path, content: dict, config: RunConfig, tokenizer) -> None:
    """Refuse a checkpoint of another run, or of one whose ids meant other words.

    Raises
    ------
    ValueError
        If a setting differs, or the vocabulary does.
    """
    differences = config.differences(content["config"])
    if differences:
        raise ValueError(
            f"{path} belongs to another run ({'; '.join(differences)}): choose another folder, or "
            "delete it"
        )
    known = vocabulary(tokenizer)
    if content.get("vocabulary", known) != known:
        raise ValueError(
            f"{path} was trained with another vocabulary, its data has changed since: delete it to "
            "start again"
        )


def progress(content: dict) -> Progress:
    """Where the run stood that wrote a checkpoint; the first version had no sums of the loss."""
    return Progress(**{"logged_seconds": content["progress"]["seconds"], **content["progress"]})


def generators(content: dict) -> list[dict[str, Tensor]]:
    """Where the random numbers of each process stood; the first version kept those of one."""
    if "random" in content:
        return content["random"]
    state = {"cpu": content["rng"]}
    if content["cuda_rng"]:
        state["cuda"] = content["cuda_rng"][0]
    return [state]


def vocabulary(tokenizer: Tokenizer | toy.Vocabulary) -> str:
    """A checksum of the subwords in their order."""
    if isinstance(tokenizer, Tokenizer):
        words = tuple(tokenizer.tokens(range(len(tokenizer))))
    else:
        words = tokenizer.words
    return hashlib.sha256("\n".join(words).encode("utf-8")).hexdigest()


class Log:
    """The table of a run's losses, a row each time that it is validated.

    Columns are `LOG_FIELDS`: losses in nats a token, that of training the mean since the row
    before, and tokens a second since then; ``val_bleu`` comes last where it is measured.
    """

    def __init__(self, path: Path):
        self.path = path

    def add(
        self,
        state: Progress,
        train_loss: float,
        val_loss: float,
        lr: float,
        bleu: float | None = None,
    ) -> None:
        """Write the row of an update."""
        rate = state.loss_tokens / (state.seconds - state.logged_seconds)
        losses = f"{train_loss:.4f}", f"{val_loss:.4f}"
        row = state.update, state.epoch, *losses, f"{lr:.6f}", f"{rate:.0f}", f"{state.seconds:.0f}"
        fields, values = list(LOG_FIELDS), list(map(str, row))
        if bleu is not None:
            fields.append("val_bleu")
            values.append(f"{bleu:.2f}")
        text = "" if self.path.exists() else ",".join(fields) + "\n"
        with self.path.open("a") as file:
            file.write(text + ",".join(values) + "\n")

    def forget_after(self, update: int) -> None:
        """Drop the rows after an update: those updates will be done, and logged, again.

        A row is written before its checkpoint, so one that a kill left unfinished is among them.
        """
        if not self.path.exists():
            return
        header, *rows = self.path.read_text().splitlines(keepends=True)
        numbers = [row.partition(",")[0] for row in rows]
        kept = [
            row
            for row, number in zip(rows, numbers, strict=True)
            if number.isdecimal() and int(number) <= update
        ]
        if not kept:
            self.path.unlink()
        elif len(kept) < len(rows):
            part = self.path.with_name(self.path.name + ".part")
            part.write_text(header + "".join(kept))
            os.replace(part, self.path)
