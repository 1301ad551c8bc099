"""One short training loop for the models of this package that write: teacher forcing and Adam."""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from attnlib.autoregressive import AutoregressiveModel
from attnlib.data.tokenizer import PAD

Model = TypeVar("Model", bound=AutoregressiveModel)
Drawn = tuple[Tensor, Tensor, Tensor, Tensor]  # source, lengths (B,), target_in, target_out (B, T)


def teach(model: Model, draw: Callable[[], Drawn], updates: int, lr: float, seed: int) -> Model:
    """Train on what `draw` gives at each update; the model comes back, in evaluation mode.

    The loss is the mean cross-entropy of a token, padding left out. The learning rate rises for a
    twentieth of the updates and then falls to 0 on a straight line; gradients longer than 1 are
    cut. `seed` decides on dropout.
    """
    torch.manual_seed(seed)
    model.train()
    optimiser = torch.optim.Adam(model.parameters(), lr=lr)
    warm = max(1, updates // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda n: min((n + 1) / warm, (updates - n) / max(1, updates - warm))
    )
    for _ in range(updates):
        source, lengths, target_in, target_out = draw()
        logits, _ = model(source, lengths, target_in)
        loss = cross_entropy(logits.flatten(0, 1), target_out.flatten(), ignore_index=PAD)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    return model.eval()
