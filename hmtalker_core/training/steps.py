"""A training run: its two branches, and what one step of each phase does."""
from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...media_core.chance import drawn
from ...media_core.motion import AU_NAMES
from ...training_core.state import check_finite_step
from ..model.audio_net import net_arguments
from ..model.gaussians import GaussianField
from ..model.motion import FaceMotionNet, MouthMotionNet
from .batches import BLINK, Clip, bounding_box
from .branches import Branch
from .config import BranchConfig, TrainConfig
from .curriculum import FrameOrder, choose_frame, face_rule, mouth_rule, step_seed
from .initial import cube_points, frontal_frame, silhouette_points
from .lpips import LPIPS
from .objectives import MOUTH_FROZEN, align_loss, face_loss, fuse_loss, in_ending, mouth_loss
from .prior import start_from_prior
from .schedules import exponential_lr, face_motion_factor, mouth_motion_factor, prune_opacity

PHASES = ("warmup", "face", "mouth", "fuse")
WARMUP_LR, WARMUP_BATCH = 5e-4, 32
FUSE_OPACITY_LR = 1e-3  # what TalkingGaussian's script asks for and, by a defect of its code, never gets
FULL_FRAME_EVERY = 8  # steps in which a cropped branch sees the whole frame
SH_EVERY = 1000  # steps between degrees of the spherical harmonics; a seventh of a shorter run
FROZEN = ("xyz", "opacity", "scaling", "rotation")  # of the mouth in its published ending: only its colours go on learning
MAX_SCREEN = 20  # px, a Gaussian that covers more goes; as in TalkingGaussian
MOUTH_TRIES = 8  # more frames are drawn until one shows the inside of the mouth; after so many, the last will do
EMA = 0.02
MIN_EXTENT = 0.1  # m, the lower end of what recordings usually have


class Run:
    """The state of a training run between two steps.

    Attributes:
        phase: index into PHASES, len(PHASES) when finished; at: steps done in it.
        face, mouth: branches; `mouth` exists from its phase on.
        psnr, loss: moving averages, for show.
        between: whether the last step is whole or never moved anything, so that the state can be kept.
    """

    def __init__(self, clip: Clip, config: TrainConfig, seed: int, face: Branch, mouth: Branch | None = None, *,
                 phase: int = 0, at: int = 0):
        self.clip, self.config, self.seed = clip, config, seed
        self.lpips: LPIPS | None = None  # set by the caller who has weights
        self.face, self.mouth, self.phase, self.at = face, mouth, phase, at
        self.loss, self.psnr, self.between = math.nan, math.nan, True
        self.warmup_optimizer = self._make_warmup_optimizer()
        self.fuse_optimizer: torch.optim.Adam | None = None
        self._rules = self._make_rules()
        self._orders = {p: FrameOrder(np.asarray(clip.dataset.train_index), seed, i) for i, p in enumerate(PHASES)}
        self._skip_empty_phases()

    @classmethod
    def fresh(cls, clip: Clip, config: TrainConfig, seed: int, prior: tuple | None = None) -> Run:
        """A run before its first step; `prior` is (file, encoder id) of a speech prior to start from."""
        generator = torch.Generator().manual_seed(step_seed(seed, 90, 0))
        net = drawn(step_seed(seed, 91, 0), lambda: FaceMotionNet(**audio_arguments(clip))).to(clip.device)
        if prior is not None:
            start_from_prior(net, *prior)
        field = initial_field(clip, config, config.face, "head", generator).to(clip.device)
        return cls(clip, config, seed, Branch(field, net, extent_of(clip), config.face.max_points, config.net_lr,
                                              config.uniform_lr))

    @property
    def lengths(self) -> tuple:
        return steps_of(self.config)

    @property
    def total_steps(self) -> int:
        return sum(self.lengths)

    @property
    def done(self) -> int:
        return sum(self.lengths[:self.phase]) + self.at

    @property
    def draws(self) -> bool:
        """Whether the next step draws pictures: all but the first phase do."""
        return PHASES[self.phase] != "warmup"

    def step(self, wants_picture: bool) -> tuple[Mapping[str, Any], np.ndarray | None]:
        """One optimisation step: (figures, picture uint8 [h, 2w, 3] or None).

        Raises:
            TalkingHeadsError: the loss or a gradient is not finite; weights, moments and statistics are those before the step.
        """
        name = PHASES[self.phase]
        generator = torch.Generator().manual_seed(step_seed(self.seed, self.phase, self.at))
        loss, image, target = getattr(self, f"_{name}_step")(self.at, generator)
        self._average(loss, image, target)
        points = len(self.face.field) + (len(self.mouth.field) if self.mouth else 0)
        shown = {} if math.isnan(self.psnr) else {"psnr": self.psnr}
        info = {"phase": name, "loss": self.loss, **shown, "points": points}
        self.at, self.between = self.at + 1, True
        self._skip_empty_phases()  # a new phase begins with new averages
        return info, side_by_side(target, image) if wants_picture and image is not None else None

    def _skip_empty_phases(self) -> None:
        while self.phase < len(PHASES) and self.at >= self.lengths[self.phase]:
            self.phase, self.at = self.phase + 1, 0
            self.loss = self.psnr = math.nan
        if self.phase >= PHASES.index("mouth") and self.mouth is None:
            self.mouth = self._fresh_mouth()
        if self.phase == PHASES.index("fuse") and self.fuse_optimizer is None:
            self.fuse_optimizer = self._make_fuse_optimizer()

    def _average(self, loss: Tensor, image: Tensor | None, target: Tensor | None) -> None:
        value = float(loss.detach())
        self.loss = value if math.isnan(self.loss) else (1 - EMA) * self.loss + EMA * value
        if image is not None:
            psnr = -10 * math.log10(max(float((image.detach() - target).square().mean()), 1e-10))
            self.psnr = psnr if math.isnan(self.psnr) else (1 - EMA) * self.psnr + EMA * psnr

    # phases ---------------------------------------------------------------------------------------------------------------------

    def _warmup_step(self, step: int, generator: torch.Generator) -> tuple[Tensor, None, None]:
        """Alignment alone: AudioNet, AudioAttNet and A2AM learn the explicit code of measured action units."""
        train = torch.as_tensor(np.asarray(self.clip.dataset.train_index))
        frames = train[torch.randint(len(train), (WARMUP_BATCH,), generator=generator)].to(self.clip.device)
        for group in self.warmup_optimizer.param_groups:
            group["lr"] = WARMUP_LR * (1 - step / self.config.warmup_steps)
        loss = align_loss(self.face.net, self.clip, frames, self.config, generator)
        self._backward(loss, self.warmup_optimizer)
        self.warmup_optimizer.step()
        return loss, None, None

    def _face_step(self, step: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        plan = self.config.face
        self.face.set_rates(exponential_lr(step, 1.0, 0.01, 0.9 * plan.steps), face_motion_factor(step, plan.steps))
        index = choose_frame(self._orders["face"], self._rules["face"], step)
        view = self.clip.view(index, self._head_box(index, step))
        loss, shot, image, target = face_loss(self.face, self.clip, view, step, self.config, generator, self.lpips)
        self._update(self.face, loss, shot.meta, plan, step, generator)
        return loss, image, target

    def _mouth_step(self, step: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        plan = self.config.mouth
        self.mouth.set_rates(exponential_lr(step, 1.0, 0.01, 0.9 * plan.steps), mouth_motion_factor(step, plan.steps))
        view = self.clip.view(*self._mouth_frame(step))
        loss, shot, image, target = mouth_loss(self.mouth, self.clip, view, step, self.config, generator, self.lpips)
        self._update(self.mouth, loss, shot.meta, plan, step, generator)
        return loss, image, target

    def _fuse_step(self, step: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        index = self._orders["fuse"](step)
        view = self.clip.view(index, self._head_box(index, step))
        loss, image, target = fuse_loss(self.face, self.mouth, self.clip, view, step, self.config, generator, self.lpips)
        self._backward(loss, self.fuse_optimizer)
        self.fuse_optimizer.step()
        return loss, image, target

    def _update(self, branch: Branch, loss: Tensor, meta: dict, plan: BranchConfig, step: int,
                generator: torch.Generator) -> None:
        """Backward, optimisers, density control, degree of the harmonics."""
        self._backward(loss, branch.field_optimizer, branch.net_optimizer, centres=meta["means2d"])
        frozen = branch is self.mouth and in_ending(self.config, step, MOUTH_FROZEN, plan.steps)
        height, width = self.clip.dataset.size
        branch.density.accumulate(meta["means2d"].grad[0], meta["radii"][0], width, height)
        if frozen:
            for name in FROZEN:
                getattr(branch.field, name).grad = None
        branch.field_optimizer.step()
        if step >= plan.static and not frozen:
            branch.net_optimizer.step()
        until = plan.densify_until * plan.steps
        if plan.densify_from <= step < until and step % plan.densify_every == 0:
            # A short run has not lifted its opacities yet: thin out, do not empty.
            typical = float(branch.field.opacities.detach().median())
            threshold = min(prune_opacity(step, until, plan.prune_from, plan.prune_ramp), 0.5 * typical)
            branch.density.densify_and_prune(plan.grad_threshold, threshold, branch.extent,
                                             MAX_SCREEN if step >= plan.static else None, generator=generator)
        if (step + 1) % max(1, min(SH_EVERY, plan.steps // 7)) == 0:
            branch.field.grow_sh_degree()

    def _backward(self, loss: Tensor, *optimizers: torch.optim.Optimizer, centres: Tensor | None = None) -> None:
        """Gradients of what the optimisers move, looked at before anything takes them in. `centres` keeps its gradient too."""
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        moved = [p.grad for o in optimizers for group in o.param_groups for p in group["params"]]
        check_finite_step(loss, [*moved, None if centres is None else centres.grad],
                          f"step {self.at + 1} of {PHASES[self.phase]}")
        self.between = False

    # what a step sees -----------------------------------------------------------------------------------------------------------

    def _head_box(self, index: int, step: int) -> tuple | None:
        if self.config.crop_margin is None or step % FULL_FRAME_EVERY == 0:
            return None
        frame = self.clip.dataset.frame(index)
        return bounding_box(frame.face_mask | frame.hair_mask | frame.mouth_mask, self.config.crop_margin)

    def _mouth_frame(self, step: int) -> tuple[int, tuple | None]:
        index = choose_frame(self._orders["mouth"], self._rules["mouth"], step)
        for attempt in range(MOUTH_TRIES):
            if self.clip.has_mouth(index):
                break
            index = self._orders["mouth"](step + (attempt + 1) * 7919)
        if self.config.crop_margin is None or step % FULL_FRAME_EVERY == 0:
            return index, None
        view = self.clip.view(index)
        return index, bounding_box((view.lips + view.mouth)[..., 0].cpu() > 0, self.config.crop_margin)

    # making the parts -----------------------------------------------------------------------------------------------------------

    def _make_rules(self) -> dict:
        data, plan, train = self.clip.dataset, self.config, self.clip.dataset.train_index
        opening = np.asarray(data.openings, dtype=np.float64)
        blink = (self.clip.au[:, BLINK] / self.clip.blink_ceiling).cpu().numpy()
        au25 = self.clip.au[:, AU_NAMES.index("AU25")].cpu().numpy()
        return {"face": face_rule(plan.face.steps, plan.face.static, opening, blink, train, plan.rule_every),
                "mouth": mouth_rule(plan.mouth.steps, plan.mouth.static, au25, train)}

    def _make_warmup_optimizer(self) -> torch.optim.AdamW:
        net = self.face.net
        parameters = [p for part in (net.audio_net, net.audio_att_net, net.a2am) for p in part.parameters()]
        return torch.optim.AdamW(parameters, lr=WARMUP_LR, weight_decay=1e-2)

    def _make_fuse_optimizer(self) -> torch.optim.Adam:
        groups = [g | {"lr": g["base_lr"]} for b in (self.face, self.mouth) for g in b.field_optimizer.param_groups
                  if g["name"] in ("f_dc", "f_rest")]
        groups.append({"params": [self.face.field.opacity], "lr": FUSE_OPACITY_LR})
        return torch.optim.Adam([{"params": g["params"], "lr": g["lr"]} for g in groups], eps=1e-15)

    def _fresh_mouth(self) -> Branch:
        generator = torch.Generator().manual_seed(step_seed(self.seed, 92, 0))
        net = drawn(step_seed(self.seed, 93, 0), lambda: MouthMotionNet(**audio_arguments(self.clip))).to(self.clip.device)
        if self.config.mouth_from_face:
            net.audio_net.load_state_dict(self.face.net.audio_net.state_dict())
            net.audio_att_net.load_state_dict(self.face.net.audio_att_net.state_dict())
        field = initial_field(self.clip, self.config, self.config.mouth, "mouth", generator).to(self.clip.device)
        return Branch(field, net, extent_of(self.clip), self.config.mouth.max_points, self.config.net_lr,
                      self.config.uniform_lr)


def steps_of(config: TrainConfig) -> tuple[int, int, int, int]:
    """Steps of each of PHASES."""
    return config.warmup_steps, config.face.steps, config.mouth.steps, config.fuse_steps


def audio_arguments(clip: Clip) -> dict[str, Any]:
    """Constructor arguments of both motion nets for the clip's speech features."""
    return net_arguments(clip.features)


def extent_of(clip: Clip) -> float:
    """Scene extent in metres, at least a usual one: with a head that hardly moves every Gaussian would count as too large."""
    return max(clip.dataset.extent, MIN_EXTENT)


def initial_field(clip: Clip, config: TrainConfig, plan: BranchConfig, part: str, generator: torch.Generator) -> GaussianField:
    """The first Gaussians of the head or of the inside of the mouth (`TrainConfig.init`)."""
    if config.init == "cube":
        return GaussianField.create(*cube_points(plan.points, generator), sh_degree=config.sh_degree)
    data = clip.dataset
    train = np.asarray(data.train_index)
    c2w = torch.as_tensor(np.asarray(data.poses), dtype=torch.float32)
    if part == "head":
        index = int(train[frontal_frame(c2w[train])])
        frame = data.frame(index)
        mask = frame.face_mask | frame.hair_mask
    else:
        index, mask = open_mouth(clip, train)
        frame = data.frame(index)
    image = torch.as_tensor(frame.image).float() / 255
    return GaussianField.create(*silhouette_points(image, torch.as_tensor(mask), c2w[index], data.focal, plan.points, generator),
                                sh_degree=config.sh_degree)


def open_mouth(clip: Clip, frames: np.ndarray) -> tuple[int, np.ndarray]:
    """(frame, mask [H, W]) of the widest mouth (AU25) whose inside shows; without one, the lip square of the widest."""
    au25 = clip.au[:, AU_NAMES.index("AU25")].cpu().numpy()
    widest_first = [int(i) for i in frames[np.argsort(-au25[frames], kind="stable")]]
    for index in widest_first:
        if clip.has_mouth(index):
            return index, clip.dataset.frame(index).mouth_mask
    return widest_first[0], clip.view(widest_first[0]).lips[..., 0].cpu().numpy() > 0


def side_by_side(target: Tensor, image: Tensor) -> np.ndarray:
    """uint8 [h, 2w, 3]: what should be, and what is."""
    pair = torch.cat([target, image], dim=1).detach().clamp(0, 1)
    return (pair * 255).round().to(torch.uint8).cpu().numpy()
