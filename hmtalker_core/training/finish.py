"""From a finished training to an avatar, and how good it is on held-out frames."""
from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...media_core.motion import AU_NAMES, LOWER_INDEX, PoseTrack
from ...training_core.trainer import EvalResult, Validate, ended_early
from ..avatar import Avatar, AvatarMotion, Modules
from ..avatar_motion import opened, rested
from ..model.audio_net import net_arguments
from ..model.torso import fit_torso
from .batches import Clip, View
from .branches import motion_kind
from .config import TrainConfig
from .fresh import fresh_mouth
from .objectives import FrameResult, driven, face_net, mouth_net, side_by_side
from .steps import PHASES, AvatarTraining

LICENCE = ("Belongs to whoever owns the training video; use needs the consent of the person shown. "
           "Made by Talking Heads (Apache-2.0) after HM-Talker and TalkingGaussian, from their descriptions alone.")
TICK_EVERY = 25  # frames between two chances to stop
HELD_OUT = 24  # validation frames that a finished avatar is scored on
VALIDATED = 4  # and that a training is, meanwhile
FEWEST_SHUT = 5  # frames that say how the lips are shut
GAIN_FRAMES, FEWEST_GAIN = 1500, 25  # that say how wide lips open, at most and at least
MOST_GAIN, LEAST_MOVE, RIDGE = 1.5, 0.02, 1e-3  # of lips; standard deviation of a unit of 0..5 that moves; of the mean variance
_PARTED, _DROPPED = AU_NAMES.index("AU25"), AU_NAMES.index("AU26")


def build_avatar(run: AvatarTraining, tick: Callable[[], None] = lambda: None) -> Avatar:
    """The avatar of a training's current weights, on its device; of one that ended before the mouth's phase with a mouth as that
    begins. `tick` is called now and then and may raise to stop."""
    clip, config = run.clip, run.config
    mouth = run.mouth or fresh_mouth(clip, config, run.seed, run.face, run.start)
    record = {"au_known": units_that_act(clip), "rest": shut_lips(clip), "motion": motion_kind(clip, config).to_config(),
              "licence": LICENCE,
              "training": {**config.to_json(), "seed": run.seed, "frames": len(clip.dataset.train_index),
                           **ended_early(run.step, run.steps)}}
    fields = copy.deepcopy(run.face.field), copy.deepcopy(mouth.field)
    nets = copy.deepcopy(face_net(run.face)), copy.deepcopy(mouth_net(mouth))
    avatar = assembled(clip, (*fields, *nets), record, config, None if run.residuals is None else run.residuals.poses, tick)
    return avatar.with_config(lip_gain=lip_gain(avatar, clip))


def assembled(clip: Clip, modules: Modules, record: Mapping[str, Any], config: TrainConfig,
              corrected: Callable[[Tensor, Tensor], Tensor] | None = None, tick: Callable[[], None] = lambda: None) -> Avatar:
    """An avatar of these fields and nets with the poses, the body and the background of a dataset.

    Args:
        record: entries of the avatar's config beside those the clip tells.
        config: how long the track and how rich the torso's model is.
        corrected: (poses, frames) -> better poses of those frames.
        tick: called now and then; may raise to stop.
    """
    data = clip.dataset
    kept = [int(i) for i in np.asarray(data.train_index)[:config.pose_track]]
    torso = fit_torso(TorsoLayers(clip, kept, tick), len(kept), config.torso_components, frame_size(clip))
    seen_from = torch.as_tensor(np.asarray(data.poses), dtype=torch.float32)[kept]
    if corrected is not None:
        seen_from = corrected(seen_from, torch.tensor(kept))
    poses = PoseTrack(seen_from, float(data.focal), frame_size(clip), float(data.fps))
    background = torch.as_tensor(data.frame(kept[0]).background).clone()
    told: dict[str, Any] = {
        **clip.hears.to_config(), "audio": net_arguments(clip.features), "window": clip.window,
        "blink_ceiling": clip.blink_ceiling,
        "au_source": data.au_source, "au_reliability": data.au_reliability and list(data.au_reliability), "credit": data.credit}
    return Avatar(*modules, poses, clip.au[kept].cpu(), torso.to(clip.device), background.to(clip.device),
                  told | dict(record)).to(clip.device)


def units_that_act(clip: Clip) -> list[bool]:  # [17]
    """Which action units the avatar was trained with; with another cue than action units, no lower one."""
    return [known and (clip.cue is None or unit not in LOWER_INDEX) for unit, known in enumerate(clip.au_known)]


def shut_lips(clip: Clip) -> list[float] | None:
    """What the explicit code is made of where the person's lips are shut: the median over the training frames that part them
    least, with no parting at all; None where the parting is not known."""
    if not clip.au_known[_PARTED]:
        return None
    train = torch.as_tensor(np.asarray(clip.dataset.train_index), device=clip.device)
    least = clip.au[train][:, [_PARTED, _DROPPED]].sum(1).argsort(stable=True)[:max(FEWEST_SHUT, len(train) // 50)]
    rest = clip.explicit[train[least]].median(0).values
    if clip.cue is None:
        rest[LOWER_INDEX.index(_PARTED)] = 0
    return rest.tolist()


def lip_gain(avatar: Avatar, clip: Clip) -> float:
    """How many times farther from rest lips must go than the audio nets say, to open as wide as those of the video: 1..1.5.

    Nets that cannot tell from the audio how lips move say less than lips do. Compares how AU25 and AU26 spread over the training
    frames, read linearly from the codes that measured units give, with what the same reading finds in the codes of speech. 1
    where neither unit is known, or nothing moves.
    """
    train, units = np.asarray(clip.dataset.train_index), [u for u in (_PARTED, _DROPPED) if clip.au_known[u]]
    frames = [int(i) for i in train[np.linspace(0, len(train) - 1, min(len(train), GAIN_FRAMES)).astype(int)]]
    if not units or len(frames) < FEWEST_GAIN:
        return 1.0
    index = torch.tensor(frames, device=clip.device)
    with torch.inference_mode():
        spoken = avatar.with_config(lip_gain=1.0)
        heard = motion_of_frames(spoken, clip, frames).codes
        seen = avatar.face_net.codes(clip.windows(index), clip.explicit[index], "vanilla")["c_fused"]
    assert seen is not None
    heard, seen, acted = (x.double().cpu() for x in (heard, seen, clip.au[index][:, units]))
    centred = seen - seen.mean(0)
    gram = centred.T @ centred
    ridge = RIDGE * gram.diagonal().mean().clamp_min(1e-12) * torch.eye(len(gram), dtype=gram.dtype)
    slope = torch.linalg.solve(gram + ridge, centred.T @ (acted - acted.mean(0)))
    shown, wanted = ((codes @ slope).std(0) for codes in (heard, seen))
    moves = wanted > LEAST_MOVE
    if not bool(moves.any()):
        return 1.0
    share = float((shown[moves] / wanted[moves]).mean())
    return round(min(max(1 / max(share, 1e-6), 1.0), MOST_GAIN), 3)


def frame_size(clip: Clip) -> tuple[int, int]:
    """(H, W) px."""
    height, width = clip.dataset.size
    return height, width


class TorsoLayers:
    """The torso layers of some frames, decoded one at a time; can be read repeatedly."""

    def __init__(self, clip: Clip, frames: list[int], tick: Callable[[], None]):
        self.clip, self.frames, self.tick = clip, frames, tick

    def __iter__(self) -> Iterator[Tensor]:
        for position, index in enumerate(self.frames):
            if position % TICK_EVERY == 0:
                self.tick()
            yield torch.as_tensor(self.clip.dataset.frame(index).torso)


def motion_of_frames(avatar: Avatar, clip: Clip, frames: list[int]) -> AvatarMotion:
    """The motion that re-enacts frames of a dataset: their own poses and action units, lips from their audio, at rest where
    nobody speaks, as in `Avatar.drive`. The body keeps the first pose's state: only the head can be compared."""
    index = torch.tensor(frames, device=clip.device)
    with torch.inference_mode():
        nothing = torch.full((len(frames), len(LOWER_INDEX)), torch.nan, device=clip.device)
        spoken, au = avatar.understood(clip.windows(index), nothing), clip.au[index].clone()
        if clip.silence is not None:
            spoken = opened(spoken, avatar.calm(clip.silence), avatar.lip_gain, nothing)
        codes, mouth, _ = spoken
        if clip.gate is not None and clip.silence is not None:
            gate = clip.gate[clip.sound[index].to(clip.gate.device).clamp(max=len(clip.gate) - 1)]
            codes, mouth = (rested(c, r, gate.to(c.device)) for c, r in zip((codes, mouth), avatar.calm(clip.silence)))
    poses = PoseTrack(torch.as_tensor(np.asarray(clip.dataset.poses), dtype=torch.float32)[frames], float(clip.dataset.focal),
                      frame_size(clip), float(clip.dataset.fps))
    return AvatarMotion(codes.cpu(), mouth.cpu(), au.cpu(), poses, torch.zeros(len(frames), dtype=torch.long),
                        avatar.encoder)


def held_out_frames(clip: Clip, most: int) -> list[int]:
    """Evenly spread validation frames."""
    held_out = [int(i) for i in np.asarray(clip.dataset.val_index)]
    return held_out[::max(1, len(held_out) // most)][:most]


def head_psnr(image: Tensor, view: View) -> float:  # [H, W, 3] -> dB
    """Within the head's mask alone."""
    head = torch.maximum(torch.maximum(view.face, view.hair), view.mouth)
    squared = ((image - view.image).square() * head).sum() / (3 * head.sum()).clamp_min(1)
    return -10 * float(torch.log10(squared.clamp_min(1e-10)))


def held_out_quality(avatar: Avatar, clip: Clip) -> dict[str, float]:
    """Head PSNR (dB) on evenly spread validation frames, driven by their audio; empty without validation frames."""
    held_out = held_out_frames(clip, HELD_OUT)
    if not held_out:
        return {}
    motion = motion_of_frames(avatar, clip, held_out)
    scores = [head_psnr(rgb[0], clip.view(index))
              for index, (rgb, _) in zip(held_out, avatar.render(motion, chunk=1), strict=True)]
    return {"head_psnr": float(np.mean(scores)), "frames": len(held_out)}


def validation(run: AvatarTraining) -> Validate | None:
    """The same on fewer frames, for a training between two steps; None where there are no validation frames."""
    held_out = held_out_frames(run.clip, VALIDATED)

    @torch.no_grad()
    def validate(watch: Callable[[], None]) -> EvalResult | None:
        if run.phase == PHASES.index("warmup"):  # which draws nothing
            return None
        scores, pairs = [], []
        for index in held_out:
            view = run.clip.view(index)
            moving = run.phase > PHASES.index("face") or run.at >= run.config.face.static
            image = driven(run.face, run.mouth, run.clip, view, moving=moving)
            scores.append(head_psnr(image, view))
            pairs.append(side_by_side(FrameResult(image.new_zeros(()), image, view.image)))
            watch()
        columns = min(2, len(pairs))  # as wide as a node
        pairs += [np.zeros_like(pairs[0])] * (-len(pairs) % columns)
        rows = [np.concatenate(pairs[at:at + columns], axis=1) for at in range(0, len(pairs), columns)]
        return EvalResult({"val_psnr": float(np.mean(scores))}, ("val_psnr",), np.concatenate(rows), name="avatar",
                          caption=" | ".join(["held-out | avatar"] * columns))

    return validate if held_out else None
