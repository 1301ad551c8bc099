"""A linear layer whose products are faster on a CPU where no gradient is asked for.

On a CPU PyTorch gives a product in float32 to Intel's MKL, which on processors of other makers
leaves their widest instructions unused. PyTorch also carries oneDNN, which does not: on an AMD
processor with AVX-512 it needs half the time. It computes the same sums in another order, and
PyTorch offers it by an operator that has no gradient. So training is as it was.
"""

import torch
from torch import Tensor, nn

ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
SMALL = 2**20  # multiplications: below, to call oneDNN costs more than it gains


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """As `torch.nn.functional.linear`: from (..., in) to (..., out) by a matrix (out, in).

    >>> x, weight, bias = torch.randn(8, 500), torch.randn(300, 500), torch.randn(300)
    >>> with torch.no_grad():
    ...     found = linear(x, weight, bias)
    >>> torch.allclose(found, nn.functional.linear(x, weight, bias), atol=1e-4)
    True
    """
    if _for_onednn(x, weight):
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return nn.functional.linear(x, weight, bias)


class Linear(nn.Linear):
    """`torch.nn.Linear` by the function `linear`."""

    def forward(self, x: Tensor) -> Tensor:
        """From (..., in) to (..., out)."""
        return linear(x, self.weight, self.bias)


def _for_onednn(x: Tensor, weight: Tensor) -> bool:
    """Whether oneDNN has this product, and enough to do."""
    return (
        ONEDNN
        and not torch.is_grad_enabled()
        and not torch.compiler.is_compiling()  # a compiler chooses by itself
        and x.dtype == weight.dtype == torch.float32
        and x.is_cpu
        and weight.is_cpu
        and not torch.is_autocast_enabled("cpu")
        and x.numel() * weight.shape[0] >= SMALL
        and x.shape[-1] == weight.shape[-1]  # if not, PyTorch's own error says so
    )
