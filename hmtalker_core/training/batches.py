"""What a training step reads: one frame as tensors, cropped to what its branch renders, and the tracks of the whole clip."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ...media_core.audio import load_sound
from ...media_core.errors import TalkingHeadsError
from ...media_core.motion import AU_NAMES, LOWER_INDEX, UPPER_INDEX, unreliable_units
from ...media_core.mouth_gate import speech_gate
from ...media_core.progress import Report
from ...media_core.speech import EncoderChoice, encode_speech
from ..data.annotations import BLINK_CEILING
from ..data.cues import read_cue
from ..data.dataset import FACE, HAIR, MOUTH, AvatarDataset, Frame
from ..model.audio_net import Window, audio_windows, sound_around, window_shift
from ..model.camera import intrinsics, opengl_c2w_to_viewmat
from ..speech_format import SpeechFormat
from .curriculum import MIN_MOUTH_AREA

BLINK = AU_NAMES.index("AU45")
Box = tuple[int, int, int, int]  # (row0, row1, col0, col1) px, ends exclusive
EYE_POINTS = (slice(36, 42), slice(42, 48))  # landmarks of each eye
LIPS, EYES = 8, 16  # regions of a view, beside the labels of its frame
MAX_DURATION_GAP = 0.5  # s by which a dataset's audio and video may differ in length


@dataclass(frozen=True)
class View:
    """One training frame, cropped; what a step does not ask for is not made. Images are float32 in 0..1, masks float32 0 or 1,
    all on the training device."""

    index: int  # frame number
    frame: Frame
    box: Box  # the crop
    viewmat: Tensor  # [4, 4] head to camera, OpenCV axes, metres
    K: Tensor  # [3, 3] of the crop

    @cached_property
    def pixels(self) -> np.ndarray:  # uint8 [h, w, 3] RGB
        return np.ascontiguousarray(self._cut(self.frame.image))

    @cached_property
    def regions(self) -> np.ndarray:  # uint8 [h, w], a sum of FACE, HAIR, MOUTH, LIPS, EYES
        return _regions(self.frame, self.box)

    @property
    def width(self) -> int:
        return self.box[3] - self.box[2]

    @property
    def height(self) -> int:
        return self.box[1] - self.box[0]

    @cached_property
    def image(self) -> Tensor:  # [h, w, 3]
        return self._shown(self.pixels)

    @cached_property
    def backdrop(self) -> Tensor:  # [h, w, 3] torso over background
        torso, background = self._shown(self._cut(self.frame.torso)), self._shown(self._cut(self.frame.background))
        return torso[..., :3] * torso[..., 3:] + background * (1 - torso[..., 3:])

    @cached_property
    def face(self) -> Tensor:  # [h, w, 1] skin, lips, eyes, brows
        return self._mask(FACE)

    @cached_property
    def hair(self) -> Tensor:  # [h, w, 1]
        return self._mask(HAIR)

    @cached_property
    def mouth(self) -> Tensor:  # [h, w, 1] inside of the mouth
        return self._mask(MOUTH)

    @cached_property
    def lips(self) -> Tensor:  # [h, w, 1] the lip square
        return self._mask(LIPS)

    @cached_property
    def eyes(self) -> Tensor:  # [h, w, 1] a rectangle around each eye
        return self._mask(EYES)

    def _cut(self, array: np.ndarray) -> np.ndarray:
        row0, row1, col0, col1 = self.box
        return array[row0:row1, col0:col1]

    def _shown(self, array: np.ndarray) -> Tensor:  # uint8 -> 0..1
        return copied(array).to(self.viewmat.device).float().div(255)

    def _mask(self, region: int) -> Tensor:
        return torch.from_numpy((self.regions & region) > 0).to(self.viewmat.device).float()[..., None]


def _regions(frame: Frame, box: Box) -> np.ndarray:  # -> uint8 [h, w]
    row0, row1, col0, col1 = box
    regions = frame.labels[row0:row1, col0:col1].copy()
    boxes: list[tuple[Box | np.ndarray, int]] = [(eye_box(frame.landmarks[points]), EYES) for points in EYE_POINTS]
    if frame.lips_rect is not None:
        boxes.append((frame.lips_rect, LIPS))
    for (top, bottom, left, right), region in boxes:
        rows, columns = (slice(max(int(a) - start, 0), max(int(b) - start, 0)) for a, b, start in (
            (top, bottom, row0), (left, right, col0)))
        regions[rows, columns] |= region
    return regions


@dataclass(frozen=True)
class Clip:
    """The tracks of a dataset, ready for training."""

    dataset: AvatarDataset
    features: Tensor  # [S, C, W] speech features around each frame of the audio, on the training device
    sound: Tensor  # int64 [F] frame of the audio that belongs to each image; on the training device
    au: Tensor  # [F, 17] intensities 0..5, AU45 clipped, unknown units 0
    au_known: tuple[bool, ...]  # [17]; units that are unknown or cannot be trusted carry no loss and move nothing
    blink_ceiling: float  # AU45 is clipped to this
    viewmats: Tensor  # [F, 4, 4]
    device: torch.device
    outside: Tensor | None = None  # [8, C, W] what is heard in the four frames before the audio, and in those after it
    hears: SpeechFormat = SpeechFormat("mel", 80)  # whose features they are
    cue: Tensor | None = None  # [F, D] what the explicit code is made of instead of lower-face action units
    window: Window = "centred"  # which frames of audio belong to each frame
    gate: Tensor | None = None  # float64 [S] how far the mouth rests in each frame of audio (`mouth_gate.speech_gate`)
    silence: Tensor | None = None  # [C] features of silence

    def windows(self, index: Tensor) -> Tensor:  # int64 [B] -> [B, 8, C, W]
        """What is heard around frames `index`: the eight frames of audio that a motion net reads."""
        frames = self.sound[index.to(self.sound.device)] + window_shift(self.window)
        return audio_windows(self.features, frames, outside=self.outside)

    @property
    def upper(self) -> Tensor:  # [F, 7]
        return self.au[:, list(UPPER_INDEX)]

    @property
    def lower(self) -> Tensor:  # [F, 10]
        return self.au[:, list(LOWER_INDEX)]

    @property
    def explicit(self) -> Tensor:  # [F, 10], or [F, D] of another cue
        """What the explicit code is made of."""
        return self.lower if self.cue is None else self.cue

    def view(self, index: int, box: Box | None = None) -> View:
        """Frame `index`, cropped to box = (row0, row1, col0, col1) in pixels, or whole."""
        height, width = self.dataset.size
        box = box or (0, height, 0, width)
        K = intrinsics(self.dataset.focal, width, height)
        K[0, 2] -= box[2]
        K[1, 2] -= box[0]
        return View(index, self.dataset.frame(index), box, self.viewmats[index], K.to(self.device))

    def has_mouth(self, index: int, decode: bool = True) -> bool:
        """Whether the inside of the mouth shows in a frame; with `decode` False, True where that is not known yet."""
        area = self.dataset.mouth_area(index, decode)
        return area is None or area >= MIN_MOUTH_AREA


def copied(x: np.ndarray | Tensor) -> Tensor:  # cached arrays cannot be written to, which torch warns about
    return x.clone() if isinstance(x, Tensor) else torch.from_numpy(x.copy())


def eye_box(points: np.ndarray) -> Box:  # [6, 2] px x y
    """A rectangle around one eye, half an eye's width beyond the lids on all sides."""
    low, high = points.min(0), points.max(0)
    margin = 0.5 * (high[0] - low[0])
    top, bottom, left, right = low[1] - margin, high[1] + margin, low[0] - margin, high[0] + margin
    return int(round(top)), int(round(bottom)), int(round(left)), int(round(right))


def open_clip(dataset: AvatarDataset, encoder: EncoderChoice, device: torch.device, report: Report, cue: str = "au",
              window: Window = "centred") -> Clip:
    """Reads the tracks of a dataset and encodes its speech.

    Raises:
        TalkingHeadsError: the dataset lacks the `cue`, the audio cannot be read, no action unit is known, or no frame is
            there to train on.
    """
    if not len(dataset.train_index):
        raise TalkingHeadsError("The dataset must have training frames", "none in transforms_train.json",
                                "Split the recording again, 10 : 1 for instance")
    numbers = read_cue(dataset.folder, cue, dataset.poses, dataset.train_index)
    heard = torch.as_tensor(np.asarray(dataset.sound_index))
    sound, frames = load_sound(dataset.sound_path), int(heard.max()) + 1
    gap, skips = sound.duration - frames / dataset.fps, frames > len(dataset)  # frames may be left out, at the end too
    if gap < -MAX_DURATION_GAP or (gap > MAX_DURATION_GAP and not skips):
        raise TalkingHeadsError(f"The dataset's audio must last as long as its {frames} frames, {frames / dataset.fps:.2f} s",
                                f"{dataset.sound_path.name} lasts {sound.duration:.2f} s", "Prepare the recording again")
    speech = encode_speech(sound, encoder, report)
    features = speech.frame_windows(dataset.fps, 0, frames).to(device)
    au, known, ceiling = clean_action_units(torch.as_tensor(np.asarray(dataset.au), dtype=torch.float32),
                                            dataset.train_index, dataset.au_reliability)
    c2w = torch.as_tensor(np.asarray(dataset.poses), dtype=torch.float32)
    return Clip(dataset=dataset, features=features, sound=heard.to(device), au=au.to(device), au_known=known,
                blink_ceiling=ceiling, viewmats=opengl_c2w_to_viewmat(c2w).to(device), device=device,
                outside=sound_around(speech, dataset.fps, frames).to(device), hears=SpeechFormat.of(speech),
                cue=None if numbers is None else torch.from_numpy(numbers).to(device), window=window,
                gate=speech_gate(speech, dataset.fps), silence=speech.silence_row())


def clean_action_units(au: Tensor, train: np.ndarray, reliability: Sequence[float] | None = None
                       ) -> tuple[Tensor, tuple[bool, ...], float]:  # [F, 17] -> [F, 17], known, ceiling
    """Gaps in a unit's curve are interpolated in time; a unit that is never known, or whose `reliability` [17] lies below
    `RELIABLE`, becomes 0 and is marked so; AU45 is clipped to a ceiling taken from the training frames `train`.

    Raises:
        TalkingHeadsError: no unit is known at all.
    """
    doubtful = unreliable_units(reliability)
    known = tuple(bool(k) and name not in doubtful for name, k in zip(AU_NAMES, torch.isfinite(au).any(0)))
    if not any(known):
        raise TalkingHeadsError("The dataset must have at least one known action unit",
                                "none that can be trusted" if doubtful else "none in au.csv",
                                "Track the video again, or import action units")
    curves = au.numpy().copy()
    time = np.arange(len(curves))
    for unit, is_known in enumerate(known):
        good = np.isfinite(curves[:, unit])
        curves[:, unit] = np.interp(time, time[good], curves[good, unit]) if is_known else 0.0
    ceiling = max(BLINK_CEILING, float(np.quantile(curves[train, BLINK], 0.995)))
    curves[:, BLINK] = curves[:, BLINK].clip(0, ceiling)
    return torch.from_numpy(curves), known, ceiling


def bounding_box(mask: np.ndarray, margin: int) -> Box | None:  # bool [H, W] -> None when empty
    """The smallest box around a mask, widened by `margin` pixels, inside the frame."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return None
    height, width = mask.shape
    return (max(int(rows[0]) - margin, 0), min(int(rows[-1]) + 1 + margin, height),
            max(int(columns[0]) - margin, 0), min(int(columns[-1]) + 1 + margin, width))
