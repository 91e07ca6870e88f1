"""A person's recording as a training dataset: TalkingGaussian's folder layout, read frame by frame (docs/hmtalker.md).

Tables and landmarks are read at once and checked against each other; images are decoded on demand or ahead of it and kept as
bytes in a bounded store, so that memory does not grow with the recording. Everything a frame needs is known to be there before
training starts.
"""
from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from ...media_core.errors import FileFormatError, TalkingHeadsError
from ...media_core.image_reading import opened_picture
from ...media_core.json_files import read_json_object
from ...media_core.motion import checked_reliability
from ...media_core.npy_files import load_npy
from ...media_core.paths import is_temporary
from ...media_core.schema import RATES, SIDE, described, flag, optional, real, record, text
from ..model.camera import scene_extent
from .annotations import clamp_rect, label_masks, lip_opening, lip_square
from .dataset_tables import CameraTable, read_action_units, read_cameras, some
from .store import DecodedStore

FPS = 25.0  # of a dataset without a manifest
IMAGES = (".jpg", ".jpeg", ".png")
CACHE_BYTES = 1 << 30
FACE, HAIR, MOUTH = 1, 2, 4  # bits of a frame's labels
FOLDERS = {"parsing": IMAGES, "torso_imgs": (".png",)}  # besides the images and landmarks; teeth_mask may be absent
_MANIFEST = record({}, {"fps": real(-1e9, 1e9), "credit": optional(text()), "au_source": optional(text()),
                        "masks": optional(flag())}, others=True)


@dataclass(frozen=True)
class Frame:
    """One frame at the training size. Arrays are shared with the store: do not write to them."""
    index: int                          # frame number
    image: np.ndarray                   # uint8 [H, W, 3] RGB, background replaced where the dataset has gt_imgs
    labels: np.ndarray                  # uint8 [H, W], a sum of FACE, HAIR, MOUTH
    background: np.ndarray              # uint8 [H, W, 3], the same array for every frame
    landmarks: np.ndarray               # float32 [68, 2] x y pixels
    lips_rect: np.ndarray | None        # int64 [row0, row1, col0, col1] inside the image; None when the lips lie outside it
    dataset: AvatarDataset = field(repr=False)

    @property
    def face_mask(self) -> np.ndarray:
        """bool [H, W] skin, lips, eyes, brows."""
        return (self.labels & FACE) > 0

    @property
    def hair_mask(self) -> np.ndarray:
        """bool [H, W]."""
        return (self.labels & HAIR) > 0

    @property
    def mouth_mask(self) -> np.ndarray:
        """bool [H, W] inside of the mouth, empty while it is shut."""
        return (self.labels & MOUTH) > 0

    @property
    def torso(self) -> np.ndarray:
        """uint8 [H, W, 4] RGBA, straight alpha; decoded when asked for, since only the last stage of a training looks at it.

        Raises:
            FileFormatError: it is broken or differs in size from the first image.
        """
        return self.dataset.torso(self.index)

    @property
    def has_mouth(self) -> bool:
        """Whether the inside of the mouth is visible."""
        return bool((self.labels & MOUTH).any())

    @property
    def nbytes(self) -> int:
        """Memory of the frame's own arrays."""
        return self.image.nbytes + self.labels.nbytes + self.landmarks.nbytes


@dataclass(frozen=True)
class Manifest:
    """The part of a dataset's manifest that training uses."""
    fps: float = FPS                                     # frames per second
    credit: str = ""                                     # origin of the images
    au_source: str = ""                                  # what measured the action units
    au_reliability: tuple[float, ...] | None = None      # 17 numbers 0..1; None: not given
    masks: bool = True                                   # whether it was prepared with masks


class AvatarDataset:
    """F frames of one person; make it with `AvatarDataset.open`.

    Attributes:
        folder: where it lies.
        size: (H, W) of the frames as delivered.
        fps: frames per second.
        credit: where the images come from, as the manifest says; stored in avatars too.
        au_source: what measured the action units, as the manifest says; "" if it does not.
        au_reliability: 17 numbers 0..1, how far each unit can be trusted, or None if the manifest does not say.
        focal: pixels, at `size`.
        poses: [F, 4, 4] float32 camera to head, OpenGL axes, metres.
        au: [F, 17] float32 intensities 0..5 in `media_core.motion.AU_NAMES`' order; NaN where unknown.
        landmarks: [F, 68, 2] float32 pixels, at `size`.
        train_index, val_index: int64 frame numbers of the two parts.
        sound_index: int64 [F] frame of the audio that belongs to each image; they differ where frames were left out.
        sound_path, audio_path: the recording's audio.
    """

    def __init__(self, folder: Path, files: dict[str, list[Path]], *, cameras: CameraTable, au: np.ndarray,
                 landmarks: np.ndarray, manifest: Manifest, size: int | None, cache_bytes: int):
        self.folder, self.au, self.poses = folder, au, cameras.poses
        self.fps, self.credit = manifest.fps, manifest.credit
        self.au_source, self.au_reliability = manifest.au_source, manifest.au_reliability
        self.train_index, self.val_index, self.sound_index = cameras.train, cameras.val, cameras.sound
        self._files = files
        self._mouths: dict[int, int] = {}  # pixels of the inside of the mouth, of frames that were decoded once
        self._store: DecodedStore[tuple[str, int], Frame | np.ndarray] = DecodedStore(self._decoded, cache_bytes)
        height, width, _ = _image(files["images"][0], "RGB").shape
        self._stored = (height, width)
        scale = min(1.0, size / max(height, width)) if size else 1.0
        self.size = (max(1, round(height * scale)), max(1, round(width * scale)))
        self.focal, self.landmarks = cameras.focal * scale, (landmarks * scale).astype(np.float32)
        self.background = self._resized(self._checked(files["background"][0], "RGB"))

    @classmethod
    def open(cls, folder: str | Path, *, size: int | None = None, cache_bytes: int = CACHE_BYTES) -> AvatarDataset:
        """Opens a folder of the layout in docs/hmtalker.md#dataset-layout.

        Args:
            folder: with transforms_train.json, au.csv, aud.wav, bc.jpg, ori_imgs/, parsing/, torso_imgs/; transforms_val.json,
                gt_imgs/, teeth_mask/ and manifest.json are used when present.
            size: longer edge in pixels to which frames are reduced (area average); None, or more than they have: as they are.
            cache_bytes: memory that decoded frames may take.
        Raises:
            FileFormatError: something is missing (up to ten frame numbers are named), or tables contradict each other.
        """
        folder = Path(folder)
        if size is not None and size < 1:
            raise TalkingHeadsError("The training size must be at least 1 pixel", f"{size}",
                                    "Give None to keep the frames' size")
        _require(folder)
        cameras = read_cameras(folder)
        count = len(cameras.poses)
        images = "gt_imgs" if (folder / "gt_imgs").is_dir() and any(
            not is_temporary(path.name) for path in (folder / "gt_imgs").iterdir()) else "ori_imgs"
        files = {"images": _numbered(folder / images, IMAGES, count), "lms": _numbered(folder / "ori_imgs", (".lms",), count),
                 "background": [_background_path(folder)]}
        files.update({name: _numbered(folder / name, kinds, count) for name, kinds in FOLDERS.items()})
        files["teeth_mask"] = _numbered(folder / "teeth_mask", (".npy",), count) if (folder / "teeth_mask").is_dir() else []
        manifest = _manifest(folder / "manifest.json")
        au = read_action_units(folder / "au.csv", count, manifest.fps)
        landmarks = np.stack([_landmarks(path) for path in files["lms"]])
        return cls(folder, files, cameras=cameras, au=au, landmarks=landmarks, manifest=manifest, size=size,
                   cache_bytes=cache_bytes)

    def __len__(self) -> int:
        return len(self.poses)

    @property
    def sound_path(self) -> Path:
        return self.folder / "aud.wav"

    @property
    def audio_path(self) -> Path:
        """The same as `sound_path`."""
        return self.sound_path

    @property
    def extent(self) -> float:
        """Scene extent of the training cameras, metres (`camera.scene_extent`)."""
        return scene_extent(torch.from_numpy(self.poses[self.train_index if len(self.train_index) else slice(None)]))

    @property
    def openings(self) -> np.ndarray:
        """[F] inner-lip opening in rows, at `size`."""
        return lip_opening(self.landmarks)

    def frame(self, index: int) -> Frame:
        """Decodes frame `index` (0..F-1), or takes it from the store.

        Raises:
            IndexError: no such frame.
            FileFormatError: an image is broken or differs in size from the first.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"frame {index} of a dataset of {len(self)}")
        frame = self._store.get(("frame", index))
        assert isinstance(frame, Frame)
        return frame

    def torso(self, index: int) -> np.ndarray:  # -> uint8 [H, W, 4]
        """Frame `index`'s torso layer: see `Frame.torso`."""
        torso = self._store.get(("torso", index))
        assert isinstance(torso, np.ndarray)
        return torso

    def ahead(self, indices: Iterable[int], torso: bool = False) -> None:
        """Has frames decoded by a thread that will be asked for next, in this order; `torso`: their torso layers too."""
        self._store.ahead((kind, index) for index in indices for kind in (("frame", "torso") if torso else ("frame",)))

    def mouth_area(self, index: int, decode: bool = True) -> int | None:
        """Pixels of the inside of the mouth in frame `index`; None where that is not known yet and nothing shall be decoded."""
        if decode and index not in self._mouths:
            self.frame(index)
        return self._mouths.get(index)

    def _decoded(self, key: tuple[str, int]) -> Frame | np.ndarray:
        kind, index = key
        if kind == "torso":
            return self._resized(self._checked(self._files["torso_imgs"][index], "RGBA"))
        landmarks = self.landmarks[index]
        labels = self._labels(index)
        self._mouths[index] = int(np.count_nonzero(labels & MOUTH))
        return Frame(index=index, image=self._resized(self._checked(self._files["images"][index], "RGB")),
                     labels=labels, background=self.background, landmarks=landmarks,
                     lips_rect=clamp_rect(lip_square(landmarks), *self.size), dataset=self)

    def _labels(self, index: int) -> np.ndarray:  # -> uint8 [H, W]
        files = self._files
        teeth = _teeth(files["teeth_mask"][index], self._stored) if files["teeth_mask"] else np.zeros(self._stored, bool)
        masks = label_masks(self._checked(files["parsing"][index], "RGB"), teeth)
        parts = ((masks.face, FACE), (masks.hair, HAIR), (masks.mouth, MOUTH))
        return np.bitwise_or.reduce([self._resized(mask).view(np.uint8) * np.uint8(bit) for mask, bit in parts])

    def _checked(self, path: Path, mode: str) -> np.ndarray:  # uint8 [H, W, C]
        image = _image(path, mode)
        if image.shape[:2] != self._stored:
            height, width = self._stored
            raise FileFormatError(f"All images of a dataset must be {width} x {height} pixels, like its first frame",
                                  f"{path} is {image.shape[1]} x {image.shape[0]}", "Prepare the recording again")
        return image

    def _resized(self, image: np.ndarray) -> np.ndarray:  # uint8 [H, W, C] or bool [H, W]
        if image.shape[:2] == self.size:
            return image
        from PIL import Image

        height, width = self.size
        mask = image.dtype == bool
        source = Image.fromarray(image.astype(np.uint8) * 255 if mask else image)
        small = np.array(source.resize((width, height), Image.Resampling.BOX))
        return small >= 128 if mask else small


def _require(folder: Path) -> None:
    """What every dataset must have, in one error."""
    names = ("transforms_train.json", "au.csv", "aud.wav", "ori_imgs", *FOLDERS)
    missing = [name for name in names if not (folder / name).exists()] + ([] if _background_path(folder) else ["bc.jpg"])
    if "parsing" in missing and not _manifest(folder / "manifest.json").masks:
        raise FileFormatError("A training dataset must have masks", f"{folder} was captured without",
                              "Capture the video into the same folder again, with masks: only the masks are made then")
    if missing:
        came = f"{folder} lacks {', '.join(missing)}" if folder.is_dir() else f"no folder at {folder}"
        raise FileFormatError("A training dataset must be a folder in TalkingGaussian's layout", came,
                              "Choose a prepared folder, or make one (node Prepare Avatar Dataset, or talking-heads capture)")


def _background_path(folder: Path) -> Path | None:
    return next((folder / f"bc{kind}" for kind in IMAGES if (folder / f"bc{kind}").is_file()), None)


def _numbered(folder: Path, kinds: tuple[str, ...], count: int) -> list[Path]:
    """Files `<number><kind>` of frames 0..count-1.

    Raises:
        FileFormatError: some are missing; the first ten are named.
    """
    inside = folder.iterdir() if folder.is_dir() else ()
    found = {int(path.stem): path for path in inside if path.suffix.lower() in kinds
             and re.fullmatch("[0-9]{1,9}", path.stem)}
    missing = [number for number in range(count) if number not in found]
    if missing:
        raise FileFormatError(f"{folder.name}/ must hold a {kinds[0]} file for each of the {count} frames",
                              f"none for frame {some(missing)}", "Copy the whole dataset again, or prepare these frames")
    return [found[number] for number in range(count)]


def _manifest(manifest: Path) -> Manifest:
    """The part of the manifest that is used; the defaults if there is no file.

    Raises:
        FileFormatError: no JSON object, or an impossible frame rate or reliability.
    """
    if not manifest.is_file():
        return Manifest()
    do = "Delete it (25 frames per second are then assumed), or make the dataset again"
    try:
        table = read_json_object(manifest, do=do)
        described(table, _MANIFEST, "manifest.json", do)
    except FileFormatError as error:
        raise FileFormatError("manifest.json must be a JSON object with a number `fps`",
                              f"{manifest} is not ({error.must}: {error.came})", do) from error
    fps, trust = float(table.get("fps", FPS)), table.get("au_reliability")
    credit, source = table.get("credit") or "", table.get("au_source") or ""
    masks = table.get("masks") is not False
    if not RATES[0] <= fps <= RATES[1]:
        raise FileFormatError(f"A dataset's frame rate must lie in {RATES[0]:g}..{RATES[1]:g}", f"{fps}",
                              "Correct `fps` in manifest.json")
    try:
        return Manifest(fps=fps, credit=credit, au_source=source, masks=masks,
                        au_reliability=None if trust is None else checked_reliability(trust))
    except TalkingHeadsError as error:
        raise FileFormatError(error.must, f"{error.came} in {manifest}", "Correct `au_reliability` in manifest.json") from error


def _landmarks(path: Path) -> np.ndarray:  # -> [68, 2] float64
    try:
        points = np.array(path.read_text("utf-8").split(), dtype=np.float64)
    except (OSError, ValueError) as error:
        raise FileFormatError("A landmark file must hold 68 lines of two numbers", f"{path} does not ({error})",
                              "Find the landmarks of this frame again") from error
    if points.size != 136 or not np.isfinite(points).all():
        raise FileFormatError("A landmark file must hold 68 lines of two finite numbers", f"{points.size} numbers in {path}",
                              "Find the landmarks of this frame again")
    return points.reshape(68, 2)


def _image(path: Path, mode: str) -> np.ndarray:  # -> uint8 [H, W, 3 or 4]
    do = "Copy it again from the original, or prepare this frame again"
    with opened_picture(path, "Every image of a dataset", do) as image:
        if max(image.size) > SIDE:
            raise ValueError(f"{image.width} x {image.height} px, more than {SIDE}")
        return np.array(image.convert(mode))


def _teeth(path: Path, size: tuple[int, int]) -> np.ndarray:  # -> bool [H, W]
    mask = load_npy(path, "A teeth mask must be a readable .npy file", "Prepare this frame again")
    if mask.dtype.kind not in "biuf":
        raise FileFormatError("A teeth mask must hold numbers", f"{path} holds {mask.dtype}", "Prepare this frame again")
    if mask.shape != size:
        raise FileFormatError(f"A teeth mask must be {size[0]} x {size[1]}, like its frame", f"{path} is {mask.shape}",
                              "Prepare this frame again")
    return mask.astype(bool)
