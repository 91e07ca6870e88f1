"""The face's motion for a training step on the processor: one frame, value and gradient by hand.

`FaceMotionNet.forward` writes every layer's output for all Gaussians to memory and torch's graph reads it back; this goes through
the layers for two thousand Gaussians at a time, which stay in the processor's cache, takes the layers that read the position
together, and scales the first layer's columns by the frame's codes instead of every Gaussian's attention (`deform_cached` does
too). Same function, same gradients.
"""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import softplus

from .gaussians import GaussianField
from .layers import DISPLACEMENT
from .motion import FaceMotionNet

PORTION = 2048  # Gaussians that go through the layers together


@dataclass(frozen=True)
class Moved:
    """A field in one frame."""

    arguments: dict[str, Tensor]  # means, quats (of any length), scales, opacities, colors: as `GaussianField.deformed`
    deviation: Tensor  # [] sum of the mean absolute offsets, those of opacity too
    attention: Tensor  # [N, 7 + 32] att_upper, att_lower


def fits(net: object, field: GaussianField) -> bool:
    """Whether this can stand for the net: its usual layers, in float32, on the processor."""
    return (type(net) is FaceMotionNet and [len(part.net) for part in (net.att_lower, net.att_upper, net.deform)] == [2, 2, 3]
            and field.xyz.device.type == "cpu" and field.xyz.dtype == torch.float32)


def moved(net: FaceMotionNet, field: GaussianField, c_fused: Tensor, au_upper: Tensor) -> Moved:
    """The field in a frame of codes c_fused [1, 32] and au_upper [1, 7]."""
    layers = [layer.weight for part in (net.att_lower, net.att_upper, net.deform) for layer in part.net]
    codes = torch.cat([au_upper[0], c_fused[0]])
    h, attention = _Offsets.apply(net.encode_position(field.xyz), codes, *layers)
    means, quats, scales, deviation = _Applied.apply(h, field.xyz, field.rotation, field.scaling)
    arguments = {"means": means, "quats": quats, "scales": scales, "opacities": field.opacities, "colors": field.sh}
    return Moved(arguments, deviation, attention)


class _Offsets(torch.autograd.Function):
    """Features [N, 36], codes [7 + 32], seven weights -> the deformation net's output [N, 11], attention [N, 7 + 32]."""

    @staticmethod
    def forward(ctx, features, codes, low1, low2, up1, up2, first, second, third):
        count, width, uppers = *features.shape, len(up2)
        joint = torch.cat([low1, up1, first[:, :width]])
        scaled = codes[:, None] * first[:, width:].T  # [39, hidden]
        a, b = len(low1), len(low1) + len(up1)
        ahead, attention = features.new_empty(count, len(joint)), features.new_empty(count, len(codes))
        inner, h = features.new_empty(count, len(second)), features.new_empty(count, len(third))
        for begin in range(0, count, PORTION):
            cut = slice(begin, begin + PORTION)
            part, looks = ahead[cut], attention[cut]
            torch.mm(features[cut], joint.T, out=part)
            part[:, :b].relu_()
            looks[:, uppers:] = part[:, :a] @ low2.T
            looks[:, :uppers] = (part[:, a:b] @ up2.T).relu_()
            part[:, b:].addmm_(looks, scaled).relu_()
            torch.mm(torch.mm(part[:, b:], second.T, out=inner[cut]).relu_(), third.T, out=h[cut])
        ctx.save_for_backward(features, codes, low2, up2, first, second, third, joint, scaled, ahead, attention, inner)
        ctx.marks = a, b
        return h, attention

    @staticmethod
    @once_differentiable
    def backward(ctx, g_h, g_attention):  # pyright: ignore[reportIncompatibleMethodOverride]  # torch's stub: (ctx, *grad_outputs)
        features, codes, low2, up2, first, second, third, joint, scaled, ahead, attention, inner = ctx.saved_tensors
        (a, b), uppers, width = ctx.marks, len(up2), features.shape[1]
        g_features = torch.empty_like(features)
        g_low2, g_up2, g_second, g_third, g_joint, g_scaled = (torch.zeros_like(x) for x in (
            low2, up2, second, third, joint, scaled))
        g_ahead = features.new_empty(PORTION, len(joint))
        for begin in range(0, len(features), PORTION):
            cut = slice(begin, begin + PORTION)
            part, looks, deep, g = ahead[cut], attention[cut], inner[cut], g_h[cut]
            g_part = g_ahead[:len(part)]
            g_third.addmm_(g.T, deep)
            g_deep = _let_through(g @ third, deep)
            g_second.addmm_(g_deep.T, part[:, b:])
            _let_through(torch.mm(g_deep, second, out=g_part[:, b:]), part[:, b:])
            g_scaled.addmm_(looks.T, g_part[:, b:])
            g_looks = torch.addmm(g_attention[cut], g_part[:, b:], scaled.T)
            g_up = _let_through(g_looks[:, :uppers], looks[:, :uppers])
            g_low2.addmm_(g_looks[:, uppers:].T, part[:, :a])
            g_up2.addmm_(g_up.T, part[:, a:b])
            torch.mm(g_looks[:, uppers:], low2, out=g_part[:, :a])
            torch.mm(g_up, up2, out=g_part[:, a:b])
            _let_through(g_part[:, :b], part[:, :b])
            g_joint.addmm_(g_part.T, features[cut])
            torch.mm(g_part, joint, out=g_features[cut])
        g_first = torch.cat([g_joint[b:], (g_scaled * codes[:, None]).T], dim=1)
        g_codes = (g_scaled * first[:, width:].T).sum(1)
        return g_features, g_codes, g_joint[:a], g_low2, g_joint[a:b], g_up2, g_first, g_second, g_third


def _let_through(gradient: Tensor, result: Tensor) -> Tensor:
    """What a ReLU lets through, in place."""
    return torch.ops.aten.threshold_backward.grad_input(gradient, result, 0, grad_input=gradient)


class _Applied(torch.autograd.Function):
    """Offsets [N, 11] on raw positions, rotations and scales -> means, quats, scales, sum of the mean absolute offsets."""

    @staticmethod
    def forward(ctx, h, xyz, rotation, scaling):
        raw = scaling + h[:, 8:11]
        weight = h.new_tensor([DISPLACEMENT / 3] * 3 + [1 / 4] * 4 + [1] + [1 / 3] * 3) / len(h)
        ctx.save_for_backward(h, raw, weight)
        means = torch.add(xyz, h[:, :3], alpha=DISPLACEMENT)
        return means, rotation + h[:, 3:7], softplus(raw), h.abs().sum(0) @ weight

    @staticmethod
    @once_differentiable
    def backward(ctx, g_means, g_quats, g_scales, g_deviation):  # pyright: ignore[reportIncompatibleMethodOverride]  # torch's stub: (ctx, *grad_outputs)
        h, raw, weight = ctx.saved_tensors
        g_raw = g_scales * raw.sigmoid()
        g_h = torch.sign(h).mul_(weight * g_deviation)
        g_h[:, :3].add_(g_means, alpha=DISPLACEMENT)
        g_h[:, 3:7] += g_quats
        g_h[:, 8:11] += g_raw
        return g_h, g_means, g_quats, g_raw
