"""The training of an avatar: its two branches, and what one step of each phase does.

A step learns from `batch` frames, shared by the processes: gradients and density statistics are added up over frames and
processes. What is sampled for a frame depends on (seed, phase, step, frame of the batch) alone, so any process may compute it.
"""
from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.optim import Optimizer

from ...media_core.captions import COMPILE
from ...media_core.errors import TalkingHeadsError
from ...media_core.motion import AU_NAMES
from ...training_core.logs import Metrics
from ...training_core.process_group import SingleProcess
from ...training_core.state import check_finite_step
from ...training_core.trainer import Shown, TrainState
from ..data.dataset import MOUTH
from ..rasterizer import must_compile
from .batches import BLINK, LIPS, Box, Clip, View, bounding_box
from .branches import Branch
from .config import BranchConfig, TrainConfig
from .curriculum import (
    FrameOrder,
    Rule,
    choose_frame,
    exponential_lr,
    face_motion_factor,
    face_rule,
    mouth_motion_factor,
    mouth_rule,
    prune_opacity,
    step_seed,
)
from .fresh import MotionStates, fresh_face, fresh_mouth
from .lpips import LPIPS
from .mcmc import MarkovControl, regularised
from .objectives import (
    MOUTH_FROZEN,
    FrameResult,
    align_loss,
    face_loss,
    face_net,
    fuse_loss,
    in_ending,
    mouth_loss,
    side_by_side,
)
from .pose_residuals import PoseResiduals

PHASES = ("warmup", "face", "mouth", "fuse")
COLUMNS = ("phase", "loss", "psnr", "points", "lr", "grad_norm", "val_psnr")  # of the log
WARMUP_LR, WARMUP_BATCH = 5e-4, 32
FUSE_OPACITY_LR = 1e-3  # what TalkingGaussian's script asks for and, by a defect of its code, never gets
FULL_FRAME_EVERY = 8  # steps in which a cropped branch sees the whole frame
SH_EVERY = 1000  # steps between degrees of the spherical harmonics; a seventh of a shorter training
FROZEN = ("xyz", "opacity", "scaling", "rotation")  # of the mouth in its published ending: only its colours go on learning
MAX_SCREEN = 20  # px, a Gaussian that covers more goes; as in TalkingGaussian
AHEAD = 4  # steps whose frames are decoded in advance
MOUTH_TRIES = 8  # more frames are sampled until one shows the inside of the mouth; after so many, the last will do
EMA = 0.02
PREVIEW_EVERY = 25  # steps between preview images


class AvatarTraining(TrainState):
    """The state of a training between two steps.

    Args:
        clip: what it learns from. config: its settings. seed: of everything random.
        face, mouth: branches; `mouth` exists from its phase on.
        step: steps done.
        group: the processes that train together.
    Attributes:
        phase: index into PHASES, len(PHASES) when finished; at: steps done in it.
        loss, psnr: moving averages, for show.
    """

    def __init__(self, clip: Clip, config: TrainConfig, seed: int, face: Branch, mouth: Branch | None = None, *, step: int = 0,
                 group: SingleProcess | None = None):
        super().__init__(config, sum(steps_of(config)), group or SingleProcess())
        if config.batch % self.group.size:
            raise TalkingHeadsError("A batch must divide evenly into processes",
                                    f"{config.batch} frames, {self.group.size} processes", "Change the batch")
        self.clip, self.config, self.seed, self.step = clip, config, seed, step
        self.lpips: LPIPS | None = None  # set by the caller who has weights
        self.start: MotionStates | None = None  # likewise; the mouth's net begins with it
        self.face, self.mouth = face, mouth
        data = clip.dataset
        self.residuals = PoseResiduals(len(data), data.train_index, clip.device) if config.pose_residuals else None
        self.loss, self.psnr, self.preview = math.nan, math.nan, None
        self.warmup_optimizer = self._make_warmup_optimizer()
        self.fuse_optimizer: torch.optim.Adam | None = None
        self._rules = self._make_rules()
        self._orders = {p: FrameOrder(np.asarray(clip.dataset.train_index), seed, i) for i, p in enumerate(PHASES)}
        self._make_parts()

    @classmethod
    def fresh(cls, clip: Clip, config: TrainConfig, seed: int, prior: tuple[Any, str] | None = None,
              group: SingleProcess | None = None, start: MotionStates | None = None) -> AvatarTraining:
        """Before the first step; `prior` is (file, encoder id) of a speech prior to start from, `start` the state dicts of the
        motion nets of the face and of the mouth instead."""
        run = cls(clip, config, seed, fresh_face(clip, config, seed, prior, start), group=group)
        run.start = start
        return run

    @property
    def phase(self) -> int:
        return bisect_right(list(accumulate(steps_of(self.config))), self.step)

    @property
    def at(self) -> int:
        return self.step - sum(steps_of(self.config)[:self.phase])

    def save(self, path: Path, identity: Mapping[str, Any]) -> None:
        from .state import save_training

        save_training(self, path, identity)

    def notice(self) -> Metrics | None:
        draws = PHASES[self.phase] != "warmup"
        return {"phase": COMPILE} if draws and must_compile(self.clip.device, gradients=True) else None

    def shown(self, metrics: Metrics) -> Shown:
        return Shown(self._info, self.preview, "truth | avatar")

    # one step -------------------------------------------------------------------------------------------------------------------

    def train_step(self) -> dict[str, float | str]:
        phase, step, at, batch = PHASES[self.phase], self.step, self.at, self.config.batch
        optimizers = self._optimizers(phase, at)
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        each, results = batch // self.group.size, []
        generators = []
        for slot in range(self.group.rank * each, (self.group.rank + 1) * each):
            generators.append(torch.Generator().manual_seed(step_seed(self.seed, self.phase, at, slot)))
            result = getattr(self, f"_{phase}_frame")(at, slot, generators[-1])
            (result.loss if batch == 1 else result.loss / batch).backward()
            results.append(result)
        loss, norm = self._checked_gradients(optimizers, results, f"step {at + 1} of {phase}")
        self.whole = False
        generator = generators[0] if batch == 1 else torch.Generator().manual_seed(step_seed(self.seed, self.phase + 200, at))
        self._move(phase, at, optimizers, results, generator)
        psnr = self._mean_psnr(results)
        metrics = self._metrics(phase, loss, psnr, norm, optimizers[-1].param_groups[0]["lr"])
        self.preview = side_by_side(results[0]) if step % PREVIEW_EVERY == 0 else None
        self.step, self.whole = step + 1, True
        if PHASES[self.phase:self.phase + 1] != (phase,):  # a new phase begins with new averages
            self.loss = self.psnr = math.nan
        self._make_parts()
        self._read_ahead()
        return metrics

    def _checked_gradients(self, optimizers: Sequence[Optimizer], results: Sequence[FrameResult], where: str
                           ) -> tuple[float, float]:
        """Gradients of what the optimizers move, added up over the processes, and looked at before anything takes them in: the
        step's loss and their norm before they are clipped."""
        moved = [p for o in optimizers for group in o.param_groups for p in group["params"]]
        centres = [result.shot.centre_gradients for result in results if result.shot is not None]
        loss = results[0].loss.detach()
        if self.config.batch > 1:
            loss = self.group.total(torch.stack([result.loss.detach() for result in results]).sum()) / self.config.batch
            self.group.sum_gradients(moved)
            centres = [self.group.total(torch.stack([c.norm() for c in centres]).sum())] if centres else []
        found = check_finite_step(loss, [p.grad for p in moved], where, also=centres)
        if self.config.gradient_clip is not None:
            torch.nn.utils.clip_grad_norm_(moved, self.config.gradient_clip)
        return found

    def _mean_psnr(self, results: Sequence[FrameResult]) -> float:
        mean = sum(result.psnr for result in results) / len(results)
        if self.group.size == 1:
            return mean
        return float(self.group.total(torch.tensor(mean, device=self.clip.device))) / self.group.size

    def _metrics(self, phase: str, loss: float, psnr: float, norm: float, lr: float) -> dict[str, float | str]:
        """For the log; and takes loss and PSNR into what is shown."""
        self.loss = loss if math.isnan(self.loss) else (1 - EMA) * self.loss + EMA * loss
        if not math.isnan(psnr):
            self.psnr = psnr if math.isnan(self.psnr) else (1 - EMA) * self.psnr + EMA * psnr
        points = len(self.face.field) + (len(self.mouth.field) if self.mouth else 0)
        info = {"phase": phase, "loss": self.loss, **({} if math.isnan(self.psnr) else {"psnr": self.psnr}), "points": points,
                "lr": lr}
        self._info: Metrics = info
        return {"phase": phase, "loss": loss, **({} if math.isnan(psnr) else {"psnr": psnr}), "points": points, "lr": lr,
                "grad_norm": norm}

    # phases: what a frame of a step gives ---------------------------------------------------------------------------------------

    def _optimizers(self, phase: str, at: int) -> tuple[Optimizer, ...]:
        """Those that a step of the phase moves, with the step's learning rates."""
        if phase == "warmup":
            for group, factor in zip(self.warmup_optimizer.param_groups, (self.config.audio_lr, 1.0), strict=True):
                group["lr"] = factor * WARMUP_LR * (1 - at / self.config.warmup_steps)
            return (self.warmup_optimizer,)
        if phase == "fuse":
            assert self.fuse_optimizer is not None  # made when its phase begins
            return (self.fuse_optimizer,)
        plan, branch, factor = ((self.config.face, self.face, face_motion_factor) if phase == "face" else
                                (self.config.mouth, self._mouth, mouth_motion_factor))
        branch.set_rates(exponential_lr(at, 1.0, 0.01, 0.9 * plan.steps), factor(at, plan.steps))
        moved = branch.field_optimizer, branch.net_optimizer
        return (self.residuals.optimizer, *moved) if phase == "face" and self.residuals is not None else moved

    def _warmup_frame(self, at: int, slot: int, generator: torch.Generator) -> FrameResult:
        """Alignment alone: AudioNet, AudioAttNet and A2AM learn the explicit code of measured action units."""
        train = torch.as_tensor(np.asarray(self.clip.dataset.train_index))
        frames = train[torch.randint(len(train), (WARMUP_BATCH,), generator=generator)].to(self.clip.device)
        return FrameResult(align_loss(face_net(self.face), self.clip, frames, self.config, generator))

    def _face_frame(self, at: int, slot: int, generator: torch.Generator) -> FrameResult:
        index = self._frames("face", at, slot)[-1]
        view = self._view(index, self._head_box(index, at), at >= self.config.face.static)
        loss, shot, image, target = face_loss(self.face, self.clip, view, at, self.config, generator, self.lpips)
        return FrameResult(regularised(loss, self.face), image, target, shot)

    def _mouth_frame(self, at: int, slot: int, generator: torch.Generator) -> FrameResult:
        view = self._view(*self._mouth_box(at, slot))
        loss, shot, image, target = mouth_loss(self._mouth, self.clip, view, at, self.config, generator, self.lpips)
        return FrameResult(regularised(loss, self._mouth), image, target, shot)

    def _fuse_frame(self, at: int, slot: int, generator: torch.Generator) -> FrameResult:
        index = self._frames("fuse", at, slot)[-1]
        view = self._view(index, self._head_box(index, at))
        loss, image, target = fuse_loss(self.face, self._mouth, self.clip, view, at, self.config, generator, self.lpips)
        return FrameResult(loss, image, target)

    def _view(self, index: int, box: Box | None, learning: bool = False) -> View:
        """A frame, seen from its corrected pose, which is `learning`."""
        view = self.clip.view(index, box)
        return view if self.residuals is None else self.residuals.applied(view, learning)

    def _frames(self, phase: str, at: int, slot: int, decode: bool = True) -> list[int]:
        """The frames that a step looks at until one will do, which is the last; with `decode` False as far as is known."""
        order, batch = self._orders[phase], self.config.batch
        rule = self._rules.get(phase)
        found = [order(at * batch + slot) if rule is None else choose_frame(order, rule, at, slot, batch)]
        while phase == "mouth" and len(found) <= MOUTH_TRIES and not self.clip.has_mouth(found[-1], decode):
            found.append(order(at * batch + slot + len(found) * 7919))
        return found

    def _read_ahead(self) -> None:
        """The next steps' frames are decoded by a thread while this one computes."""
        phase, at, each = self.phase, self.at, self.config.batch // self.group.size
        if phase < len(PHASES) and PHASES[phase] != "warmup":
            last = steps_of(self.config)[phase]
            wanted = [self._frames(PHASES[phase], step, slot, decode=False)[-1] for step in range(at, min(at + AHEAD, last))
                      for slot in range(self.group.rank * each, (self.group.rank + 1) * each)]
            self.clip.dataset.ahead(wanted, torso=PHASES[phase] == "fuse")

    def _head_box(self, index: int, at: int) -> tuple[int, int, int, int] | None:
        if self.config.crop_margin is None or at % FULL_FRAME_EVERY == 0:
            return None
        return bounding_box(self.clip.dataset.frame(index).labels > 0, self.config.crop_margin)

    def _mouth_box(self, at: int, slot: int) -> tuple[int, tuple[int, int, int, int] | None]:
        index = self._frames("mouth", at, slot)[-1]
        if self.config.crop_margin is None or at % FULL_FRAME_EVERY == 0:
            return index, None
        return index, bounding_box((self.clip.view(index).regions & (LIPS | MOUTH)) > 0, self.config.crop_margin)

    # phases: what its gradients move --------------------------------------------------------------------------------------------

    def _move(self, phase: str, at: int, optimizers: Sequence[Optimizer], results: Sequence[FrameResult],
              generator: torch.Generator) -> None:
        if phase in ("face", "mouth"):
            branch, plan = (self.face, self.config.face) if phase == "face" else (self._mouth, self.config.mouth)
            self._move_branch(branch, results, plan, at, generator)
        else:
            for optimizer in optimizers:
                optimizer.step()

    def _move_branch(self, branch: Branch, results: Sequence[FrameResult], plan: BranchConfig, at: int,
                     generator: torch.Generator) -> None:
        """Optimizers, density control, degree of the harmonics."""
        frozen = branch is self.mouth and in_ending(self.config, at, MOUTH_FROZEN, plan.steps)
        height, width = self.clip.dataset.size
        shots = [result.shot for result in results if result.shot is not None]
        branch.density.accumulate_all([(shot.centre_gradients[0] * self.config.batch, shot.meta["radii"][0]) for shot in shots],
                                      width, height, self.group)
        if frozen:
            for name in FROZEN:
                getattr(branch.field, name).grad = None
        branch.field_optimizer.step()
        if at >= plan.static and not frozen:
            branch.net_optimizer.step()
        if self.residuals is not None and branch is self.face and at >= plan.static:
            self.residuals.move(exponential_lr(at, 1.0, 0.01, 0.9 * plan.steps))
        until = plan.densify_until * plan.steps
        if isinstance(branch.density, MarkovControl):
            if not frozen:
                branch.density.control(plan, at, branch.field_optimizer.param_groups[0]["lr"], generator)
        elif plan.densify_from <= at < until and at % plan.densify_every == 0:
            # A short training has not lifted its opacities yet: thin out, do not empty.
            typical = float(branch.field.opacities.detach().median())
            threshold = min(prune_opacity(at, until, plan.prune_from, plan.prune_ramp), 0.5 * typical)
            branch.density.densify_and_prune(plan.grad_threshold, threshold, branch.extent,
                                             MAX_SCREEN if at >= plan.static else None, generator=generator)
        if (at + 1) % max(1, min(SH_EVERY, plan.steps // 7)) == 0:
            branch.field.grow_sh_degree()

    # making the parts -----------------------------------------------------------------------------------------------------------

    @property
    def _mouth(self) -> Branch:
        assert self.mouth is not None  # made when its phase begins
        return self.mouth

    def _make_parts(self) -> None:
        """What the phase needs that earlier ones do not."""
        if self.phase >= PHASES.index("mouth") and self.mouth is None:
            self.mouth = fresh_mouth(self.clip, self.config, self.seed, self.face, self.start)
        if self.phase == PHASES.index("fuse") and self.fuse_optimizer is None:
            self.fuse_optimizer = self._make_fuse_optimizer()

    def _make_rules(self) -> dict[str, Rule]:
        data, plan, train = self.clip.dataset, self.config, self.clip.dataset.train_index
        opening = np.asarray(data.openings, dtype=np.float64)
        blink = (self.clip.au[:, BLINK] / self.clip.blink_ceiling).cpu().numpy()
        au25 = self.clip.au[:, AU_NAMES.index("AU25")].cpu().numpy()
        return {"face": face_rule(plan.face.steps, plan.face.static, opening, blink, train, plan.rule_every),
                "mouth": mouth_rule(plan.mouth.steps, plan.mouth.static, au25, train)}

    def _make_warmup_optimizer(self) -> torch.optim.AdamW:
        net = face_net(self.face)
        groups = [{"params": [p for part in parts for p in part.parameters()]}
                  for parts in ((net.audio_net, net.audio_att_net), (net.a2am,))]
        return torch.optim.AdamW(groups, lr=WARMUP_LR, weight_decay=1e-2, fused=self.clip.device.type == "cpu" or None)

    def _make_fuse_optimizer(self) -> torch.optim.Adam:
        groups = [g | {"lr": g["base_lr"]} for b in (self.face, self._mouth) for g in b.field_optimizer.param_groups
                  if g["name"] in ("f_dc", "f_rest")]
        groups.append({"params": [self.face.field.opacity], "lr": FUSE_OPACITY_LR})
        return torch.optim.Adam([{"params": g["params"], "lr": g["lr"]} for g in groups], eps=1e-15,
                                fused=self.clip.device.type == "cpu" or None)


def steps_of(config: TrainConfig) -> tuple[int, int, int, int]:
    """Steps of each of PHASES."""
    return config.warmup_steps, config.face.steps, config.mouth.steps, config.fuse_steps
