"""How the implicit and the explicit code become one: the fusion rows of the paper's table 4 (docs/hmtalker.md#options)."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...media_core.errors import TalkingHeadsError
from ...training_core.choices import CUES, FUSIONS

FIXED = 0.5  # alpha of "fixed"
CONSTANT = {"fixed": FIXED, "implicit": 0.0, "explicit": 1.0}  # alpha where it is not learned
AU_CHANNELS = 10  # lower-face action units
UPPERS = ("direct", "encoded")  # upper action units act as they are (HM-Talker), or mixed but for the lids' (TalkingGaussian)
WIDEST_CUE = 4096  # numbers per frame


@dataclass(frozen=True)
class MotionKind:
    """What a face net is, beside its widths."""

    fusion: str = "gate"  # one of FUSIONS
    cue: str = "au"  # one of CUES: what the explicit code is made of
    width: int = AU_CHANNELS  # numbers of the cue per frame
    upper: str = "direct"  # one of UPPERS: how the upper-face action units act

    def __post_init__(self) -> None:
        for name, value, known in (("fusion", self.fusion, FUSIONS), ("cue", self.cue, CUES), ("upper", self.upper, UPPERS)):
            if value not in known:
                raise TalkingHeadsError(f"The {name} must be one of {', '.join(known)}", repr(value), "Choose one of these names")

    def to_config(self) -> dict[str, Any]:
        """As an avatar file has it."""
        encoded = {} if self.upper == "direct" else {"upper": self.upper}
        return {"fusion": self.fusion, "cue": self.cue, "width": self.width, **encoded}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> MotionKind:
        """Of an avatar's config; files without the entry are older than the choice.

        Raises:
            TalkingHeadsError: an unknown name, or action units of another number.
        """
        kind = cls(**config.get("motion", {}))
        if kind.cue == "au" and kind.width != AU_CHANNELS:
            raise TalkingHeadsError(f"An avatar's cue of action units must be {AU_CHANNELS} numbers per frame", f"{kind.width}",
                                    "Train the avatar again")
        return kind


def fusion_net(fusion: str, code: int, hidden: int, two_layers: Callable[..., nn.Sequential]) -> nn.Sequential | None:
    """What is learned of the fusion: the gate (Eq. 7), the perceptron of "concat", or nothing."""
    widths = (2 * code, hidden, code)
    if fusion == "gate":
        return two_layers(widths, nn.Sigmoid(), bias=0.0)  # alpha starts near one half
    return two_layers(widths, nn.Identity(), bias=0.0) if fusion == "concat" else None


def fuse(net: nn.Module | None, fusion: str, c_implicit: Tensor, c_explicit: Tensor) -> tuple[Tensor, Tensor]:
    """c_f and alpha, the fraction of the explicit code: [B, 32] x 2 -> [B, 32] x 2. "concat" knows no fraction: NaN."""
    alpha = CONSTANT.get(fusion)
    if alpha is None:
        assert net is not None  # `fusion_net` makes it
        found = net(torch.cat([c_implicit, c_explicit], dim=-1))
        if fusion == "concat":
            return found, torch.full_like(found, torch.nan)
        return found * c_explicit + (1 - found) * c_implicit, found
    share = torch.full_like(c_implicit + c_explicit, alpha)
    one_code = {0.0: c_implicit, 1.0: c_explicit}.get(alpha)
    fused = alpha * c_explicit + (1 - alpha) * c_implicit if one_code is None else one_code
    return fused.expand_as(share), share
