"""From a finished run to an avatar, and what it scores on frames whose pictures it never saw."""
from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...media_core.motion import PoseTrack
from ..avatar import Avatar, AvatarMotion
from ..model.torso import fit_torso
from .batches import Clip
from .steps import Run, audio_arguments

LICENCE = ("Belongs to whoever owns the training video; use needs the consent of the person shown. "
           "Made by Talking Heads (Apache-2.0) after HM-Talker and TalkingGaussian, from their descriptions alone.")
TICK_EVERY = 25  # pictures between two chances to stop
HELD_OUT = 24  # validation frames that are scored


def build_avatar(run: Run, tick: Callable[[], None] = lambda: None) -> Avatar:
    """The avatar of a run's current weights, on the run's device. `tick` is called now and then and may raise to stop."""
    clip, config = run.clip, run.config
    data = clip.dataset
    kept = [int(i) for i in np.asarray(data.train_index)[:config.pose_track]]
    torso = fit_torso(TorsoPictures(clip, kept, tick), len(kept), config.torso_components, data.size)
    poses = PoseTrack(torch.as_tensor(np.asarray(data.poses), dtype=torch.float32)[kept], float(data.focal), tuple(data.size),
                      float(data.fps))
    background = torch.as_tensor(data.frame(kept[0]).background).clone()
    record: dict[str, Any] = {
        **clip.hears.to_config(), "audio": audio_arguments(clip), "blink_ceiling": clip.blink_ceiling,
        "au_known": list(clip.au_known),
        "au_source": data.au_source, "au_reliability": data.au_reliability and list(data.au_reliability),
        "training": config.to_json() | {"seed": run.seed, "frames": len(data.train_index)}, "licence": LICENCE,
        "credit": data.credit}
    parts = [copy.deepcopy(part) for part in (run.face.field, run.mouth.field, run.face.net, run.mouth.net)]
    return Avatar(*parts, poses, clip.au[kept].cpu(), torso.to(clip.device), background.to(clip.device),
                  record).to(clip.device)


class TorsoPictures:
    """The torso layers of some frames, decoded one at a time; can be read again and again."""

    def __init__(self, clip: Clip, frames: list[int], tick: Callable[[], None]):
        self.clip, self.frames, self.tick = clip, frames, tick

    def __iter__(self) -> Iterator[Tensor]:
        for position, index in enumerate(self.frames):
            if position % TICK_EVERY == 0:
                self.tick()
            yield torch.as_tensor(self.clip.dataset.frame(index).torso)


def motion_of_frames(avatar: Avatar, clip: Clip, frames: list[int]) -> AvatarMotion:
    """The motion that re-enacts frames of a data set: their own poses and action units, lips from their sound. The body
    keeps the first pose's state: only the head can be compared."""
    index = torch.tensor(frames, device=clip.device)
    with torch.inference_mode():
        windows = clip.windows(index)
        codes = avatar.face_net.codes(windows)
        au = clip.au[index].clone()
        mouth = avatar.mouth_net.encode_audio(windows)
    poses = PoseTrack(torch.as_tensor(np.asarray(clip.dataset.poses), dtype=torch.float32)[frames], float(clip.dataset.focal),
                      tuple(clip.dataset.size), float(clip.dataset.fps))
    return AvatarMotion(codes["c_fused"].cpu(), mouth.cpu(), au.cpu(), poses, torch.zeros(len(frames), dtype=torch.long),
                        avatar.encoder)


def held_out_quality(avatar: Avatar, clip: Clip) -> dict[str, float]:
    """Head PSNR (dB) on evenly spread validation frames, driven by their sound; empty without validation frames."""
    held = [int(i) for i in np.asarray(clip.dataset.val_index)]
    held = held[::max(1, len(held) // HELD_OUT)][:HELD_OUT]
    if not held:
        return {}
    motion = motion_of_frames(avatar, clip, held)
    scores = []
    for position, (rgb, _) in enumerate(avatar.render(motion, chunk=1)):
        view = clip.view(held[position])
        head = torch.maximum(torch.maximum(view.face, view.hair), view.mouth)
        squared = ((rgb[0] - view.image).square() * head).sum() / (3 * head.sum()).clamp_min(1)
        scores.append(-10 * float(torch.log10(squared.clamp_min(1e-10))))
    return {"head_psnr": float(np.mean(scores)), "frames": len(held)}
