"""Speech and one face -> motion of any length. All of it on one screen: `generate_motion`.

A window is as long as the network was trained; windows overlap and are blended as residuals against the one initial face. Noise
belongs to frames, not to windows (`noise.py`), so windows agree where they overlap, and any range of frames can be made alone, on
any machine, with the same result.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...media_core.errors import TalkingHeadsError
from ...media_core.face.pose.canonical import mean_face
from ...media_core.motion import LandmarkTrack
from ...media_core.mouth import lip_aperture, resting_face
from ...media_core.mouth_gate import gated, speech_gate
from ...media_core.progress import Report, silent
from ...media_core.speech import Speech
from ...training_core.memory import keep_freed_memory
from ..blending import Window, blended_windows, window_plan
from ..landmarks import Registration, absolute, idexp, registration
from ..noise import frame_noise
from .config import AToMConfig
from .diffusion import SAMPLERS, make_scheduler, sample
from .lips import LipCurves, lip_curves, lips_shut, uncrossed
from .model import AToM
from .preview import FacePreview

MOUTH_POINTS = (*range(17), *range(48, 68))  # of the 68: jaw and lips
OPEN_MOUTH = 0.03  # of the eyes' distance: lips further apart are shut before the network sees them
SEEDS = 1 << 64


@dataclass(frozen=True)
class SamplingSettings:
    """How a motion is sampled. None: as the weights say."""

    sampler: str | None = None  # one of diffusion.SAMPLERS
    steps: int | None = None  # 1..1000
    guidance: float | None = None  # w: 1 follows the speech as trained, more exaggerates, 0 ignores it
    clip: float | None = None  # cm, predictions are kept within +-clip; 0: not at all
    eta: float | None = None  # 0..1, fraction of fresh noise in DDIM
    seed: int = 0
    overlap: int | None = None  # frames that neighbouring windows share; None: a third of the window, at most 32
    batch: int = 1  # windows computed at once; on a CPU 1 is as fast, and the same to the bit whatever the chunking
    gate: bool = True  # close the mouth where nobody speaks (media_core.mouth_gate)

    def resolved(self, config: AToMConfig) -> ResolvedSampling:
        """With every None filled in.

        Raises:
            TalkingHeadsError: values out of range.
        """
        length = config.denoiser.seq_len
        clip = config.clip if self.clip is None else self.clip
        sampler, eta = self.sampler or config.sampler, config.eta if self.eta is None else self.eta
        full = ResolvedSampling(sampler=sampler, steps=self.steps or config.steps, clip=clip or 0.0,
                                guidance=config.guidance if self.guidance is None else self.guidance,
                                eta=0.0 if sampler == "ddim0" else eta, seed=self.seed,
                                overlap=min(32, length // 3) if self.overlap is None else self.overlap, batch=self.batch,
                                gate=self.gate)
        whole = [full.seed, full.steps, full.overlap, full.batch]
        if (full.sampler not in SAMPLERS or not 0 <= full.clip < math.inf or not math.isfinite(full.guidance)
                or not 0 <= full.eta <= 1 or any(type(number) is not int for number in whole) or not 0 <= full.seed < SEEDS
                or full.batch < 1):
            raise TalkingHeadsError(f"Sampling needs one of {', '.join(SAMPLERS)}, a finite guidance, clip >= 0, eta 0..1, and "
                                    "as whole numbers steps, overlap, batch >= 1, a seed of 0 to 2^64 - 1",
                                    f"{full}", "Correct these settings")
        if not 0 <= full.overlap <= length // 2:
            raise TalkingHeadsError(f"Windows of {length} frames may share 0 to {length // 2}", f"{full.overlap}",
                                    "Choose another overlap")
        return full


@dataclass(frozen=True)
class ResolvedSampling(SamplingSettings):
    """Sampling settings without a None; made by `SamplingSettings.resolved`."""

    sampler: str = "ddim"
    steps: int = 50
    guidance: float = 2.0
    clip: float = 0.0  # 0: not at all
    eta: float = 1.0
    overlap: int = 0


def generate_motion(atom: AToM, speech: Speech, portrait: LandmarkTrack, settings: SamplingSettings = SamplingSettings(),
                    report: Report = silent) -> LandmarkTrack:
    """The motion for all of the speech: speech.frame_count(fps) frames at the checkpoint's rate, canonical.

    Args:
        atom: the network.
        speech: of the encoder that the checkpoint names.
        portrait: canonical; its first frame is the face that speaks.
        settings: see `SamplingSettings`.
        report: called once a sampling step with an image of the moving face now and then; may raise to cancel.
    Raises:
        TalkingHeadsError: speech of another encoder, a portrait that is not canonical or no face, settings out of range.
    """
    frames = speech.frame_count(atom.config.fps)
    pieces = list(motion_frames(atom, speech, portrait, settings, 0, frames, report))
    return LandmarkTrack(torch.cat(pieces), atom.config.fps)


def motion_frames(atom: AToM, speech: Speech, portrait: LandmarkTrack, settings: SamplingSettings, start: int, stop: int,
                  report: Report = silent) -> Iterator[Tensor]:
    """Frames `start` to `stop` of that motion, as they are finished: canonical points float32 [n, 68, 3], decimetres.

    Raises:
        TalkingHeadsError: as `generate_motion`, or no such frames.
    """
    to_model = _registration(atom)
    chosen, face = settings.resolved(atom.config), _face(atom, portrait, to_model)
    shown = face if atom.config.shown == "portrait" else torch.zeros_like(face)
    atom.config.speech.check(speech)
    fps, frames = atom.config.fps, speech.frame_count(atom.config.fps)
    if any(type(number) is not int for number in (start, stop)) or not 0 <= start < stop <= frames:
        raise TalkingHeadsError(f"The frames must lie within the motion's {frames}", f"{start} to {stop}", "Choose others")
    weights = speech_gate(speech, fps) if chosen.gate else torch.zeros(frames, dtype=torch.float64)
    plan = window_plan(frames, atom.config.denoiser.seq_len, chosen.overlap, atom.config.reference == "first")
    job = _Job(atom, speech, shown, face, chosen, report, [w for w in plan if w.start < stop and w.stop > start])
    zero, at = atom.key_mean_shape.cpu(), start
    rest, lips = portrait.points[0].float(), _lips(atom, speech, chosen)
    for residual in blended_windows(job.windows, job.sampled(), start, stop):  # [n, 204]
        residual = residual if lips is None else lips.moved(residual, at)
        points = absolute(residual + face, zero)
        points = points if to_model is None else to_model.inverse()(points)
        points = points if lips is None else uncrossed(lips_shut(points, lips.closing[at:at + len(points)]), resting_face(rest))
        yield gated(points, weights[at:at + len(points)], rest)
        at += len(points)


def _lips(atom: AToM, speech: Speech, chosen: ResolvedSampling) -> LipCurves | None:
    """What the lip network hears, followed less where less than the usual guidance is asked for; None: there is none."""
    if atom.lips is None:
        return None
    usual = atom.config.guidance
    strength = min(max(chosen.guidance / usual, 0.0), 1.0) if usual > 0 else 1.0
    return lip_curves(atom.lips, atom.config.speech, speech, atom.config.fps, strength)


def _registration(atom: AToM) -> Registration | None:
    """From the pack's canonical frame to that of the checkpoint's mean face (a BFM's, say); None when they are one."""
    ours, theirs = mean_face(), atom.key_mean_shape.cpu().numpy()
    return None if np.allclose(ours, theirs, atol=1e-5) else registration(ours, theirs)


def _face(atom: AToM, portrait: LandmarkTrack, to_model: Registration | None) -> Tensor:  # [204]
    """The face that the motion is added to, as offsets from the checkpoint's mean face in cm: the portrait's with its mouth
    closed, else a portrait with an open mouth would never shut it. A network that is shown the portrait is shown lips that stand
    a little apart as they are.

    Raises:
        TalkingHeadsError: pixels, or points that are no face.
    """
    if portrait.space != "canonical":
        raise TalkingHeadsError("The portrait's landmarks must be canonical (from the front, in decimetres)",
                                f"landmarks in {portrait.space}", "Take them from Portrait Landmarks")
    points = portrait.points[0].float()
    size = points.amax(0) - points.amin(0)
    if not (0.3 < float(size[0]) < 4 and 0.3 < float(size[1]) < 4):
        raise TalkingHeadsError("Canonical landmarks must be the size of a face: 0.3 to 4 dm wide and high",
                                f"{float(size[0]):.3g} by {float(size[1]):.3g} dm", "Measure the portrait again")
    points = shut_if_open(points) if atom.config.shown == "portrait" else resting_face(points)
    return idexp(points if to_model is None else to_model(points), atom.key_mean_shape.cpu())


def shut_if_open(points: Tensor) -> Tensor:  # [68, 3] -> [68, 3]
    """A portrait's face with its mouth closed, if its lips are further apart than `OPEN_MOUTH`; else as it is."""
    eyes = float((points[45] - points[36]).norm())
    return resting_face(points) if float(lip_aperture(points)) > OPEN_MOUTH * eyes else points


@dataclass
class _Job:
    """Everything the windows share."""

    atom: AToM
    speech: Speech
    shown: Tensor  # [204] cm, the face the network is given
    face: Tensor  # [204] cm, the face its motion is added to
    settings: ResolvedSampling
    report: Report
    windows: list[Window]

    def sampled(self) -> Iterator[Tensor]:
        """The residual [T, 204] of every window, in order."""
        size, zero = self.settings.batch, self.atom.key_mean_shape.cpu()
        preview = FacePreview(absolute(self.face, zero), zero)
        for at in range(0, len(self.windows), size):
            yield from self._sample(self.windows[at:at + size], at, preview).unbind(0)

    @torch.inference_mode()
    def _sample(self, windows: list[Window], done: int, preview: FacePreview) -> Tensor:  # [B, T, 204]
        atom, chosen, length = self.atom, self.settings, self.atom.config.denoiser.seq_len
        audio = torch.stack([atom.config.speech.tokens(self.speech, atom.config.fps, w.start, w.start + length) for w in windows])
        face = self.shown.expand(len(windows), length, -1)
        scheduler = make_scheduler(chosen.sampler, chosen.steps)
        predict = guided(atom, face, audio, chosen.guidance, scheduler.timesteps)
        steps, total = len(scheduler.timesteps), len(self.windows) * len(scheduler.timesteps)

        def draw(k: int) -> Tensor:
            rows = [frame_noise(chosen.seed, k, w.start, w.start + length, face.shape[-1]) for w in windows]
            return (torch.stack(rows) * noise_scale(atom.config.mouth_noise)).to(atom.device)

        def watch(k: int, x0: Tensor) -> None:
            count = done * steps + (k + 1) * len(windows)
            figures = {"window": done + len(windows), "windows": len(self.windows)}
            self.report(count, total, figures, preview.picture(x0[0] + self.face.to(x0)))

        found = sample(predict, draw, scheduler, eta=chosen.eta, clip=chosen.clip or None, watch=watch).float().cpu()
        if not bool(torch.isfinite(found).all()):
            raise TalkingHeadsError("AToM's motion must be finite", f"NaN or infinity in {atom.dtype} at guidance "
                                    f"{chosen.guidance:g}", "Choose fp32 or a guidance nearer to 1; else make the weights again")
        return found


def noise_scale(mouth: float) -> Tensor:  # float32 [204]
    """How strong the noise of each number is: `mouth` for jaw and lips, which the speech tells; 1 for brows, lids and nose."""
    scale = torch.ones(68, 3)
    scale[list(MOUTH_POINTS)] = mouth
    return scale.flatten()


def guided(atom: AToM, face: Tensor, audio: Tensor, guidance: float, timesteps: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """(x_t float32 [B, T, 204], t) -> x0 with classifier-free guidance; both passes are one batch, and at 1 there is one pass.

    Args:
        face: [B, T, 204] cm. audio: [B, 2T, D].
        timesteps: int [S], every t that will be asked for.
    """
    keep_freed_memory()
    device, dtype, count = atom.device, atom.dtype, len(face)
    passes = 1 if guidance == 1 else 2
    face, audio = (part.to(device, dtype).repeat(passes, 1, 1) for part in (face, audio))
    condition = atom.denoiser.condition(face, audio, torch.arange(passes * count, device=device) < count)
    moments = atom.denoiser.moments(timesteps.to(device).long()[:, None].expand(-1, count), condition)
    moment = dict(zip(timesteps.tolist(), moments))

    def predict(x: Tensor, t: Tensor) -> Tensor:
        out = atom.denoiser.denoise(x.to(dtype), moment[int(t)], condition).float()
        if passes == 1:
            return out
        conditional, unconditional = out.chunk(2)
        return unconditional + guidance * (conditional - unconditional)

    return predict
