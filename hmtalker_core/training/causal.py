"""The causal variant of an avatar: audio nets that read frames [t - 7, t] of speech and give the codes that its own nets, which
read [t - 4, t + 4), give. Learnt from speech alone, without images, so that any avatar can have one for live use (docs/live.md).

What is learnt is the audio nets of both branches; everything that reads their codes stays. An error of a code counts as much as
it moves Gaussians.
"""
from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path

import torch
from torch import Tensor

from ...media_core.asked import whole
from ...media_core.errors import FileFormatError, TalkingHeadsError
from ...media_core.files import load_tensors, save_tensors
from ...media_core.progress import Report, silent
from ...media_core.schema import described, record, text
from ...media_core.speech import Speech
from ...media_core.tensor_schema import all_finite
from ...training_core.state import check_finite_step
from ..avatar import Avatar
from ..avatar_motion import AvatarMotion
from ..model.audio_net import FRAMES, HALF, window_shift
from ..model.motion import AUDIO_PARTS, FaceMotionNet, MouthMotionNet
from .augment import augment_windows
from .branches import strip
from .curriculum import step_seed

KIND, VERSION = "causal audio nets", 1
STEPS, LR, DECAY = 8000, 2e-3, 1e-4
RUNS, RUN = 8, 25  # runs of neighbouring frames in a step, and frames in each
AUGMENT = 0.5  # strength of `augment_windows` on what the new nets hear
PROBED = 400  # frames from which is learnt how far a code moves Gaussians
RIDGE = 1e-3  # of the mean variance, in that regression
_SETTINGS = record({"avatar": text(8)})
Nets = tuple[FaceMotionNet, MouthMotionNet]


def causal_variant(avatar: Avatar, speeches: Sequence[Speech], *, steps: int = STEPS, seed: int = 0,
                   report: Report = silent) -> Avatar:
    """The avatar with audio nets that read no frame after the one they speak for.

    Args:
        avatar: with centred windows.
        speeches: of any voices and lengths from one second on, encoded by the avatar's encoder; more voices serve more users.
        steps: optimisation steps of 200 frames each.
        seed: of all randomness.
        report: called once per step with the loss: squared error of the movement over its variance, EMA.
    Raises:
        TalkingHeadsError: the avatar is causal already, speech of another encoder or too short, or a loss that is not
            finite.
    """
    if avatar.config.get("window", "centred") != "centred":
        raise TalkingHeadsError("Only an avatar with centred windows can be made causal", "a causal one", "Use it as it is")
    whole("The number of steps", steps, 1)
    clips = [_clip(avatar, avatar.hears.checked(speech)) for speech in speeches]
    clips = [clip for clip in clips if len(clip[1]) >= RUN]
    if not clips:
        raise TalkingHeadsError("A causal variant is trained on at least one second of speech", "none", "Give more speech")
    metrics = _metrics(avatar, torch.cat([codes for _, codes in clips])).clone()  # no inference tensor
    made: Nets = deepcopy(avatar.face_net).requires_grad_(True), deepcopy(avatar.mouth_net).requires_grad_(True)
    _learn(made, clips, metrics, avatar.hears.spectral, steps, seed, report)
    return Avatar(avatar.face, avatar.mouth, made[0], made[1], poses=avatar.poses, upper_au=avatar.upper_au, torso=avatar.torso,
                  background=avatar.background, config=avatar.config | {"window": "causal"})


def _clip(avatar: Avatar, speech: Speech) -> tuple[Tensor, Tensor]:
    """(features of frames -7 .. F - 1 [F + 7, C, W], codes that the avatar's own nets give frames 0 .. F - 1 [F, 64])."""
    motion = avatar.with_config(lip_gain=1.0).drive(speech, silence_gate=False)  # the variant has the same gain
    features = speech.frame_windows(avatar.fps, window_shift("causal") - HALF, len(motion))
    return features, torch.cat([motion.codes, motion.mouth_codes], 1).clone()


@torch.inference_mode()
def _metrics(avatar: Avatar, codes: Tensor) -> Tensor:  # [F, 64] -> [64, 64]
    """M, so that e M e is the squared movement that an error e of the codes makes, over the variance of all movement: offsets as
    a linear function of the codes, the face's and the mouth's apart."""
    codes = codes[::max(1, len(codes) // PROBED)][:PROBED]
    count, half = len(codes), codes.shape[1] // 2
    motion = AvatarMotion(codes[:, :half], codes[:, half:], avatar.upper_au.mean(0).expand(count, -1),
                          avatar.poses.selected([0] * count), torch.zeros(count, dtype=torch.long), avatar.encoder)
    (face, _, _), mouth = avatar.offsets(motion, 0, count)
    out = torch.zeros(2 * half, 2 * half)
    for part, moved in ((slice(0, half), face), (slice(half, 2 * half), mouth)):
        known, moved = codes[:, part] - codes[:, part].mean(0), moved.flatten(1) - moved.flatten(1).mean(0)
        gram = known.T @ known
        slope = torch.linalg.solve(gram + RIDGE * gram.diagonal().mean() * torch.eye(half), known.T @ moved)  # [32, 3 N]
        out[part, part] = slope @ slope.T / moved.square().sum(1).mean().clamp_min(1e-12)
    return out


def _learn(made: Nets, clips: Sequence[tuple[Tensor, Tensor]], metrics: Tensor, spectral: bool, steps: int, seed: int,
           report: Report) -> None:
    """Moves the audio nets of `made` until their codes are those of the clips."""
    parameters = [p for net in made for name in AUDIO_PARTS for p in getattr(net, name).parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=LR, weight_decay=DECAY)
    mean_loss = float("nan")
    for step, (heard, wanted) in enumerate(_batches(clips, steps, seed, spectral)):
        for group in optimizer.param_groups:
            group["lr"] = LR * (1 - step / steps) + 0.02 * LR
        error = _codes(made, heard) - wanted
        loss = ((error @ metrics) * error).sum(1).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        check_finite_step(loss, (p.grad for p in parameters), f"step {step + 1}")
        optimizer.step()
        mean_loss = float(loss.detach()) if step == 0 else 0.98 * mean_loss + 0.02 * float(loss.detach())
        report(step + 1, steps, {"phase": "causal", "loss": mean_loss}, None)


def _batches(clips: Sequence[tuple[Tensor, Tensor]], steps: int, seed: int, spectral: bool) -> Iterator[tuple[Tensor, Tensor]]:
    """(what is heard in runs of frames [R, 32, C, W], codes of the last 25 of each [R * 25, 64])."""
    often = torch.tensor([float(len(codes)) for _, codes in clips])
    for step in range(steps):
        generator = torch.Generator().manual_seed(step_seed(seed, 97, step))
        heard, wanted = [], []
        for pick in torch.multinomial(often, RUNS, replacement=True, generator=generator).tolist():
            features, codes = clips[pick]
            first = int(torch.randint(len(codes) - RUN + 1, (1,), generator=generator))
            heard.append(features[first:first + RUN + FRAMES - 1])
            wanted.append(codes[first:first + RUN])
        yield augment_windows(torch.stack(heard), AUGMENT, generator, spectral), torch.cat(wanted)


def _codes(made: Nets, heard: Tensor) -> Tensor:  # [R, 32, C, W] -> [R * 25, 64]
    """Fused and mouth codes of the last 25 frames of each run; every frame is encoded once for all its windows."""
    face, mouth = (net.audio_att_net(net.audio_net(heard).unfold(1, FRAMES, 1).transpose(-1, -2).flatten(0, 1)) for net in made)
    fused = made[0].fuse(face, made[0].a2am(face))[0]
    return torch.cat([fused, mouth], 1)


def save_causal(avatar: Avatar, base: Avatar, path: str | os.PathLike[str]) -> Path:
    """Writes the audio nets of `causal_variant(base, ...)` alone, 0.3 MB, for `with_causal`."""
    tensors = {f"{place}.{name}.{key}": value for place, net in (("face_net", avatar.face_net), ("mouth_net", avatar.mouth_net))
               for name in AUDIO_PARTS for key, value in getattr(net, name).state_dict().items()}
    return save_tensors(path, tensors, kind=KIND, version=VERSION, config={"avatar": base.fingerprint})


def with_causal(avatar: Avatar, path: str | os.PathLike[str]) -> Avatar:
    """The causal variant of an avatar from a file of `save_causal`.

    Raises:
        FileFormatError: absent, damaged, not such a file, or of another avatar.
    """
    tensors, config = load_tensors(path, kind=KIND, version=VERSION)
    name, again = Path(path).name, "Make it again for this avatar"
    described(config, _SETTINGS, name, again)
    all_finite(tensors, name, again)
    if config["avatar"] != avatar.fingerprint:
        raise FileFormatError("Causal audio nets must be those of the avatar",
                              f"{name} belongs to {config['avatar']}, the avatar is {avatar.fingerprint}", again)
    nets = deepcopy(avatar.face_net), deepcopy(avatar.mouth_net)
    try:
        for place, net in zip(("face_net", "mouth_net"), nets):
            for part in AUDIO_PARTS:
                getattr(net, part).load_state_dict(strip(tensors, f"{place}.{part}."))
    except RuntimeError as error:
        raise FileFormatError("Causal audio nets must fit the avatar's nets", f"{name} does not ({error})", again) from error
    return Avatar(avatar.face, avatar.mouth, *nets, poses=avatar.poses, upper_au=avatar.upper_au, torso=avatar.torso,
                  background=avatar.background, config=avatar.config | {"window": "causal"})
