"""The settings of an avatar's training: one frozen record, and three presets.

The numbers of `published` are those of HM-Talker section 4.1 and TalkingGaussian's scripts.
`demo` and `standard` keep every term and shorten the schedule; where they differ in kind (initial points, size caps) the
field says so. `published` is the published schedule with its endings, in which hair counts always, the mouth's mask is closed,
the inside of the mouth stops moving and LPIPS counts where weights for it are given. What differs in it too:

- the clear colour is random, not green, so nothing is cleaned up by its colour (`objectives`); at the mouth's end it is black;
- pruning never goes beyond half the median opacity (`steps`), and growth ends at a million Gaussians;
- the two branches are trained one after the other, not side by side: neither looks at the other;
- speech is encoded by the encoder of the training (mel), not by the paper's pretrained AVE;
- a frame that a rule of the curriculum cannot find is the nearest one instead of an endless search (`curriculum`).
"""
from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from ...media_core.errors import TalkingHeadsError
from ...training_core.choices import CUES, DENSIFY, FUSIONS
from ...training_core.settings import require
from ..model.audio_net import WINDOWS, Window

PRECISIONS = ("fp32", "bf16")
FREE = ("save_every", "val_every", "log_every")  # do not change what is learnt: may change when a training is continued
MOST_POINTS = 10_000_000  # Gaussians of a branch
MOST_SCALED = 1000  # times a preset's steps
# Later options, and what was done before.
NEWER = {"fusion": "gate", "cue": "au", "densify": "grow", "pose_residuals": False, "window": "centred"}
FORMERLY = {"preview": "demo", "paper": "published"}  # names of presets


@dataclass(frozen=True)
class BranchConfig:
    """One Gaussian branch (face or inside mouth)."""

    steps: int  # optimisation steps, static phase included
    static: int  # first steps without a motion net
    points: int  # initial Gaussians
    max_points: int  # growth stops here (our choice: bounded memory; the paper has no cap)
    densify_every: int = 100  # steps between density controls
    densify_from: int = 500  # first step of density control
    densify_until: float = 0.98  # fraction of `steps` after which the count stays as it is
    grad_threshold: float = 5e-4  # mean screen-space gradient, NDC units, that clones or splits
    prune_from: float = 0.05  # opacity below which a Gaussian goes, at the start
    prune_ramp: float = 0.25  # added to it linearly until `densify_until`


@dataclass(frozen=True)
class TrainConfig:
    """A whole training: TalkingGaussian's three stages (face, inside of the mouth, both) with HM-Talker's terms."""

    preset: str  # name shown to the user
    face: BranchConfig
    mouth: BranchConfig
    fuse_steps: int  # joint fine-tuning: spherical harmonics of both, opacity of the face
    init: str  # "silhouette": on the inflated head mask of the most frontal frame (ours); "cube": +-0.1 m, grey (TalkingGaussian)
    warmup_steps: int  # alignment-only steps of the audio nets before the motion phase (ours: audio is cheap, frames are not)
    speech_prior: bool  # audio nets start from `prior.SHIPPED` or another prior (ours: the place of the paper's pretrained AVE)
    align_batch: int  # frames in the alignment loss of one step (paper: the rendered frame alone = 1)
    sh_degree: int = 2  # spherical harmonics of the appearance
    audio_augment: float = 1.0  # strength of gain, tilt, noise and band drops on the speech features (0: none, as in the paper)
    lambda_ssim: float = 0.2  # weight of 1 - SSIM
    lambda_detail: float = 0.0  # extra mean L1 inside the lip and eye boxes (ours: short schedules would learn blinks too late)
    lambda_align: float = 1e-3  # weight of L_align (paper, Eq. 6)
    lambda_motion: float = 1e-5  # weight of the mean absolute offsets
    lambda_alpha: float = 1e-3  # weight of the silhouette terms
    lambda_attention: float = 1e-4  # weight of the region-attention terms
    attention_every: int = 8  # the attention image is rendered each so many steps, with its weight multiplied (paper: 1)
    # hair counts in one of so many motion steps (TalkingGaussian): it should be drawn, not explain motion (in all of them: lids
    # never learnt to close)
    hair_every: int = 7
    lambda_lpips: float = 0.5  # of the mouth and fuse stages; only used when LPIPS weights are given
    mask_ratio: tuple = (0.1, 0.3)  # r ~ U of the masked path (paper, section 3.3)
    path_weights: tuple = (4, 4, 2)  # audio : masked : vanilla (paper, section 3.3)
    mouth_from_face: bool = True  # the mouth's audio net starts from the face's (ours: short schedules are too short for two)
    net_lr: float = 5e-4  # of the perceptrons; grids and audio attention keep their multiples of it (`motion.LR`)
    audio_lr: float = 1.0  # times the audio nets' learning rate; low, what a speech prior knows of other voices is kept (ours)
    rule_every: int = 15  # the face's curriculum acts in one of so many steps (TalkingGaussian)
    uniform_lr: bool = False  # one learning rate for all of the motion nets, the paper's literal words
    published_endings: bool = False  # the last percents of each stage as TalkingGaussian's code has them
    # (`objectives.HAIR_ALWAYS` and what follows it), silhouette terms from the motion phase on
    crop_margin: int | None = 12  # px around the head that are rasterised in most steps; None: always the whole frame. A loss
    # is a mean over what is rasterised, so a cropped step's gradients, those that growth is decided by too, are larger by frame
    # over crop; grad_threshold of the presets that crop was chosen with that
    pose_track: int = 750  # poses, upper-face action units and torso states kept in the avatar file
    torso_components: int = 10  # rank of the torso's appearance model
    window: Window = "centred"  # of audio: frames [t - 4, t + 4) as in the paper, or "causal", [t - 7, t], for live use (ours)
    batch: int = 1  # frames per step, over all processes (paper: 1)
    precision: str = "fp32"  # of the motion nets, one of PRECISIONS; drawing stays fp32
    gradient_clip: float | None = None  # largest norm of the gradient; None: no limit
    save_every: int = 500  # steps between savings of the unfinished training
    val_every: int = 500  # steps between validations
    log_every: int = 10  # steps averaged in one line of the log
    fusion: str = "gate"  # of the implicit and the explicit code, one of FUSIONS (docs/hmtalker.md#options)
    cue: str = "au"  # what the explicit code is made of, one of CUES
    densify: str = "grow"  # how Gaussians multiply, one of DENSIFY; at most `max_points` of a branch either way
    pose_residuals: bool = False  # small corrections of the training frames' camera poses are learnt with the face

    def __post_init__(self) -> None:
        whole = {name: getattr(self, name) for name in ("batch", *FREE)}
        wrong = ", ".join(f"{name} {value}" for name, value in whole.items() if type(value) is not int or value < 1)
        require(not wrong, "Batch and intervals must be whole numbers above 0", wrong)
        require(self.window in WINDOWS, f"window must be one of {', '.join(WINDOWS)}", f"'{self.window}'")
        require(self.precision in PRECISIONS, f"precision must be one of {', '.join(PRECISIONS)}", f"'{self.precision}'")
        require(self.gradient_clip is None or self.gradient_clip > 0, "gradient_clip must be above 0", f"{self.gradient_clip}")
        for name, known in (("fusion", FUSIONS), ("cue", CUES), ("densify", DENSIFY)):
            require(getattr(self, name) in known, f"{name} must be one of {', '.join(known)}", f"'{getattr(self, name)}'")
        paths, mask = self.path_weights, self.mask_ratio
        require(len(paths) == 3 and all(0 <= w < math.inf for w in paths) and sum(paths) > 0, "The path ratio must be three "
                "numbers of 0 or more, for audio, masked and vanilla, and not all 0", ":".join(f"{w:g}" for w in paths))
        require(len(mask) == 2 and 0 <= mask[0] <= mask[1] <= 1, "The mask range must be two numbers in 0..1, the smaller first",
                ":".join(f"{r:g}" for r in mask))

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> TrainConfig:
        plain = dict(record)
        if "checkpoint_every" in plain:  # its name before
            plain["save_every"] = plain.pop("checkpoint_every")
        branches = {name: BranchConfig(**plain.pop(name)) for name in ("face", "mouth")}
        for name in ("mask_ratio", "path_weights"):
            plain[name] = tuple(plain[name])
        return cls(**branches, **plain)

    def identity(self) -> dict[str, Any]:
        """What must be equal for an unfinished training to be continued."""
        return {name: value for name, value in self.to_json().items() if name not in FREE}

    def with_cap(self, points: int) -> TrainConfig:
        """The same training with at most so many Gaussians in the face, and as many fewer or more in the mouth; a branch starts
        with no more than it may have.

        Raises:
            TalkingHeadsError: not a whole number in 100 to 10 million.
        """
        require(type(points) is int and 100 <= points <= MOST_POINTS, f"The cap must be a whole number from 100 to {MOST_POINTS}",
                f"{points!r}", "Give the number of Gaussians that the face may have")
        mouth = max(10, round(self.mouth.max_points * points / self.face.max_points))
        return replace(self, face=replace(self.face, max_points=points, points=min(self.face.points, points)),
                       mouth=replace(self.mouth, max_points=mouth, points=min(self.mouth.points, mouth)))

    @property
    def steps(self) -> int:
        """Optimisation steps of all phases."""
        return self.warmup_steps + self.face.steps + self.mouth.steps + self.fuse_steps

    def with_steps(self, steps: int) -> TrainConfig:
        """The same training in `steps` steps, all phases shortened or lengthened in proportion.

        Raises:
            TalkingHeadsError: not a whole number, or too few for every phase to have one.
        """
        phases = sum(length > 0 for length in (self.warmup_steps, self.face.steps, self.mouth.steps, self.fuse_steps))
        require(type(steps) is int and steps >= phases, f"The steps must be a whole number above 0, at least {phases}: one for "
                "each phase", f"{steps!r}")
        require(steps <= MOST_SCALED * self.steps, f"The steps must be at most {MOST_SCALED} times the preset's {self.steps}",
                f"{steps}")
        scaled = self.scaled(steps / self.steps)
        lengths = {"warmup": scaled.warmup_steps, "face": scaled.face.steps, "mouth": scaled.mouth.steps,
                   "fuse": scaled.fuse_steps}
        while rest := steps - sum(lengths.values()):  # what rounding left
            longest = max(("face", "mouth", "warmup", "fuse"), key=lengths.__getitem__)
            lengths[longest] += max(rest, 1 - lengths[longest])
        return replace(scaled, face=replace(scaled.face, steps=lengths["face"]), fuse_steps=lengths["fuse"],
                       mouth=replace(scaled.mouth, steps=lengths["mouth"]), warmup_steps=lengths["warmup"])

    def scaled(self, factor: float) -> TrainConfig:
        """The same training with every schedule multiplied by `factor` (> 0)."""
        if not 0 < factor <= MOST_SCALED:
            raise TalkingHeadsError(f"The step multiplier must be above 0, and {MOST_SCALED} at most", f"{factor}",
                                    "Use 1 for the preset's own length")

        def n(steps: int) -> int:  # what is left out stays left out
            return max(1, round(steps * factor)) if steps else 0

        def stretch(branch: BranchConfig) -> BranchConfig:
            return replace(branch, steps=n(branch.steps), static=n(branch.static), densify_from=n(branch.densify_from),
                           densify_every=min(branch.densify_every, max(10, n(branch.densify_every))))

        return replace(self, face=stretch(self.face), mouth=stretch(self.mouth), fuse_steps=n(self.fuse_steps),
                       warmup_steps=n(self.warmup_steps))


def numbers_of(text: str, what: str, count: int) -> tuple[float, ...]:
    """Numbers written with colons between them, such as 4:4:2.

    Raises:
        TalkingHeadsError: something else, or another number of them.
    """
    example = ":".join(("4", "4", "2") if count == 3 else ("0.1", "0.3"))
    parts = text.replace(" ", "").split(":")
    try:
        found = tuple(int(part) if part.isdecimal() else float(part) for part in parts)
    except ValueError:
        found = ()
    require(len(found) == count and all(math.isfinite(n) for n in found),
            f"{what} must be {count} numbers with colons between them", repr(text), f"Write {example}, for instance")
    return found


def presets() -> dict[str, TrainConfig]:
    """`demo` (a CPU, minutes), `standard` (a GPU, minutes) and `published` (the published schedule), by name."""
    demo = TrainConfig(
        preset="demo", init="silhouette", fuse_steps=600, warmup_steps=800, speech_prior=True, align_batch=16, hair_every=3,
        lambda_detail=0.3, lambda_align=3e-2, net_lr=1e-3, rule_every=4, audio_lr=0.02,
        face=BranchConfig(steps=7000, static=700, points=5000, max_points=10000, densify_from=300, densify_until=0.75),
        mouth=BranchConfig(steps=2200, static=300, points=1200, max_points=2500, densify_from=200, densify_until=0.75,
                           grad_threshold=2e-4))
    standard = replace(
        demo, preset="standard", fuse_steps=5000, warmup_steps=1000, crop_margin=None, lambda_detail=0.1, net_lr=1e-3,
        rule_every=8,
        face=BranchConfig(steps=20000, static=1500, points=10000, max_points=60000, densify_until=0.9),
        mouth=BranchConfig(steps=15000, static=1500, points=5000, max_points=20000, densify_until=0.9, grad_threshold=2e-4))
    published = TrainConfig(
        preset="published", init="cube", fuse_steps=15000, warmup_steps=0, speech_prior=False, align_batch=1, audio_augment=0.0,
        attention_every=1, mouth_from_face=False, published_endings=True, crop_margin=None, pose_track=10000,
        save_every=2000, val_every=2000,
        face=BranchConfig(steps=50000, static=3000, points=2000, max_points=1000000),
        mouth=BranchConfig(steps=50000, static=3000, points=10000, max_points=1000000, densify_until=0.9, grad_threshold=2e-4))
    return {c.preset: c for c in (demo, standard, published)}


def preset(name: str) -> TrainConfig:
    """The preset called `name`, or once called so; a three-part error lists the names otherwise."""
    known = presets()
    name = FORMERLY.get(name, name)
    if name not in known:
        raise TalkingHeadsError("The preset must be one of " + ", ".join(known), repr(name), "Choose one of these names")
    return known[name]
