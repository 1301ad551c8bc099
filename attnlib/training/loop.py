"""The training loop: updates, averages, validation, and a stop at any moment that loses nothing."""

import contextlib
import dataclasses
import math
import random
import signal
import time
import warnings
from collections.abc import Generator
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from attnlib.autoregressive import AutoregressiveModel
from attnlib.captioning import Captioner
from attnlib.data.batches import Batch
from attnlib.data.images import ImageBatch
from attnlib.selection import StraightThroughGumbel
from attnlib.training import checkpoint
from attnlib.training.checkpoint import CHECKPOINT, LOG, Log, Progress
from attnlib.training.config import RunConfig
from attnlib.training.environment import (
    Processes,
    Stopped,
    StopSignals,
    hardware,
    random_state,
    set_random_state,
)
from attnlib.training.inputs import ImageData, TextData, prepare
from attnlib.training.loss import Objective, mean_loss
from attnlib.training.schedule import learning_rate, snapshots


class Run:
    """A training run: make it, `run` it, read its averaged `model`.

    Parameters
    ----------
    config : RunConfig
    folder : path
        Where the checkpoint and ``log.csv`` go; an earlier checkpoint of this config is resumed.
    data : TextData or ImageData, optional
        Made from the config unless given.
    device : str, optional
        CUDA where there is one, unless given.
    quiet : bool
        Whether to draw no bar of progress.
    workers : int
        Processes that make images ahead of time; with 0 this one makes them. The weights are the
        same.

    Raises
    ------
    ValueError
        If the folder holds a checkpoint of another config, or of another vocabulary.

    Notes
    -----
    A checkpoint is written between two updates only, so it is always whole: an error, or a kill,
    costs what was done since the last one, and nothing else. It holds the random numbers' state of
    each process. With another number of processes a run goes on with the same batches and rates,
    but (after a warning) with random numbers drawn anew.
    """

    def __init__(
        self,
        config: RunConfig,
        folder: Path | str,
        data: TextData | ImageData | None = None,
        device: str | None = None,
        quiet: bool = False,
        workers: int = 0,
    ):
        self.config, self.folder, self.quiet = config, Path(folder), quiet
        self.workers, self.log = workers, Log(Path(folder) / LOG)
        self.processes = Processes.join()
        self.rank, self.world = self.processes.rank, self.processes.world
        self.device = self.processes.device(device)
        if self.world > 1 and self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        self.data = prepare(config) if data is None else data
        torch.manual_seed(config.seed)
        self.model = config.build(len(self.data.tokenizer)).to(self.device)
        if isinstance(self.model, Captioner):
            self.model.encoder_bf16 = config.optimisation.encoder_bf16
        self.mean = [torch.zeros_like(p) for p in self.model.parameters()]
        self.optimizer = torch.optim.AdamW(
            self._groups(),
            lr=config.optimisation.lr,
            betas=(0.9, config.optimisation.beta2),
            weight_decay=config.optimisation.weight_decay,
            fused=True,
        )
        self.objective: nn.Module = Objective(self.model, **dataclasses.asdict(config.loss))
        if self.world > 1:  # after `_groups`, which freezes what does not learn
            self.objective = DistributedDataParallel(self.objective)
        self.progress = Progress()
        self.folder.mkdir(parents=True, exist_ok=True)
        if (self.folder / CHECKPOINT).exists():
            self._resume()
        else:
            if config.start_from:
                self._start_from(self.folder.parent / config.start_from / CHECKPOINT)
            if self.world > 1:
                torch.manual_seed(config.seed * 1000 + self.rank)  # each its own dropout
        self._random = random_state(self.device)  # others may draw before `run` goes on
        self._whole = True

    def _groups(self) -> list[dict]:
        """The parameters with their share of the learning rate: the image encoder has its own.

        The learned positions of its cells are for the attention, and learn with the rest.
        """
        scale = self.config.optimisation.encoder_lr_scale
        if scale == 1:
            return [{"params": list(self.model.parameters()), "rate": 1.0}]
        named = list(self.model.named_parameters())
        encoder = [p for name, p in named if name.startswith("encoder.") and name != "encoder.P"]
        rest = [p for name, p in named if not name.startswith("encoder.") or name == "encoder.P"]
        if not scale:
            for parameter in encoder:
                parameter.requires_grad_(False)  # not even computed
        return [{"params": rest, "rate": 1.0}, {"params": encoder, "rate": scale}]

    @property
    def finished(self) -> bool:
        """Whether all updates are done."""
        return self.progress.update >= self.config.optimisation.updates

    def run(self, minutes: float | None = None, checkpoint_seconds: float = 60.0) -> bool:
        """Train until finished, or for `minutes`; return whether finished.

        A checkpoint is written every `checkpoint_seconds`, and when this returns or is stopped by
        SIGINT or SIGTERM. At least one update is done.

        Raises
        ------
        Stopped
            After SIGINT or SIGTERM: the update is finished and a checkpoint written. A second
            signal does not wait for that.
        FloatingPointError
            If the loss or its gradient is not finite. The last checkpoint stays.
        RuntimeError
            If an error ended an earlier call inside of an update, or the processes do not read the
            same folder.
        """
        if not self._whole:
            raise RuntimeError(
                f"{self.config.name} was interrupted inside of an update: make the run again, and "
                "it goes on from its last checkpoint"
            )
        if self.finished:
            return True
        config, state = self.config, self.progress
        if len(set(self.processes.gathered(state.update))) > 1:
            raise RuntimeError(f"not all processes read the checkpoint in {self.folder}: share it")
        if self.rank == 0:
            self.log.forget_after(state.update)
        state.device, state.hardware = self.device.type, hardware(self.device)
        averaged = snapshots(config.optimisation)
        set_random_state(self._random, self.device)
        self.model.train()
        self._whole = False
        started = saved = time.monotonic()
        before = state.seconds
        with (
            StopSignals() as signals,
            self._bar() as bar,
            contextlib.closing(self._batches()) as batches,
        ):
            for batch in batches:
                loss, lr = self._update(batch)
                state.index += 1
                state.tokens += batch.target_tokens
                state.loss_sum += loss
                state.loss_tokens += batch.target_tokens
                state.seconds = before + time.monotonic() - started
                if config.optimisation.ema or state.update in averaged:
                    self._average()
                bar.update()
                if state.update % config.optimisation.validate_every == 0 or self.finished:
                    bar.set_postfix(self._validate(lr))
                # the first process has the clock, any of them may get a signal
                now = time.monotonic() if self.rank == 0 else -math.inf
                late = minutes is not None and now - started > 60 * minutes
                due = now - saved > checkpoint_seconds
                stopped, any_late, any_due = self.processes.largest(
                    signals.number, int(late), int(due)
                )
                last = self.finished or stopped or any_late
                if last or any_due:
                    self._save()
                    saved = time.monotonic()
                if last:
                    break
        self._random = random_state(self.device)
        self._whole = True
        if stopped or signals.number:
            number = stopped or signals.number
            raise Stopped(
                number,
                f"{config.name} was stopped by {signal.Signals(number).name} after update "
                f"{state.update} of {config.optimisation.updates}; the same command goes on from "
                "there",
            )
        return self.finished

    def _bar(self) -> tqdm:
        return tqdm(
            total=self.config.optimisation.updates,
            initial=self.progress.update,
            desc=self.config.name,
            disable=self.quiet or self.rank > 0,
            mininterval=5,
        )

    def _batches(self) -> Generator[Batch, None, None]:
        """The batches from where the run stands, epoch after epoch without an end."""
        state = self.progress
        with contextlib.closing(self.data):
            while True:
                yield from self.data.epoch(self.config, state.epoch, state.index, self.workers)
                if not state.index:
                    raise ValueError(f"{self.config.name} has no training data")
                state.epoch, state.index = state.epoch + 1, 0

    def _validate(self, lr: float) -> dict[str, str]:
        """Write a row of the log; what the bar of progress says of it."""
        state = self.progress
        train = state.loss_sum / state.loss_tokens
        val = mean_loss(self.model, self.data.validation())
        bleu = self.data.bleu(self.model) if self.rank == 0 else None
        if self.rank == 0:
            self.log.add(state, train, val, lr, bleu)
        state.loss_sum, state.loss_tokens, state.logged_seconds = 0.0, 0, state.seconds
        said = {"train": f"{train:.3f}", "val": f"{val:.3f}"}
        return said if bleu is None else {**said, "bleu": f"{bleu:.1f}"}

    def averaged_model(self) -> AutoregressiveModel:
        """The model with the mean of the snapshots taken so far, for evaluation."""
        model = self.config.build(len(self.data.tokenizer))
        model.load_state_dict({k: v.cpu() for k, v in self.model.state_dict().items()})
        if self.progress.averaged:
            with torch.no_grad():
                for parameter, mean in zip(model.parameters(), self.mean, strict=True):
                    parameter.copy_(mean)
        return model.eval()

    def _update(self, batch: Batch) -> tuple[float, float]:
        """One update on this process's share of the batch; the summed loss, and the rate used."""
        state, how = self.progress, self.config.optimisation
        lr = learning_rate(state.update, how)
        for group in self.optimizer.param_groups:
            group["lr"] = lr * group["rate"]
        for module in self.model.modules():
            if isinstance(module, StraightThroughGumbel):
                module.anneal(state.update / how.updates)
        # without a row of its own a process computes the first, to count nothing: the gradients of
        # all processes are waited for
        idle = self.rank >= len(batch.source)
        rows = slice(1) if idle else slice(self.rank, None, self.world)
        source, given, wanted = (
            x[rows].to(self.device) for x in (batch.source, batch.target_in, batch.target_out)
        )
        lengths = batch.source_lengths[rows]  # on the CPU, where packing reads them
        told = self.config.loss.supervised_attention
        places = None
        if told and isinstance(batch, ImageBatch) and batch.places is not None:
            places = batch.places[rows].to(self.device)
        loss = self.objective(source, lengths, given, wanted, places)
        if idle:
            loss = 0.0 * loss
        self.optimizer.zero_grad(set_to_none=True)
        # DistributedDataParallel averages gradients over processes; the loss is a sum over tokens
        (loss * self.world / batch.target_tokens).backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), how.clip)
        total = loss.detach()
        if self.world > 1:
            dist.all_reduce(total)
        for what, number in (("loss", float(total)), ("norm of the gradient", float(norm))):
            if not math.isfinite(number):
                raise FloatingPointError(
                    f"{self.config.name}: the {what} is {number} at update {state.update + 1}; the "
                    "last checkpoint is as it was"
                )
        self.optimizer.step()
        state.update += 1
        return float(total), lr

    def _average(self) -> None:
        """Let the weights join the average; a moving one begins as the mean of the first."""
        self.progress.averaged += 1
        ema = self.config.optimisation.ema
        share = max(1 / self.progress.averaged, 1 - ema if ema else 0.0)
        with torch.no_grad():
            for mean, parameter in zip(self.mean, self.model.parameters(), strict=True):
                mean.lerp_(parameter, share)

    def _save(self) -> None:
        """Write the checkpoint; all processes take part, the first one writes."""
        generators = self.processes.gathered(random_state(self.device))
        if self.rank:
            return
        content = {
            "config": self.config.as_dict(),
            "vocabulary": checkpoint.vocabulary(self.data.tokenizer),
            "progress": dataclasses.asdict(self.progress),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "mean": self.mean,
            "random": generators,
        }
        checkpoint.write(self.folder / CHECKPOINT, content)

    def _resume(self) -> None:
        path = self.folder / CHECKPOINT
        content = checkpoint.read(path, self.device)
        checkpoint.check(path, content, self.config, self.data.tokenizer)
        self.progress = checkpoint.progress(content)
        self.model.load_state_dict(content["model"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.mean = content["mean"]
        generators = checkpoint.generators(content)
        if len(generators) == self.world:
            set_random_state(generators[self.rank], self.device)
            return
        where = f"{self.config.seed} {self.progress.update} {self.rank} {self.world}"
        torch.manual_seed(random.Random(where).getrandbits(63))
        if self.rank == 0:
            warnings.warn(
                f"{path} was written by {len(generators)} process(es) and is read by {self.world}: "
                "the run goes on with the same batches, but with other random numbers",
                stacklevel=3,
            )

    def _start_from(self, path: Path) -> None:
        """Begin with the averaged weights of another run, whose time and tokens count as well."""
        if not path.exists():
            raise ValueError(f"{self.config.name} starts from {path}: train that run first")
        before = checkpoint.read(path, self.device)
        with torch.no_grad():
            for parameter, value in zip(self.model.parameters(), before["mean"], strict=True):
                parameter.copy_(value)
        seconds, tokens = (before["progress"][name] for name in ("seconds", "tokens"))
        self.progress = Progress(seconds=seconds, tokens=tokens, logged_seconds=seconds)
