"""Who may look at what: boolean masks, True = may attend, and the one masked softmax."""

import torch
from torch import Tensor


def padding_mask(lengths: Tensor, size: int | None = None) -> Tensor:
    """Mark the real positions of a padded batch.

    Parameters
    ----------
    lengths : Tensor of shape (B,)
        Number of real positions of each sentence.
    size : int, optional
        Padded length S; the longest sentence unless given.

    Returns
    -------
    Tensor of shape (B, S), boolean

    Raises
    ------
    ValueError
        If `lengths` is not one-dimensional, or a length exceeds `size`.

    Examples
    --------
    >>> padding_mask(torch.tensor([1, 3]))
    tensor([[ True, False, False],
            [ True,  True,  True]])
    """
    if lengths.dim() != 1:
        raise ValueError(f"lengths must have shape (B,), got {tuple(lengths.shape)}")
    longest = int(lengths.max()) if lengths.numel() else 0
    size = longest if size is None else size
    if longest > size:
        raise ValueError(f"size is {size} but a sentence has {longest} positions")
    return torch.arange(size, device=lengths.device) < lengths.unsqueeze(1)


def causal_mask(
    queries: int, keys: int, start: int = 0, device: torch.device | str | None = None
) -> Tensor:
    """Let the query at position ``start + t`` see keys at positions up to its own (T, S).

    Examples
    --------
    >>> causal_mask(2, 3)
    tensor([[ True, False, False],
            [ True,  True, False]])
    >>> causal_mask(1, 3, start=2)
    tensor([[True, True, True]])
    """
    query_positions = start + torch.arange(queries, device=device).unsqueeze(1)
    return torch.arange(keys, device=device) <= query_positions


def check_mask(mask: Tensor, B: int, T: int, S: int) -> None:
    """Refuse what is not a boolean mask of shape (B, T, S) or (B, 1, S).

    In `torch.nn.MultiheadAttention` True hides a key; here, and in
    `F.scaled_dot_product_attention`, it shows one. Whether a mask is the wrong way round cannot be
    read off it: a model that reads backwards lets a query see the keys after its own, which is a
    causal mask inverted. So no mask is refused for what it shows.

    Raises
    ------
    TypeError
        If the mask is not boolean.
    ValueError
        If its shape does not fit.

    Examples
    --------
    >>> check_mask(padding_mask(torch.tensor([1, 3])), B=2, T=3, S=3)
    Traceback (most recent call last):
    ValueError: mask must have shape ... a padding mask (B, S) fits after mask.unsqueeze(1)
    """
    if mask.dtype != torch.bool:
        hint = ""
        if mask.is_floating_point():
            hint = "; of a float mask that is added to the scores, pass mask == 0"
        raise TypeError(f"mask must be boolean (True = may attend), got {mask.dtype}{hint}")
    if mask.shape not in ((B, T, S), (B, 1, S)):
        hint = ""
        if mask.shape == (B, S):
            hint = "; a padding mask (B, S) fits after mask.unsqueeze(1)"
        elif mask.shape == (T, S):
            hint = "; one for all sentences fits after mask.expand(B, -1, -1)"
        raise ValueError(
            f"mask must have shape (B, T, S) = {(B, T, S)} or (B, 1, S), got "
            f"{tuple(mask.shape)}{hint}"
        )


def masked_softmax(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    r"""Turn scores into weights over the keys that may be attended to.

    .. math:: a_{ts} = \frac{m_{ts} \exp(e_{ts})}{\sum_{s'} m_{ts'} \exp(e_{ts'})}

    Hidden scores are filled with a finite floor (so that no gradient is NaN), and their weights set
    to exactly zero afterwards. A row with nothing to attend to is all zeros.

    Parameters
    ----------
    scores : Tensor of shape (..., S)
        In nats.
    mask : Tensor, boolean, broadcastable to `scores`, optional
        True where attention is allowed.

    Returns
    -------
    Tensor of shape (..., S)
        Each row sums to 1, or is all zeros where the mask hides the whole row.

    Raises
    ------
    TypeError
        If `mask` is not boolean.
    ValueError
        If `mask` does not broadcast to the shape of `scores`.

    Examples
    --------
    >>> masked_softmax(torch.zeros(2, 3), torch.tensor([[True, True, False], [False] * 3]))
    tensor([[0.5000, 0.5000, 0.0000],
            [0.0000, 0.0000, 0.0000]])
    """
    if mask is None:
        return scores.softmax(-1)
    if mask.dtype != torch.bool:
        raise TypeError(f"mask must be boolean (True = may attend), got {mask.dtype}")
    try:
        mask = mask.expand(scores.shape)
    except RuntimeError:
        raise ValueError(
            f"mask of shape {tuple(mask.shape)} does not fit scores of shape {tuple(scores.shape)}"
        ) from None
    floored = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    return floored.softmax(-1).masked_fill(~mask, 0.0)
