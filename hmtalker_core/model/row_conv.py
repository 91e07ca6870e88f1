"""The audio nets' small convolutions for a training step on the processor: each a matrix product over rows laid side by side.

torch hands them to oneDNN, which spends ten times longer on preparing such a convolution than on computing it.
"""
from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def fits(x: Tensor) -> bool:
    """Whether gradients will be asked for, on the processor, in the tensors' own number format."""
    return x.device.type == "cpu" and torch.is_grad_enabled() and not torch.is_autocast_enabled("cpu")


def convolved(layers: nn.Sequential, x: Tensor) -> Tensor:  # [n, C, W] -> [n, C', W']
    """`layers(x)` of pairs of a convolution (three taps, padding 1) and a leaky ReLU."""
    rows = x.mT
    pairs = list(layers)
    for conv, leaky in zip(pairs[::2], pairs[1::2], strict=True):
        assert isinstance(conv, nn.Conv1d) and isinstance(leaky, nn.LeakyReLU)
        rows = _RowConv.apply(rows, conv.weight, conv.bias, conv.stride[0], leaky.negative_slope)
    return rows.mT


class _RowConv(torch.autograd.Function):
    """[n, W, C], [O, C, 3], [O] -> [n, W', O], leaky ReLU included."""

    @staticmethod
    def forward(ctx, rows, weight, bias, stride, slope):
        n, length, channels = rows.shape
        padded = rows.new_zeros(n, length + 2, channels)
        padded[:, 1:-1] = rows
        count = (length - 1) // stride + 1
        beside = padded.as_strided((n, count, 3 * channels), (padded.stride(0), stride * channels, 1)).reshape(n * count, -1)
        flat = weight.mT.reshape(len(weight), -1)  # [O, 3 C], taps first
        out = torch.nn.functional.leaky_relu_(torch.addmm(bias, beside, flat.T), slope)
        ctx.save_for_backward(beside, flat, out)
        ctx.settings = rows.shape, stride, slope
        return out.view(n, count, -1)

    @staticmethod
    @once_differentiable
    def backward(ctx, g_out):  # pyright: ignore[reportIncompatibleMethodOverride]  # torch's stub: (ctx, *grad_outputs)
        beside, flat, out = ctx.saved_tensors
        (n, length, channels), stride, slope = ctx.settings
        g = torch.ops.aten.leaky_relu_backward(g_out.reshape(out.shape), out, slope, True)
        g_weight = (g.T @ beside).view(len(flat), 3, channels).mT
        if not ctx.needs_input_grad[0]:
            return None, g_weight, g.sum(0), None, None
        g_beside = (g @ flat).view(n, -1, 3, channels)
        g_padded = g.new_zeros(n, length + 2, channels)
        last = stride * (g_beside.shape[1] - 1) + 1
        for tap in range(3):
            g_padded[:, tap:tap + last:stride] += g_beside[:, :, tap]
        return g_padded[:, 1:-1], g_weight, g.sum(0), None, None
