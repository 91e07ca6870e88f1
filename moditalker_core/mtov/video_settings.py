"""How a video is sampled: what a user may choose, and what the weights say otherwise."""
from __future__ import annotations

from dataclasses import dataclass

from ...media_core.asked import real, whole
from ...media_core.errors import TalkingHeadsError
from ..choices import BOUNDARY_CORRECTION, NOISES, RESIZES
from .diffusion import CALLS, RATIO, STEPS, check_sampling, scheduled_times
from .model import MToVConfig

FAST_CALLS = 8      # steps of the samplers that need few, where the weights name another
SEEDS = 1 << 64
PREVIEWS = 3        # a clip, of the sampled x0; each costs a T-th of decoding a clip


@dataclass(frozen=True)
class VideoSettings:
    """How a video is sampled. None: as the weights say."""

    sampler: str | None = None  # one of diffusion.SAMPLERS
    calls: int | None = None    # sampling steps per clip (num_inference_steps), 1..1000 ratio
    ratio: float | None = None  # 0..1, strength: the identity's latent is noised to 1000 ratio at the start; 1: from noise alone
    eta: float | None = None    # 0..1, fraction of fresh noise in "ddim"
    seed: int = 0
    overlap: int | None = None  # frames that neighbouring clips share, 0..T / 2
    settle: float = BOUNDARY_CORRECTION  # 0..1, boundary correction: the fraction of the shared frames' difference that is spread
    batch: int = 1              # clips computed at once
    noise: str = "shared"       # every clip begins with one and the same noise, which keeps its looks; "own": each has its own
    anchored: bool | None = None  # detail residual, for a portrait with its own landmarks only (ours): what the networks miss of
    # it is added to every frame, where landmarks stand as in the portrait (`detail_residual`): a weak network then changes the
    # image instead of redrawing it. One clip more per video
    start: int = 0              # first frame of the motion that is made
    stop: int | None = None     # frame before which it ends; None: the motion's end
    previews: int = PREVIEWS    # a clip, shown by the report while it is sampled
    resize: str = RESIZES[0]    # how images larger than the networks' shrink, one of conditions.RESIZES
    schedule: int | None = None  # steps of the whole way, of which the official program runs those within the strength, at its
    # times (diffusion.scheduled_times); `calls` then does not count. Where both come out even they are the same

    def resolved(self, config: MToVConfig, frames: int) -> ResolvedVideo:
        """With every None filled in.

        Args:
            frames: of the motion.
        Raises:
            TalkingHeadsError: values out of range.
        """
        sampler = self.sampler or config.sampler
        ratio = config.ratio if self.ratio is None else self.ratio
        eta = config.eta if self.eta is None else self.eta
        calls = 1 if self.schedule is not None or self.calls is None else self.calls  # what `_counted` finds is possible
        check_sampling(sampler, calls, ratio, config.prediction, config.clip, eta)
        chosen = {"sampler": sampler, "ratio": ratio, "eta": eta, "calls": self._counted(config, sampler, ratio),
                  "overlap": config.overlap if self.overlap is None else self.overlap,
                  "anchored": config.anchored if self.anchored is None else self.anchored,
                  "stop": frames if self.stop is None else self.stop}
        full = ResolvedVideo(**{**vars(self), **chosen})
        config.check_start(ratio)
        if self.schedule is not None:
            config.check_start((scheduled_times(self.schedule, ratio)[0] + 1) / STEPS)
        full._check_plain()
        if not 0 <= full.overlap <= config.frames // 2:
            raise TalkingHeadsError(f"Clips of {config.frames} frames may share 0 to {config.frames // 2}", f"{full.overlap}",
                                    "Choose another overlap")
        if not 0 <= full.start < full.stop <= frames:
            raise TalkingHeadsError(f"The frames must lie within the motion's {frames}", f"{full.start} to {full.stop}",
                                    "Choose others")
        return full

    def _check_plain(self) -> None:
        """What needs no network to be checked.

        Raises:
            TalkingHeadsError: the first setting that cannot be, with its name.
        """
        whole("The seed", self.seed, 0, SEEDS - 1)
        for name, least in (("overlap", 0), ("batch", 1), ("start", 0), ("stop", 0), ("previews", 0)):
            whole(f"The video's {name}", getattr(self, name), least)
        real("The video's settle (boundary correction)", self.settle, 0, 1)
        for name, choices in (("noise", NOISES), ("resize", RESIZES), ("anchored", (True, False))):
            value = getattr(self, name)
            if value not in choices or type(value) is not type(choices[0]):
                raise TalkingHeadsError(f"The video's {name} must be one of {', '.join(map(str, choices))}", f"{value!r}",
                                        "Choose one of those")

    def _counted(self, config: MToVConfig, sampler: str, ratio: float) -> int:
        """The sampling steps per clip.

        Raises:
            TalkingHeadsError: a schedule of which nothing would be run.
        """
        if self.schedule is not None:
            return len(scheduled_times(self.schedule, ratio))
        if self.calls is not None:
            return self.calls
        usual = config.calls if sampler == config.sampler else CALLS if sampler.startswith("ddim") else FAST_CALLS
        return min(usual, max(1, round(STEPS * ratio)))


@dataclass(frozen=True)
class ResolvedVideo(VideoSettings):
    """Video settings without a None; made by `VideoSettings.resolved`."""

    sampler: str = "ddim"
    calls: int = CALLS
    ratio: float = RATIO
    eta: float = 1.0
    overlap: int = 0
    anchored: bool = False
    stop: int = 1

    @property
    def begins(self) -> float:
        """The ratio at which the noised start stands; the official program cuts its step off, ours rounds it."""
        return self.ratio if self.schedule is None else int(STEPS * self.ratio) / STEPS
