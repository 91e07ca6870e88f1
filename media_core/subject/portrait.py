"""A photograph that becomes a person who moves: the astronaut with what was measured and drawn on her once, or any other.

The astronaut (NASA's portrait of Eileen Collins, public domain) is read from the scikit-image wheel. `portrait.npz`
holds 478 face points measured on it, and two cut-outs (head with hair; suit) that `benchmarks/subject_cutouts.py` makes. Every
other photo is brought to the same scale and about the same place (`photo.of_picture`), so that lengths mean the same.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from ..errors import FileFormatError
from .layout import skin_sample

LEFT, TOP, RIGHT, BOTTOM = 90, 0, 360, 256   # the part of the photo in use, photo pixels
SCALE = 4                                    # texture pixels per photo pixel

_TO_PHOTO = 1100 / 1092 / 5                  # the hair and neck were traced on an enlargement
_HAIR = [
    (357, 655), (345, 655), (325, 645), (310, 625), (305, 600), (300, 580), (262, 545), (230, 500), (222, 450), (215, 380),
    (218, 330), (235, 280), (270, 240), (320, 208), (385, 180), (400, 160), (440, 115), (490, 100), (540, 88), (600, 80),
    (660, 82), (720, 100), (780, 132), (830, 165), (870, 195), (900, 240), (925, 290), (935, 340), (950, 390), (950, 440),
    (940, 500), (925, 545), (900, 575), (870, 605), (848, 630), (840, 650), (825, 665), (805, 678), (785, 680)]
_NECK = [
    (372, 640), (374, 760), (378, 880), (395, 903), (430, 918), (480, 930), (560, 938), (640, 947), (690, 932), (712, 917),
    (722, 870), (737, 800), (752, 700), (752, 640)]
HAIR = np.array(_HAIR) * _TO_PHOTO + [110, 0]
NECK = np.array(_NECK) * _TO_PHOTO + [110, 0]
TORSO = np.array([
    (80, 236), (95, 222), (114, 207), (113, 196), (118, 184), (124, 172), (131, 162), (140, 155), (150, 151), (161, 148.5),
    (172, 148), (188, 149), (215, 160), (240, 168), (256, 175), (265, 180), (279, 193), (292, 210), (300, 228), (303, 240),
    (318, 240), (340, 258), (360, 275), (360, 300), (60, 300)])


@dataclass(frozen=True)
class RestFace:
    """What a photographed face does at rest, which the rig takes out; and how its lids are built. The astronaut's by default."""
    smile: float = 1.0      # 0: a neutral mouth .. 1: the astronaut's smile
    shut: float = 0.0       # 1: the lips are closed
    hooded: bool = False    # a crease of the lid close under the brow stays with the brow


@dataclass(frozen=True)
class InnerMouth:
    """What a photo that shows little or nothing of it has between its lips."""
    teeth: np.ndarray       # uint8 [h, w, 3] a patch with the upper row
    light: float            # how bright the rest of it is, 1: as in the astronaut


@dataclass(frozen=True)
class Source:
    """Where a photo came from."""
    name: str               # of the file
    sha256: str             # of the file, or of the pixels where there is none

    @property
    def described(self) -> dict[str, str]:
        """As manifests hold it."""
        return {"name": self.name, "sha256": self.sha256}

    @property
    def credit(self) -> str:
        return (f"Made from the photograph {self.name} (SHA-256 {self.sha256[:16]}). The person in it never said these words. "
                "Use it only with that person's consent.")


@dataclass(frozen=True)
class Portrait:
    """Everything known about the photograph. h, w: height and width of the part in use; textures are SCALE times larger.

    Cut-outs and outlines are stored for the astronaut alone: they are empty for a photo, whose `actor.Actor` finds its own.
    """
    image: np.ndarray       # uint8 [h, w, 3]
    points: np.ndarray      # float64 [478, 3] photo pixels; z away from the viewer, same unit
    head_cut: np.ndarray    # uint8 [h S, w S] 0 or 255: head with hair
    torso_cut: np.ndarray   # the same for the suit
    hair: np.ndarray        # float64 [P, 2] outline, photo pixels
    neck: np.ndarray        # outline
    torso: np.ndarray       # outline
    big: np.ndarray | None = None       # uint8 [h S, w S, 3]: the photo at texture size, where it is known that finely
    rest: RestFace = field(default_factory=RestFace)
    mouth: InnerMouth | None = None     # None: the photo's own teeth
    source: Source | None = None        # None: the astronaut

    @classmethod
    def load(cls) -> Portrait:
        """The astronaut."""
        return load()

    @classmethod
    def of_picture(cls, picture: np.ndarray, mesh: np.ndarray, source: Source | None = None) -> Portrait:
        """Any photo (uint8 [H, W, 3]) with its 478 face points (px); see `photo.of_picture`."""
        from .photo import of_picture
        return of_picture(picture, mesh, source)


def load() -> Portrait:
    """Reads the photograph and our measurements.

    Raises:
        FileFormatError: this package's own file is missing.
    """
    from skimage import data
    path = Path(__file__).with_name("portrait.npz")
    if not path.is_file():
        raise FileFormatError("The subject needs its file portrait.npz", f"no {path}", "Install the package again")
    with np.load(path, allow_pickle=False) as stored:
        points = stored["points"].astype(np.float64)
        shape = ((BOTTOM - TOP) * SCALE, (RIGHT - LEFT) * SCALE)
        head, torso = (np.unpackbits(stored[name], count=shape[0] * shape[1]).reshape(shape) * np.uint8(255)
                       for name in ("head", "torso"))
    return Portrait(image=data.astronaut()[TOP:BOTTOM, LEFT:RIGHT].copy(), points=points, head_cut=head, torso_cut=torso,
                    hair=HAIR, neck=NECK, torso=TORSO)


def to_texture(points: ArrayLike) -> np.ndarray:  # [..., 2] -> [..., 2]
    """Photo pixels -> texture pixels (pixel centres are integers in both)."""
    return (np.asarray(points, np.float64) - [LEFT, TOP] + 0.5) * SCALE - 0.5


def enlarge(image: np.ndarray) -> np.ndarray:
    """An image of the part in use at texture size."""
    import cv2
    return cv2.resize(image, None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_CUBIC)


def shrink(image: np.ndarray) -> np.ndarray:
    """The opposite of `enlarge`, by area means."""
    import cv2
    return cv2.resize(image, (image.shape[1] // SCALE, image.shape[0] // SCALE), interpolation=cv2.INTER_AREA)


def filled(shape: tuple[int, int], outline: np.ndarray) -> np.ndarray:  # [P, 2] photo pixels -> uint8 [H, W] 0..255
    """A polygon drawn at texture size with smooth edges."""
    import cv2
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [np.round(to_texture(outline) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return mask


def skin_shown(image: np.ndarray, flat: np.ndarray) -> np.ndarray:  # [H, W, 3], [>= 468, 2] photo pixels -> bool [H, W]
    """Some of a texture's skin: a cheek, unless something covers it."""
    def inside(outline: list[int]) -> np.ndarray:
        return filled((image.shape[0], image.shape[1]), flat[outline]) > 0

    return inside(skin_sample(lambda outline: float(np.median(image[inside(outline)], 0).mean())))


def blurred(mask: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur; `sigma` in pixels of the image given."""
    import cv2
    return cv2.GaussianBlur(mask, (0, 0), sigma)


def grown(mask: np.ndarray, size: int) -> np.ndarray:
    """Dilated by a square of `size`."""
    import cv2
    return cv2.dilate(mask, np.ones((size, size), np.uint8))


def shrunk(mask: np.ndarray, size: int) -> np.ndarray:
    """Eroded by a square of `size`."""
    import cv2
    return cv2.erode(mask, np.ones((size, size), np.uint8))
