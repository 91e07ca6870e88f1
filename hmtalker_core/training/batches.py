"""What a training step reads: one frame as tensors, cropped to what its branch renders, and the tracks of the whole clip."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...media_core.audio import load_sound
from ...media_core.errors import TalkingHeadsError
from ...media_core.motion import AU_NAMES, LOWER_INDEX, UPPER_INDEX, unreliable_units
from ...media_core.progress import Report
from ...media_core.speech import EncoderChoice, encode_speech
from ..data.annotations import BLINK_CEILING
from ..data.dataset import AvatarDataset
from ..model.audio_net import Window, audio_windows, sound_around, window_shift
from ..model.camera import intrinsics, opengl_c2w_to_viewmat
from ..speech_format import SpeechFormat
from .curriculum import MIN_MOUTH_AREA

BLINK = AU_NAMES.index("AU45")
Box = tuple[int, int, int, int]  # (row0, row1, col0, col1) px, ends exclusive
EYES = (slice(36, 42), slice(42, 48))  # landmarks of each eye
MAX_DURATION_GAP = 0.5  # s by which a dataset's audio and video may differ in length


@dataclass(frozen=True)
class View:
    """One training frame, cropped. Images are float32 in 0..1, masks float32 0 or 1, all on the training device."""

    index: int  # frame number
    image: Tensor  # [h, w, 3]
    backdrop: Tensor  # [h, w, 3] torso over background
    face: Tensor  # [h, w, 1] skin, lips, eyes, brows
    hair: Tensor  # [h, w, 1]
    mouth: Tensor  # [h, w, 1] inside of the mouth
    lips: Tensor  # [h, w, 1] the lip square
    eyes: Tensor  # [h, w, 1] a rectangle around each eye
    viewmat: Tensor  # [4, 4] head to camera, OpenCV axes, metres
    K: Tensor  # [3, 3] of the crop

    @property
    def width(self) -> int:
        return self.image.shape[1]

    @property
    def height(self) -> int:
        return self.image.shape[0]


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
    window: Window = "centred"  # which frames of audio belong to each frame

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

    def view(self, index: int, box: Box | None = None) -> View:
        """Frame `index`, cropped to box = (row0, row1, col0, col1) in pixels, or whole."""
        frame = self.dataset.frame(index)
        height, width = self.dataset.size
        row0, row1, col0, col1 = box or (0, height, 0, width)
        cut = lambda x: copied(x[row0:row1, col0:col1]).to(self.device)
        mask = lambda x: cut(x).float()[..., None]
        torso = cut(frame.torso).float().div(255)
        background = cut(frame.background).float().div(255)
        lips, eyes = (torch.zeros(height, width, dtype=torch.bool) for _ in range(2))
        if frame.lips_rect is not None:
            _fill(lips, frame.lips_rect)
        for points in EYES:
            _fill(eyes, eye_box(frame.landmarks[points]))
        K = intrinsics(self.dataset.focal, width, height).to(self.device)
        K = K - K.new_tensor([[0, 0, col0], [0, 0, row0], [0, 0, 0]])
        return View(
            index=index, image=cut(frame.image).float().div(255),
            backdrop=torso[..., :3] * torso[..., 3:] + background * (1 - torso[..., 3:]), face=mask(frame.face_mask),
            hair=mask(frame.hair_mask), mouth=mask(frame.mouth_mask), lips=mask(lips), eyes=mask(eyes),
            viewmat=self.viewmats[index], K=K)

    def has_mouth(self, index: int) -> bool:
        return int(np.count_nonzero(self.dataset.frame(index).mouth_mask)) >= MIN_MOUTH_AREA


def copied(x: np.ndarray | Tensor) -> Tensor:  # cached arrays cannot be written to, which torch warns about
    return x.clone() if isinstance(x, Tensor) else torch.from_numpy(x.copy())


def eye_box(points: np.ndarray) -> Box:  # [6, 2] px x y
    """A rectangle around one eye, half an eye's width beyond the lids on all sides."""
    low, high = points.min(0), points.max(0)
    margin = 0.5 * (high[0] - low[0])
    top, bottom, left, right = low[1] - margin, high[1] + margin, low[0] - margin, high[0] + margin
    return int(round(top)), int(round(bottom)), int(round(left)), int(round(right))


def _fill(mask: Tensor, box: Box | np.ndarray) -> None:
    top, bottom, left, right = (max(int(v), 0) for v in box)
    mask[top:bottom, left:right] = True


def open_clip(dataset: AvatarDataset, encoder: EncoderChoice, device: torch.device, report: Report,
              window: Window = "centred") -> Clip:
    """Reads the tracks of a dataset and encodes its speech.

    Raises:
        TalkingHeadsError: the audio cannot be read, no action unit is known, or no frame is there to train on.
    """
    if not len(dataset.train_index):
        raise TalkingHeadsError("The dataset must have training frames", "none in transforms_train.json",
                                "Split the recording again, 10 : 1 for instance")
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
                outside=sound_around(speech, dataset.fps, frames).to(device), hears=SpeechFormat.of(speech), window=window)


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


def bounding_box(mask: Tensor | np.ndarray, margin: int) -> Box | None:  # bool [H, W] -> None when empty
    """The smallest box around a mask, widened by `margin` pixels, inside the frame."""
    mask = torch.as_tensor(mask)
    if not mask.any():
        return None
    rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
    height, width = mask.shape
    return (max(int(rows.min()) - margin, 0), min(int(rows.max()) + 1 + margin, height),
            max(int(columns.min()) - margin, 0), min(int(columns.max()) + 1 + margin, width))
