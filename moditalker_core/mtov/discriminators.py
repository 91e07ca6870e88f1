"""The two discriminators of the GAN phase: patches of frames and of clips (docs/moditalker.md#losses; arXiv 1611.07004)."""
from __future__ import annotations

import torch
from torch import Tensor, nn

SIDE, PADDING, SLOPE = 4, 2, 0.2
STD = 0.02  # of the first weights
STRIDES = (2, 2, 2, 1, 1)


class PatchDiscriminator(nn.Module):
    """Five convolutions, the middle three normalised over the batch; the last tells real from made, patch by patch.

    Args:
        width: channels of the first stage; each later one has twice as many, eight times at most.
        dimensions: 2 for frames [B, 3, H, W], 3 for clips [B, 3, T, H, W].
    """

    def __init__(self, width: int = 64, dimensions: int = 2):
        super().__init__()
        conv, norm = ((nn.Conv2d, nn.BatchNorm2d), (nn.Conv3d, nn.BatchNorm3d))[dimensions - 2]
        widths, stages = (3, width, 2 * width, 4 * width, 8 * width, 1), []
        for number, (given, made, stride) in enumerate(zip(widths, widths[1:], STRIDES)):
            layers = [conv(given, made, SIDE, stride, PADDING)]
            layers += [norm(made)] if 0 < number < 4 else []
            layers += [nn.LeakyReLU(SLOPE)] if number < 4 else []
            stages.append(nn.Sequential(*layers))
        self.stages = nn.ModuleList(stages)
        for name, parameter in self.named_parameters():
            _initialise(name, parameter)

    def forward(self, x: Tensor) -> list[Tensor]:
        """The outputs of the five stages, the decision last."""
        out = []
        for stage in self.stages:
            x = stage(x)
            out.append(x)
        return out


@torch.no_grad()
def _initialise(name: str, parameter: Tensor) -> None:
    """Convolutions N(0, STD), scales of norms N(1, STD), biases 0."""
    if name.endswith("bias"):
        parameter.zero_()
    else:
        parameter.normal_(float(parameter.ndim == 1), STD)


class Discriminators(nn.Module):
    """Both discriminators; real and made ones are looked at separately, as each batch is normalised by itself."""

    def __init__(self, width: int = 64):
        super().__init__()
        self.frame, self.clip = PatchDiscriminator(width, 2), PatchDiscriminator(width, 3)

    def forward(self, frames: tuple[Tensor, Tensor],
                clips: tuple[Tensor, Tensor]) -> tuple[list[list[Tensor]], list[list[Tensor]]]:
        """
        Args:
            frames: made and real ones, [B, 3, H, W] each.
            clips: made and real ones, [B, 3, T, H, W] each.
        Returns:
            the stages' outputs of both discriminators on what was made, and on what is real.
        """
        made = [self.frame(frames[0]), self.clip(clips[0])]
        return made, [self.frame(frames[1]), self.clip(clips[1])]
