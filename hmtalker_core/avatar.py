"""An avatar: two Gaussian fields, two motion nets, the poses and the body they were recorded with. Start reading here.

    speech -> windows -> c_l^i (AudioNet, AudioAttNet)            drive()
           -> c_l^a = A2AM(c_l^i) -> c_f = gate(c_l^i, c_l^a)
    mu -> H(mu), att_f, att_u              constant: cached       render()
    deform(H, c_u * att_u, c_f * att_f) -> face over mouth over torso over background

(HM-Talker, Figure 2; docs/hmtalker.md#data-flow.)
"""
from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from functools import cached_property
from typing import Any, Literal
from zlib import crc32

import torch
from torch import Tensor

from ..media_core.asked import whole
from ..media_core.errors import TalkingHeadsError
from ..media_core.motion import AU_NAMES, LOWER_INDEX, ExpressionTrack, PoseTrack, generated_blinks, ping_pong
from ..media_core.mouth_gate import speech_gate
from ..media_core.speech import Speech
from .avatar_motion import AvatarMotion, Driven, check_driving, checked_gate, nearest_poses, opened, rested, shaped, wanted_units
from .avatar_rendering import Rendering
from .backdrop import Background as Background
from .basis import LinearBasis
from .model.audio_net import HALF, audio_windows, window_shift
from .model.gaussians import GaussianField
from .model.motion import FaceMotionNet, MouthMotionNet
from .model.torso import TorsoModel
from .rasterizer import drawing_device
from .speech_format import SpeechFormat

DRIVE_CHUNK = 32  # frames that are driven at once
Modules = tuple[GaussianField, GaussianField, FaceMotionNet, MouthMotionNet]


class Avatar(Rendering):
    """A trained avatar.

    Args:
        face, mouth: canonical fields (metres, head frame).
        face_net, mouth_net: their motion nets.
        poses: the track the avatar moves along by default.
        upper_au: [P, 17] action units of the track; the upper-face ones are used.
        torso: states of the body, one per pose of the track.
        background: uint8 [H, W, 3] plate behind everything.
        config: everything else, JSON-serialisable (see `checkpoints`).
        basis: its deformation as a linear one (`basis.fit_basis`), if that is known.
    """

    def __init__(self, face: GaussianField, mouth: GaussianField, face_net: FaceMotionNet, mouth_net: MouthMotionNet,
                 poses: PoseTrack, upper_au: Tensor, torso: TorsoModel, background: Tensor, config: Mapping[str, Any],
                 basis: LinearBasis | None = None):
        self.face, self.mouth, self.face_net, self.mouth_net = face, mouth, face_net, mouth_net
        self.poses, self.upper_au, self.torso, self.background, self.config = poses, upper_au, torso, background, dict(config)
        self.basis = basis
        for module in self.modules:
            module.requires_grad_(False).eval()

    @property
    def modules(self) -> Modules:
        """Both fields and both nets, in the order of the constructor."""
        return self.face, self.mouth, self.face_net, self.mouth_net

    @property
    def fps(self) -> float:
        return self.poses.fps

    @property
    def encoder(self) -> str:
        """Id of the speech encoder the avatar understands."""
        return self.config["encoder"]

    @cached_property
    def hears(self) -> SpeechFormat:
        """The speech the avatar understands."""
        return SpeechFormat.from_config(self.config)

    @property
    def au_known(self) -> tuple[bool, ...]:  # [17]
        """Which action units the avatar was trained with."""
        return tuple(self.config.get("au_known", [True] * len(AU_NAMES)))

    @property
    def au_reliability(self) -> tuple[float, ...] | None:  # [17]
        """How far the units it was trained on can be trusted, 0 for those it never learnt; None: all alike."""
        stated = self.config.get("au_reliability") or [1.0] * len(AU_NAMES)
        trust = tuple(r if known else 0.0 for r, known in zip(stated, self.au_known))
        return None if min(trust) == 1.0 else trust

    @property
    def rest(self) -> Tensor | None:  # [D] on its device
        """What the explicit code is made of where nobody speaks, in the avatar's cue: the person's own shut lips
        (`training.finish.shut_lips`); None, in files of before and where no frame has any: what the audio nets say of silence."""
        stated = self.config.get("rest")
        return None if stated is None else torch.tensor(stated, dtype=torch.float32, device=self.device)

    @property
    def lip_gain(self) -> float:
        """How many times farther from rest than the audio nets say lips go, so that they open as wide as in the training video
        (`training.finish.lip_gain`); 1 in files of before."""
        return float(self.config.get("lip_gain", 1.0))

    @property
    def licence(self) -> str:
        return self.config.get("licence", "")

    def to(self, device: str | torch.device) -> Avatar:
        """The same avatar on another device (modules move, tensors are copied, caches are rebuilt)."""
        return self._beside((self.face.to(device), self.mouth.to(device), self.face_net.to(device), self.mouth_net.to(device)),
                            device)

    def where_drawn(self, backend: str = "auto") -> Avatar:
        """The avatar beside its rasteriser: itself, or a copy on the CPU where that must draw (`rasterizer.drawing_device`)."""
        place = drawing_device(self.device, backend)
        return self if place == self.device else self.copied(place)

    def copied(self, device: str | torch.device) -> Avatar:
        """`to` for weights that someone else moves about, as ComfyUI does: they stay where they are."""
        face, mouth, face_net, mouth_net = deepcopy(self.modules)
        return self._beside((face.to(device), mouth.to(device), face_net.to(device), mouth_net.to(device)), device)

    def with_basis(self, basis: LinearBasis) -> Avatar:
        """The same avatar with this linear basis."""
        return Avatar(*self.modules, poses=self.poses, upper_au=self.upper_au, torso=self.torso, background=self.background,
                      config=self.config, basis=basis)

    def _beside(self, modules: Modules, device: str | torch.device) -> Avatar:
        """An avatar of these modules, with the rest of this one on their device."""
        return Avatar(*modules, poses=self.poses, upper_au=self.upper_au, torso=self.torso.to(device),
                      background=self.background.to(device), config=self.config,
                      basis=self.basis and self.basis.to(device))

    def with_config(self, **changes: Any) -> Avatar:
        """The same avatar with other entries of `config`."""
        return Avatar(*self.modules, poses=self.poses, upper_au=self.upper_au, torso=self.torso, background=self.background,
                      config=self.config | changes, basis=self.basis)

    # driving --------------------------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def drive(self, speech: Speech, *, expression: ExpressionTrack | None = None, pose: PoseTrack | None = None,
              blinks: Literal["track", "generated", "none"] = "track", smoothing: float = 0.0, lip_gain: float = 1.0,
              start: int = 0, seed: int = 0, silence_gate: bool | Tensor = True, chunk: int = DRIVE_CHUNK) -> AvatarMotion:
        """Speech to motion, one frame per 1/fps of audio.

        Args:
            speech: features of the avatar's encoder and layer (`hears`).
            expression: action units that replace the avatar's own wherever they are not NaN: upper ones those of its track, lower
                ones those predicted from speech. Shorter tracks are repeated ping-pong. Units the avatar was not trained with
                (`au_known`) stay 0: nothing in it knows what they do.
            pose: camera track instead of the avatar's; it loops likewise.
            blinks: AU45 of the track, generated from `seed`, or none. An `expression` with AU45 wins.
            smoothing: standard deviation in frames, 0..1000, of a zero-phase Gaussian over the codes; 0 for none.
            lip_gain: stretches the codes away from those of silence (`Speech.silence_row`); 1 leaves them.
            start: frame of the avatar's track to begin with.
            seed: of generated blinks.
            silence_gate: where nobody speaks, the lower face rests: codes and predicted units are those of silence, softly before
                and after (`mouth_gate.speech_gate`); lower units of `expression` still act. Or how far it rests, [T] 0..1.
            chunk: frames driven at once; another number changes the last bits.
        Raises:
            TalkingHeadsError: the speech comes from another encoder, a track from another frame rate, no such `blinks`, or a
                number out of range.
        """
        speech = self.hears.checked(speech)
        check_driving(smoothing, lip_gain, start, seed)
        if blinks not in ("track", "generated", "none"):
            raise TalkingHeadsError("`blinks` must be track, generated or none", repr(blinks), "Choose one of them")
        self.check_rates(expression, pose)
        frames = speech.frame_count(self.fps)
        track = ping_pong(len(self.poses), frames, start)
        blink = {"track": lambda: None, "none": lambda: torch.zeros(frames),
                 "generated": lambda: generated_blinks(frames, self.fps, seed)}[blinks]()
        given = None if expression is None else expression.au[ping_pong(len(expression), frames)]
        wanted = wanted_units(self.upper_au[track], blink, given, self.config["blink_ceiling"], self.au_known)
        codes, mouth_codes, au = self._codes(speech, frames, wanted, whole("The frames driven at once", chunk, 1))
        calm_codes = self.calm(speech.silence_row())[:2]
        codes, mouth_codes = (shaped(c, smoothing, lip_gain, r) for c, r in zip((codes, mouth_codes), calm_codes))
        if silence_gate is not False:
            *calm, units = self.at_rest(speech.silence_row(), wanted, chunk)
            gate = speech_gate(speech, self.fps) if silence_gate is True else checked_gate(silence_gate, frames)
            lower = list(LOWER_INDEX)
            codes, mouth_codes = (rested(c, shaped(r, smoothing), gate) for c, r in zip((codes, mouth_codes), calm))
            au[:, lower] = rested(au[:, lower], units.cpu(), gate)
        poses = self.poses.selected(track) if pose is None else pose.selected(ping_pong(len(pose), frames))
        torso = track if pose is None else nearest_poses(pose, self.poses)[ping_pong(len(pose), frames)]
        return AvatarMotion(codes.cpu(), mouth_codes.cpu(), au, poses, torso, self.encoder, avatar=self.fingerprint,
                            reliability=self.au_reliability)

    @cached_property
    def fingerprint(self) -> str:
        """What tells this avatar's codes from another's: a checksum of its face net's weights."""
        return f"{crc32(b''.join(w.cpu().numpy().tobytes() for w in self.face_net.state_dict().values())):08x}"

    def _check_motion(self, motion: AvatarMotion) -> None:
        if motion.avatar not in ("", self.fingerprint) or int(motion.torso_index.max()) >= len(self.torso.states):
            raise TalkingHeadsError("The motion must have been made for the avatar that is rendered",
                                    f"motion of another avatar ({motion.avatar or 'unnamed'}, here {self.fingerprint})",
                                    "Connect one and the same avatar to Drive Avatar and to the rendering node")

    def check_rates(self, *tracks: ExpressionTrack | PoseTrack | None) -> None:
        for track in tracks:
            if track is not None and abs(track.fps - self.fps) > 1e-6:
                raise TalkingHeadsError(f"Tracks must run at the avatar's {self.fps:g} frames per second", f"{track.fps:g}",
                                        "Resample the track first")

    def _codes(self, speech: Speech, frames: int, au: Tensor, chunk: int) -> Driven:
        """(c_f [T, 32], mouth code [T, 32], au [T, 17] with the lower ones filled in), always in whole chunks that begin at
        multiples of `chunk`: the last one goes on into what is heard after the end, so that a frame's numbers do not
        depend on the length of the video."""
        lower = list(LOWER_INDEX)
        wanted = torch.nn.functional.pad(au[:, lower], (0, 0, 0, -frames % chunk), value=torch.nan)
        out = [self._chunk_codes(speech, begin, wanted[begin:begin + chunk]) for begin in range(0, frames, chunk)]
        calm = self.calm(speech.silence_row())
        codes, mouth_codes, units = (torch.cat(parts)[:frames] for parts in zip(*(
            opened(part, calm, self.lip_gain, part_wanted) for part, part_wanted in zip(out, wanted.split(chunk)))))
        full = au.clone()
        full[:, lower] = units.cpu().clamp(0, 5)
        return codes, mouth_codes, full

    def _chunk_codes(self, speech: Speech, begin: int, wanted: Tensor) -> Driven:
        """The same of frames `begin` onwards: (c_f, mouth code, lower units). wanted: [n, 10], NaN: as predicted."""
        count, wanted = len(wanted), wanted.to(self.device)
        first = begin + window_shift(self.config.get("window", "centred")) - HALF
        features = speech.frame_windows(self.fps, first, first + count + 2 * HALF).to(self.device)  # real silence at the ends
        windows = audio_windows(features, HALF + torch.arange(count, device=self.device))
        return self.understood(windows, wanted)

    def understood(self, windows: Tensor, wanted: Tensor, rest: Tensor | None = None) -> Driven:
        """The same of the frames' windows [n or 1, 8, C, W]; wanted: [n, 10], rest: [D] of the cue instead of what is predicted;
        both on the avatar's device."""
        known = torch.tensor([self.au_known[unit] for unit in LOWER_INDEX], device=self.device)
        c_implicit = self.face_net.encode_audio(windows).expand(len(wanted), -1)
        c_explicit = self.face_net.a2am(c_implicit)
        if rest is not None and self.face_net.cue == "au":
            wanted = torch.where(wanted.isnan(), rest, wanted)
        elif rest is not None:
            c_explicit = self.face_net.encode_au(rest.expand(len(wanted), -1))
        given = ~wanted.isnan()
        units = torch.where(given, wanted, c_explicit[:, -len(LOWER_INDEX):]) * known
        if self.face_net.cue == "au":  # other cues hold no action units that could be replaced
            c_explicit = torch.where(given.any(-1, keepdim=True), self.face_net.encode_au(units), c_explicit)
        return self.face_net.fuse(c_implicit, c_explicit)[0], self.mouth_net.encode_audio(windows), units

    def calm(self, silence: Tensor) -> Driven:  # [C] one row of features
        """`at_rest` of one frame with no unit told."""
        return self.at_rest(silence, torch.full((1, len(AU_NAMES)), torch.nan), 1)

    def at_rest(self, silence: Tensor, au: Tensor, chunk: int) -> Driven:
        """The same of silence with the lower units of au [T, 17] that are not NaN, and else the lips shut as `rest` has them; one
        row where all are NaN."""
        wanted, rows = au[:, list(LOWER_INDEX)], self.config["audio"]["audio_window"]
        wanted = (wanted[:1] if bool(wanted.isnan().all()) else wanted).to(self.device)
        quiet = silence.to(self.device, torch.float32)[None, None, :, None].expand(1, 2 * HALF, -1, rows)
        out = [self.understood(quiet, part, self.rest) for part in wanted.split(chunk)]
        codes, units = torch.cat([part[0] for part in out]), torch.cat([part[2] for part in out])
        return codes, out[0][1], units.clamp(0, 5)  # no unit moves the inside of the mouth
