"""Every socket type of the pack, and what travels through it.

Core's types are used as they are: IMAGE, MASK, AUDIO, VIDEO, SPLAT. The pack's own carry frozen dataclasses of plain tensors
with a `version`; they are never changed in place.

| socket             | object                          | content                                                            |
|--------------------|---------------------------------|--------------------------------------------------------------------|
| TH_SPEECH          | media_core.speech.Speech        | features float32 [T, C] at `rate` Hz, encoder id and layer,        |
|                    |                                 | duration s, silence [T]                                            |
| TH_SPEECH_ENCODER  | LoadedEncoder                   | an open speech encoder and the patchers of its networks            |
| TH_EXPRESSION      | media_core.motion.ExpressionTrack | action units [T, 17], OpenFace intensity 0..5, NaN = unknown, fps |
| TH_POSE            | media_core.motion.PoseTrack     | camera-to-head [T, 4, 4] (OpenGL, metres), focal px, (H, W), fps   |
| TH_DATASET         | DatasetFolder                   | a training dataset: a folder on disk                               |
| TH_AVATAR          | Loaded[Avatar]                  | a trained avatar and its model patcher                             |
| TH_ATOM            | Loaded[AToM]                    | AToM weights (speech to motion), their model patcher, licence note |
| TH_MTOV            | Loaded[MToV]                    | MToV weights (motion to video), their model patcher, licence note  |
| TH_MOTION_DATASET  | MotionFolder                    | the dataset of AToM and MToV: a folder on disk                     |
| TH_AVATAR_MOTION   | hmtalker_core.avatar.AvatarMotion | per-frame mouth and lip codes, action units, poses, fps          |
| TH_LANDMARKS       | media_core.motion.LandmarkTrack | 68 points [T, 68, 3], fps; `space` "pixels" (x right, y down, of    |
|                    |                                 | `image_size` (H, W)) or "canonical" (decimetres, from the front)   |
| TH_FACE_TRACK      | media_core.face.track.FaceTrack | landmarks in pixels, expression, pose, confidence [T] 0..1 (0: no  |
|                    |                                 | face seen), rigid shape, reprojection [T] px                       |
| TH_FACE_CROP       | media_core.face.crop.FaceCrop   | source-to-crop matrices [T or 1, 2, 3], side px, source (H, W), fps |

Core's FACE_LANDMARKS (0.23 and later) is a dict: "frames" (a list of faces a frame, each with "landmarks_xy" [478, 2] px and
"blendshapes"), "image_size" (H, W). It is read where it is connected and never needed. AUDIO_ENCODER_OUTPUT is a dict:
"encoded_audio" [1, T, C], "encoded_audio_all_layers" (a tuple of the same), "audio_samples" at 16 kHz; AUDIO_ENCODER is the
loaded model that gives it.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

from comfy_api.latest import io

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher
    from torch import Tensor

    from ..hmtalker_core import avatar as hmtalker
    from ..media_core import speech
    from ..moditalker_core.atom import model as atom
    from ..moditalker_core.mtov import model as mtov

Model = TypeVar("Model")
Speech = io.Custom("TH_SPEECH")
SpeechEncoder = io.Custom("TH_SPEECH_ENCODER")
Expression = io.Custom("TH_EXPRESSION")
Pose = io.Custom("TH_POSE")
Dataset = io.Custom("TH_DATASET")
Avatar = io.Custom("TH_AVATAR")
Atom = io.Custom("TH_ATOM")
MToV = io.Custom("TH_MTOV")
MotionDataset = io.Custom("TH_MOTION_DATASET")
AvatarMotion = io.Custom("TH_AVATAR_MOTION")
Landmarks = io.Custom("TH_LANDMARKS")
FaceTrack = io.Custom("TH_FACE_TRACK")
FaceCrop = io.Custom("TH_FACE_CROP")
# core's own, by their names: the classes are newer than the oldest ComfyUI this pack runs on
Splat = io.Custom("SPLAT")
FaceLandmarks = io.Custom("FACE_LANDMARKS")
Camera = io.Custom("LOAD3D_CAMERA")
AudioEncoder = io.Custom("AUDIO_ENCODER")
AudioEncoderOutput = io.Custom("AUDIO_ENCODER_OUTPUT")


@dataclass(frozen=True)
class DatasetFolder:
    """A training dataset on disk, in the TalkingGaussian layout."""

    folder: str  # absolute path
    frames: int  # video frames in it
    fps: float  # frames per second
    version: int = 1  # of this object's layout


@dataclass(frozen=True)
class Loaded(Generic[Model]):
    """A model from a file, and the patcher through which ComfyUI moves its networks between devices (see `bridge`)."""

    model: Model
    patcher: ModelPatcher  # around the model's networks
    name: str  # file name without its ending
    licence: str = ""  # what the weights may be used for
    version: int = 1  # of this object's layout


@dataclass(frozen=True)
class LoadedEncoder:
    """An open speech encoder, and the patchers through which ComfyUI moves its networks between devices; none where it has no
    network of this pack's."""

    encoder: speech.SpeechEncoder
    patchers: tuple[ModelPatcher, ...] = ()
    version: int = 1  # of this object's layout


LoadedAvatar: TypeAlias = "Loaded[hmtalker.Avatar]"
LoadedAToM: TypeAlias = "Loaded[atom.AToM]"
LoadedMToV: TypeAlias = "Loaded[mtov.MToV]"


@dataclass(frozen=True)
class MotionFolder:
    """A motion dataset on disk (moditalker_core.data.dataset)."""

    folder: str  # absolute path
    clips: int  # pieces of speech with one face each
    seconds: float  # of speech in all
    fps: float  # frames per second
    encoder: str  # of its speech features
    version: int = 1  # of this object's layout


@dataclass(frozen=True)
class SplatBatch:
    """Core's SPLAT attributes, for the versions of ComfyUI that have no class for them."""

    positions: Tensor  # float32 [B, N, 3], Y down, Z forward
    scales: Tensor  # float32 [B, N, 3], linear standard deviations
    rotations: Tensor  # float32 [B, N, 4], unit quaternions wxyz
    opacities: Tensor  # float32 [B, N, 1], 0..1
    sh: Tensor  # float32 [B, N, K, 3], spherical harmonics, K = (degree + 1) ** 2
    counts: Tensor | None = None  # [B] true lengths, or None when every row is full
