"""A device that is not there: tensors that say they are on it, computed on the CPU all the same.

`torch._subclasses.FakeTensorMode` and the ``meta`` device know no numbers, so they stop at the
first ``int(...)`` of a tensor, which every search has. Here the numbers are real: whatever runs on
a processor runs, and gives the same; and two devices in one operation are an error, as they are on
a machine that has them. The device is called ``meta``, for which alone torch has all it needs
without a driver. What is float64 can be refused, as Apple's GPUs (mps) do.
"""

import contextlib
import sys

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

OPTIMIZERS = ("optimizer", "adam", "adamw")
DEVICE, FUSED = "meta", "_get_fused_kernels_supported_devices"
MIXED = {  # operations from one device to another, and with lengths that belong on the CPU
    "_to_copy", "copy_", "_pack_padded_sequence", "_pack_padded_sequence_backward"
}  # fmt: skip


class Pretended(torch.Tensor):
    """A tensor on the CPU that says it is elsewhere."""

    @staticmethod
    def __new__(cls, real, device):
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            real.shape,
            strides=real.stride(),
            storage_offset=real.storage_offset(),
            dtype=real.dtype,
            device=device,
        )
        made.held = real.detach()
        return made

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return run(function, args, kwargs or {})

    def __repr__(self):
        return f"Pretended({self.held}, {self.device})"

    def item(self):
        return self.held.item()

    def __bool__(self):
        return bool(self.held)

    def __int__(self):
        return int(self.held)

    def __float__(self):
        return float(self.held)

    def __index__(self):
        return self.held.__index__()

    def tolist(self):
        return self.held.tolist()

    def numpy(self, *_, **__):
        raise TypeError(f"can't convert {self.device} device type tensor to numpy")

    __array__ = numpy


def run(function, args, kwargs):
    """One operation: refuse what no machine would do, compute, and say where the result is."""
    name = function._schema.name.partition("::")[2]
    flat, _ = tree_flatten((args, kwargs))
    tensors = [x for x in flat if isinstance(x, torch.Tensor)]
    elsewhere = {x.device for x in tensors if isinstance(x, Pretended)}
    here = [x for x in tensors if not isinstance(x, Pretended) and x.dim()]  # a number may mix
    if name.startswith("index"):  # a GPU's tensor may be indexed from the CPU, not the reverse
        here = [x for x in here if x is args[0]]
    if elsewhere and here and name not in MIXED:
        raise RuntimeError(f"{name}: on cpu {[tuple(x.shape) for x in here]}, beside {elsewhere}")
    asked = kwargs.get("device")
    device = torch.device(asked) if asked is not None else next(iter(elsewhere), None)
    if device is not None and device.type == "cpu":
        device = None
    given = {**kwargs, "device": torch.device("cpu")} if asked is not None else kwargs
    given.pop("pin_memory", None)
    real = tree_map(lambda x: x.held if isinstance(x, Pretended) else x, (args, given))
    result = function(*real[0], **real[1])
    if device is None:
        return result
    if name == "_pack_padded_sequence":
        return Pretended(result[0], device), result[1]  # sizes of batches, for the CPU
    originals = {id(x.held): x for x in tensors if isinstance(x, Pretended)}

    def wrap(x):
        if not isinstance(x, torch.Tensor):
            return x
        if id(x) in originals:  # in place
            return originals[id(x)]
        if Machine.no_float64 and x.dtype == torch.float64:
            raise TypeError(f"{name}: this device has no float64")
        return Pretended(x, device)

    return tree_map(wrap, result)


class Machine(TorchDispatchMode):
    """Where tensors may be made on the pretended device."""

    no_float64 = False

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        asked = kwargs.get("device")
        flat, _ = tree_flatten((args, kwargs))
        if any(isinstance(x, Pretended) for x in flat) or (
            asked is not None and torch.device(asked).type != "cpu"
        ):
            return run(function, args, kwargs)
        return function(*args, **kwargs)


class Factories(TorchFunctionMode):
    """Numbers of Python are made into a tensor on the CPU, and moved; torch does so for a GPU."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        asked = kwargs.get("device")
        if function in (torch.tensor, torch.as_tensor) and str(asked) == DEVICE:
            return function(*args, **{**kwargs, "device": "cpu"}).to(asked)
        return function(*args, **kwargs)


@contextlib.contextmanager
def machine(monkeypatch, no_float64=False):
    """A machine with the device; the optimizer's fused kernel knows it, as it knows a GPU."""
    for module in map(sys.modules.get, (f"torch.optim.{n}" for n in OPTIMIZERS)):
        kernels = getattr(module, FUSED, None)
        if kernels:
            monkeypatch.setattr(module, FUSED, lambda kernels=kernels: [*kernels(), DEVICE])
    monkeypatch.setattr(Machine, "no_float64", no_float64)
    with Factories(), Machine():
        yield torch.device(DEVICE)
