"""The largest memory of a computation, found without computing it: it runs on tensors that have a shape and no numbers.

Torch's "meta" device runs every operation of a forward and a backward pass in no time and no memory. Each storage that comes up
is counted until the last tensor that shares it is gone, as an allocator would. What only a GPU does is imitated: fused attention,
which keeps no matrix of scores, and autocast, which keeps copies in 16 bits.
"""
from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from .checkpointing import computed_again_in

META = torch.device("meta")
# what autocast computes in 16 bits, and what in 32 (torch's list for CUDA, as far as networks here use it)
_LOW = frozenset({F.linear, torch.conv1d, torch.conv2d, torch.conv3d, torch.conv_transpose2d, torch.matmul, torch.bmm,
                  torch.Tensor.matmul, torch.Tensor.__matmul__, F.scaled_dot_product_attention})
_HIGH = frozenset({F.layer_norm, torch.layer_norm, torch.softmax, torch.Tensor.softmax, F.softmax})


class _Counted(TorchDispatchMode):
    """Bytes of all storages that operations make while the mode is on."""

    def __init__(self, there: Iterable[Tensor]):
        super().__init__()
        self.now = self.most = 0
        self._known: set[int] = set()
        for tensor in there:  # counted by whoever asks
            self._take(tensor, 0)

    def __torch_dispatch__(self, func: Callable[..., Any], types: object, args: tuple = (),
                           kwargs: Mapping[str, Any] | None = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor) and tensor.device == META:
                self._take(tensor, tensor.untyped_storage().nbytes())
        return made

    def _take(self, tensor: Tensor, size: int) -> None:
        storage = tensor.untyped_storage()
        if storage._cdata in self._known:
            return
        self._known.add(storage._cdata)
        self.now += size
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self._gone, storage._cdata, size)

    def _gone(self, number: int, size: int) -> None:
        self._known.discard(number)
        self.now -= size


class _Attention(torch.autograd.Function):
    """What a fused kernel allocates and keeps."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:  # [B, H, L, D] each -> [B, H, L, D]
        batch, heads, length, _ = q.shape
        out = q.new_empty(batch, length, heads, v.shape[-1]).transpose(1, 2)
        ctx.save_for_backward(q, k, v, out, q.new_empty(batch, heads, length, dtype=torch.float32))
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:
        return tuple(torch.empty_like(part) for part in ctx.saved_tensors[:3])


class _LikeGPU(TorchFunctionMode):
    """Fused attention, and number formats as autocast chooses them; `low` None: none."""

    def __init__(self, low: torch.dtype | None):
        super().__init__()
        self.low = low

    def __torch_function__(self, func: Callable[..., Any], types: object, args: tuple = (),
                           kwargs: Mapping[str, Any] | None = None) -> Any:
        kwargs = dict(kwargs or {})
        if self.low is not None and (func in _LOW or func in _HIGH):
            kind = self.low if func in _LOW else torch.float32
            args, kwargs = tuple(tree_map(lambda value: _as(value, kind), args)), {k: _as(v, kind) for k, v in kwargs.items()}
        return _Attention.apply(*args[:3]) if func is F.scaled_dot_product_attention else func(*args, **kwargs)


def _as(value: object, kind: torch.dtype) -> object:
    return value.to(kind) if isinstance(value, Tensor) and value.is_floating_point() and value.device == META else value


def peak_of(run: Callable[[], object], there: Iterable[Tensor] = (), low: torch.dtype | None = None) -> int:
    """The most bytes that tensors made by `run` take at once, gradients it leaves included.

    Args:
        run: computes on META alone; what else it makes is not counted.
        there: tensors that exist before, such as weights: not counted, nor are views of them.
        low: number format of autocast; None: without it.
    """
    mode = _LikeGPU(low)
    with _Counted(there) as counted, mode, computed_again_in(mode):
        run()
    return counted.most


def on_meta(network: nn.Module) -> nn.Module:
    """A network's shapes; with its own numbers it cannot be used any more."""
    return network.to(META)


def size_of(tensors: Iterable[Tensor]) -> int:
    """Bytes."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
