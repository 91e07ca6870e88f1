"""The loss of an image on the processor as one step of torch's graph, value and gradient from `picture_kernels`.

Both functions equal what `losses` and `objectives` say in torch, which is what other devices, other number formats and LPIPS use.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..data.dataset import FACE, HAIR, MOUTH
from .batches import EYES, LIPS

SHOWN, HIDDEN, DETAIL, OPAQUE = 1, 2, 4, 8  # of a pixel's code: see `composed`


@dataclass(frozen=True)
class Weights:
    """What the terms of a loss are multiplied by."""

    ssim: float  # 1 - structural similarity
    detail: float = 0.0  # mean difference where DETAIL
    alpha: float = 0.0  # mean alpha that is missing or too much


def fits(*tensors: Tensor) -> bool:
    """Whether the kernels can take such tensors."""
    return all(t.device.type == "cpu" and t.dtype == torch.float32 for t in tensors)


def face_code(regions: np.ndarray, hair_counts: bool, fringe: float = 0.0) -> np.ndarray:  # uint8 [h, w] of a view -> same
    """What the face stage asks of each pixel: an empty mouth, and in most steps nothing of the hair, nor of `fringe` (of the
    image's height) outside its outline: there a pixel too many would cost, while one that lacks inside does not."""
    code = _codes(_face_with_hair if hair_counts else _face_without_hair)[regions]
    if hair_counts or not fringe:
        return code
    reach = max(1, round(fringe * len(regions)))
    around = cv2.dilate((regions & HAIR != 0).view(np.uint8), np.ones((2 * reach + 1,) * 2, np.uint8)) > 0
    return np.where(around & (regions & (FACE | MOUTH) == 0), code | HIDDEN, code).astype(np.uint8)


def mouth_code(regions: np.ndarray) -> np.ndarray:  # uint8 [h, w] of a view -> uint8 [h, w]
    """What the mouth stage asks of each pixel: behind the lips inside the lip square it may be as it likes."""
    return _codes(_mouth)[regions]


@lru_cache(maxsize=8)
def _codes(rule: Callable[[int], int]) -> np.ndarray:  # -> uint8 [all sums of regions]
    return np.array([rule(region) for region in range(2 * max(FACE, HAIR, MOUTH, LIPS, EYES))], np.uint8)


def _face_with_hair(region: int) -> int:
    head = region & (FACE | HAIR) and not region & MOUTH
    return (SHOWN | OPAQUE if head else 0) | (DETAIL if region & (LIPS | EYES) else 0)


def _face_without_hair(region: int) -> int:
    return _face_with_hair(region) | (HIDDEN if region & HAIR else 0)


def _mouth(region: int) -> int:
    shown = SHOWN if region & MOUTH else HIDDEN if region & LIPS else 0
    return shown | (OPAQUE if region & (LIPS | MOUTH) else 0)


def photometric(image: Tensor, target: Tensor, weight: float) -> Tensor:  # [h, w, C] x 2 -> []
    """L1 + weight (1 - SSIM); differentiable in `image`."""
    return _Photometric.apply(image, target, weight)


def composed(rgb: Tensor, alpha: Tensor, pixels: np.ndarray, code: np.ndarray, clear: Tensor, weights: Weights
             ) -> tuple[Tensor, Tensor, Tensor]:
    """Loss of a render over a colour against a frame over the same.

    Args:
        rgb [h, w, 3] weighted by alpha [h, w, 1]: differentiable. pixels: uint8 [h, w, 3]. clear: [3].
        code: uint8 [h, w], a sum for each pixel; SHOWN: the frame is wanted there, the colour elsewhere; HIDDEN: the colour
            stands for both; DETAIL: it counts once more; OPAQUE: alpha should be 1, 0 elsewhere.
    Returns:
        (loss [], image [h, w, 3], target [h, w, 3]); the images have no gradient.
    """
    return _Composed.apply(rgb, alpha, pixels, code, clear.numpy(), weights)


def _compare(drawn: np.ndarray, wanted: np.ndarray, weight: float, wants: bool) -> tuple[float, np.ndarray]:
    """(L1 + weight (1 - SSIM), its gradient by `drawn`) of two images [h, w, C]."""
    from . import picture_kernels as kernels

    height, width, channels = drawn.shape
    a, b = drawn.reshape(height, -1), wanted.reshape(height, -1)
    gradient, count, number = np.empty_like(a), a.size, a.dtype.type
    apart, _ = kernels.distance(a, b, number(1 / count), gradient)
    alike = kernels.similarity(a, b, channels, kernels.taps(a.dtype), number(-weight / count if wants else 0), gradient)
    return apart / count + weight * (1 - alike / count), gradient.reshape(drawn.shape)


class _Photometric(torch.autograd.Function):
    @staticmethod
    def forward(ctx, image, target, weight):
        drawn, wanted = (np.ascontiguousarray(x.detach().numpy()) for x in (image, target))
        value, ctx.gradient = _compare(drawn, wanted, weight, image.requires_grad)
        return image.new_tensor(value)

    @staticmethod
    @once_differentiable
    def backward(ctx, g):  # pyright: ignore[reportIncompatibleMethodOverride]  # torch's stub: (ctx, *grad_outputs)
        return torch.from_numpy(ctx.gradient) * g, None, None


class _Composed(torch.autograd.Function):
    @staticmethod
    def forward(ctx, rgb, alpha, pixels, code, clear, weights):
        from . import picture_kernels as kernels

        color = np.ascontiguousarray(rgb.detach().numpy())
        opaque = np.ascontiguousarray(alpha.detach().numpy()[..., 0])
        drawn, wanted, number = np.empty_like(color), np.empty_like(color), color.dtype.type
        kernels.compose(color, opaque, pixels, code, clear, drawn, wanted)
        value, gradient = _compare(drawn, wanted, weights.ssim, rgb.requires_grad)
        detail, count, lacking = kernels.masks(drawn, wanted, opaque, code)
        by_detail, by_alpha = weights.detail / (3 * max(count, 1)), weights.alpha / opaque.size
        value += by_detail * detail + by_alpha * lacking
        g_alpha = np.empty_like(opaque)
        kernels.uncompose(drawn, wanted, code, clear, number(by_detail), number(by_alpha), gradient, g_alpha)
        ctx.gradients = gradient, g_alpha[..., None]
        image, target = torch.from_numpy(drawn), torch.from_numpy(wanted)
        ctx.mark_non_differentiable(image, target)
        return rgb.new_tensor(value), image, target

    @staticmethod
    @once_differentiable
    def backward(ctx, g, *_):  # pyright: ignore[reportIncompatibleMethodOverride]  # torch's stub: (ctx, *grad_outputs)
        return *(torch.from_numpy(gradient) * g for gradient in ctx.gradients), None, None, None, None
