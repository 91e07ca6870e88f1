"""The inside of a video's own mouth, from the frame that shows its teeth best, fixed to the skull in all the others."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..media_core.face.carrier.inner_look import OwnInside
from ..media_core.face.carrier.place import Place, smooth
from ..media_core.subject.layout import INNER_LIPS

_BRIGHT, _REDDEST = .68, 1.4   # teeth: brightness over the cheek's, at least; red over green, at most
_LEAST = 30.0                  # square units of teeth that are worth showing
_SOFT = 1.4                    # units inside the lips over which they begin
_NOSE_BASE = [2, 97, 326]
_UP, _ACROSS = 30.0, 24.0      # units: three places in the skull that tell how two frames lie to each other


@dataclass(frozen=True)
class Teeth:
    """A piece of one frame."""

    score: float         # square units of teeth, less where the head is turned
    number: int          # of the frame
    picture: np.ndarray  # uint8 [h, w, 3]
    weight: np.ndarray   # float32 [h, w] 0..1
    corners: np.ndarray  # float32 [3, 2] px of the piece: three places in the skull
    cheek: float         # brightness of the cheek there

    def seen_in(self, place: Place, mesh: np.ndarray, cheek: float, size: tuple[int, int]) -> OwnInside:
        """What of it another image of (H, W) px shows, by the face's mesh there.

        Args:
            cheek: brightness of the cheek there; the piece is made as much brighter. NaN: not known.
        """
        import cv2

        ring = mesh[INNER_LIPS, :2]
        reach = 10 * place.pixel
        low = np.clip(np.floor(ring.min(0) - reach), 0, [size[1] - 1, size[0] - 1]).astype(int)
        high = np.clip(np.ceil(ring.max(0) + reach) + 1, low + 1, [size[1], size[0]]).astype(int)
        way = cv2.getAffineTransform(self.corners, (skull(place, mesh) - low).astype(np.float32))
        wide = int(high[0] - low[0]), int(high[1] - low[1])
        picture = cv2.warpAffine(self.picture, way, wide, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        weight = cv2.warpAffine(self.weight, way, wide, flags=cv2.INTER_LINEAR)
        light = cheek / max(self.cheek, 1.0) if np.isfinite(cheek) else 1.0
        lit = np.clip(picture * np.float32(light), 0, 255).astype(np.uint8)
        return OwnInside(weight=weight, left=int(low[0]), top=int(low[1]), picture=lit)


def skull(place: Place, mesh: np.ndarray) -> np.ndarray:  # -> float64 [3, 2] px
    """Three places about the upper teeth that the mouth does not move; hung on the nose's base."""
    base = mesh[_NOSE_BASE].astype(np.float64).mean(0)
    steps = np.array([[-_ACROSS, 0, 0], [_ACROSS, 0, 0], [0, -_UP, 0]], np.float64)
    return (base + (steps @ place.axes.T) / place.k)[:, :2]


def teeth_in(frame: np.ndarray, mesh: np.ndarray, number: int, cheek: float) -> Teeth | None:
    """What a frame uint8 [H, W, 3] shows of its teeth; None: too little. `cheek`: its brightness."""
    import cv2

    place, ring = Place.of(mesh), mesh[INNER_LIPS, :2]
    low = np.maximum(np.floor(ring.min(0)).astype(int) - 3, 0)
    high = np.minimum(np.ceil(ring.max(0)).astype(int) + 4, [frame.shape[1], frame.shape[0]])
    if (high - low).min() < 4:
        return None
    picture = frame[low[1]:high[1], low[0]:high[0]]
    mask = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round((ring - low) * 16).astype(np.int32)], 1, cv2.LINE_8, 4)
    inwards = cv2.distanceTransform(mask, cv2.DIST_L2, 3) / place.pixel
    colour = picture.astype(np.float32)
    white = (colour.mean(-1) > _BRIGHT * cheek) & (colour[..., 0] < _REDDEST * colour[..., 1]) & (inwards > .5)
    area = float(white.sum()) * place.k ** 2 * abs(float(place.axes[0, 0])) ** 3
    if area < _LEAST:
        return None
    return Teeth(score=area, number=number, picture=picture.copy(), weight=smooth(inwards / _SOFT).astype(np.float32),
                 corners=(skull(place, mesh) - low).astype(np.float32), cheek=cheek)
