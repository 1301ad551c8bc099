"""One short training loop for models of this package, and teacher forcing for those that write."""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from attnlib.autoregressive import AutoregressiveModel
from attnlib.data.tokenizer import PAD

Model = TypeVar("Model", bound=nn.Module)
Writer = TypeVar("Writer", bound=AutoregressiveModel)
Drawn = tuple[Tensor, Tensor, Tensor, Tensor]  # source, lengths (B,), target_in, target_out (B, T)


def descend(
    model: Model, loss: Callable[[int], Tensor], updates: int, lr: float, warm: int, seed: int
) -> Model:
    """Train with Adam on the loss of each update; the model comes back, in evaluation mode.

    The learning rate rises for `warm` updates, at least one, and then falls to 0 on a straight
    line; gradients longer than 1 are cut. `seed` decides on dropout.
    """
    torch.manual_seed(seed)
    model.train()
    optimiser = torch.optim.Adam(model.parameters(), lr=lr)
    warm = max(1, warm)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda n: min((n + 1) / warm, (updates - n) / max(1, updates - warm))
    )
    for update in range(updates):
        lost = loss(update)
        optimiser.zero_grad()
        lost.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    return model.eval()


def teach(model: Writer, draw: Callable[[], Drawn], updates: int, lr: float, seed: int) -> Writer:
    """Train on what `draw` gives at each update; the model comes back, in evaluation mode.

    The loss is the mean cross-entropy of a token, padding left out. The learning rate rises for a
    twentieth of the updates (`descend`).
    """

    def loss(update: int) -> Tensor:
        source, lengths, target_in, target_out = draw()
        logits, _ = model(source, lengths, target_in)
        return cross_entropy(logits.flatten(0, 1), target_out.flatten(), ignore_index=PAD)

    return descend(model, loss, updates, lr, updates // 20, seed)
