"""A still image, or a frame of a video, whose face moves: its own pixels, carried by the face's mesh; no network
(docs/moditalker.md#carrier).

    carrier = Carrier(picture, mesh)                       # uint8 [H, W, 3], [478, 3] px
    frame = carrier.draw(displacement, blink=.5)           # [68, 3] units (place.py); zeros give the picture to the bit
"""
from __future__ import annotations

import numpy as np

from ...subject.layout import INNER_LIPS, OVAL, to_68
from ...subject.raster import Box
from .handles import Handles
from .inner_look import Mouth
from .inner_mouth import draw_inside
from .place import Place, Turn, sideways, smooth
from .sheet import Field, Sheet

_FADES_IN = .02, 1.2  # units the lips move: less draws no mouth, more hides the image's own
_RAMP = 4.0           # units below `below` over which a frame takes over
_NOSE_BASE = [2, 97, 326]
_UPRIGHT = .2         # radians of roll, about
_RESTORES = .4, .03   # gain of details per stretch of 1, and half-way between two pixels


class Carrier:
    """One image and the face in it.

    Args:
        picture: uint8 [H, W, 3] RGB or [H, W, 4] with alpha.
        mesh: [478, 3] px, z smaller = nearer, of exactly this image.
        handles: of the same person, from an image with shut lips; None: from this one.
        mouth: what its inside looks like; None: as this image allows.
        along: [68, 3] units, what every motion of this image adds (`lip_edge.goes_along`); None: nothing.
    """

    def __init__(self, picture: np.ndarray, mesh: np.ndarray, *, handles: Handles | None = None, mouth: Mouth | None = None,
                 along: np.ndarray | None = None):
        self.picture, self.place = picture, Place.of(mesh)
        self.handles = Handles(mesh) if handles is None else handles
        self.mouth = Mouth.of(picture, mesh) if mouth is None else mouth
        self.own68 = to_68(self.place.own)  # float64 [68, 3] units
        self.along = np.zeros_like(self.own68) if along is None else along
        self.aside = sideways(mesh)
        self._source = _opaque(picture)
        self._lower: np.ndarray | None = None  # [h, w] of the sheet's box with a still head: 0 above the nose's base
        self._sheet = Sheet(picture.shape[:2], self.place, self.handles)

    def draw(self, displacement: np.ndarray, *, blink: float = 0.0, brows: float = 0.0, turned: Turn | None = None,
             sway: tuple[float, float] = (0.0, 0.0), upper: bool = False, below: float | None = None,
             hold: bool = False, move: np.ndarray | None = None) -> np.ndarray:
        """The picture with its face moved.

        Args:
            displacement: [68, 3] units from where the picture shows the points; only jaw and mouth count.
            blink: 0..1, the lids.
            brows: 0..1, raised.
            turned: of the head; None: it keeps still.
            sway: right, down, of the shoulders, units; only with `turned`.
            upper: brows, lids and nose of `displacement` count too.
            below: row (px) above which nothing may change.
            hold: nothing above the base of the nose may change, seen with the face upright.
            move: [468, 3] units, the displacement of the whole mesh, where it is known; of `displacement` then only the chin
                counts, as the jaw's.
        Returns:
            uint8, of the picture's shape.
        """
        if move is None:
            move = self.handles.moved(displacement, self.place.own, blink=blink, brows=brows, upper=upper, evenly=True)
        if turned is not None and turned.still and not any(sway):
            turned = None
        out = self.picture.copy()
        if not move.any() and turned is None:
            return out
        field = self._sheet.field(move, turned, sway)
        self._fill(out, field)
        lips = float(np.abs(move[INNER_LIPS]).max())
        if lips > _FADES_IN[0]:
            draw_inside(out, min(1.0, lips / _FADES_IN[1]), self.place.pixels(self.place.own + move, turned), self.handles,
                        self.place, turned, self.mouth, max(0.0, float(displacement[8, 1])), self._source)
        if hold:
            self._hold(out, field.box)
        return out if below is None else _kept_above(self.picture, out, below, _RAMP * self.place.pixel)

    def _hold(self, out: np.ndarray, box: Box) -> None:
        """The picture above the base of the nose; in place."""
        if self._lower is None:
            self._lower = self._below_nose(box)
        part, own, lower = out[box.slices], self.picture[box.slices], self._lower
        np.copyto(part, own, where=(lower <= 0)[..., None])
        between = (lower > 0) & (lower < 1)
        seam = own[between].astype(np.float32)
        part[between] = (seam + (part[between] - seam) * lower[between][:, None] + .5).astype(np.uint8)

    def _below_nose(self, box: Box) -> np.ndarray:  # -> float32 [h, w] 0..1
        place = self.place
        nose = place.pixels(place.own[_NOSE_BASE])[:, :2].mean(0)
        x, y = np.arange(box.left, box.right) - nose[0], np.arange(box.top, box.bottom) - nose[1]
        down = place.axes[0, 1] * x[None] + place.axes[1, 1] * y[:, None]
        if abs(place.axes[0, 1]) < _UPRIGHT:
            down = np.minimum(down, y[:, None])  # whole rows stay
        return smooth((down * place.k + 1) / _RAMP).astype(np.float32)

    def _fill(self, out: np.ndarray, field: Field) -> None:
        import cv2

        made = cv2.remap(self._source, field.x, field.y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        face = self._face_in(field.box)
        if field.x[face].size:  # sharper, for three times the cost
            part = cv2.remap(self._source, field.x[face], field.y[face], cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REPLICATE)
            made[face] = _sharpened(part, field.x[face], field.y[face])
        part = out[field.box.slices]
        np.copyto(part, made, where=field.moved[..., None])

    def _face_in(self, box: Box) -> tuple[slice, slice]:
        """The box's rows and columns between nose and chin, cheek and cheek."""
        outline = self.place.pixels(self.place.own[[*OVAL, *_NOSE_BASE]])[:, :2] - [box.left, box.top]
        (left, _), (right, bottom) = outline.min(0), outline.max(0)
        top = outline[-len(_NOSE_BASE):, 1].min()
        low, high = np.clip([[top, left], [bottom, right]], 0, box.shape).astype(int).tolist()
        return slice(low[0], high[0]), slice(low[1], high[1])


def _sharpened(made: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:  # uint8 [h, w, C] -> the same
    """What resampling took given back: where skin is stretched its details grow and get softer, and between two pixels the
    finest ones are lost.

    Args:
        x, y: float32 [h, w] px, where each pixel comes from.
    """
    import cv2

    if min(x.shape) < 3:
        return made
    kernel, sharp = np.array([[-1, 2, -1]], np.float32), made.astype(np.float32)
    for place, axis in ((x, 1), (y, 0)):
        scale = cv2.GaussianBlur(np.gradient(place, axis=axis), (0, 0), 2)  # source px per px
        between = place - np.floor(place)
        gain = _RESTORES[0] * np.clip(1 / np.maximum(scale, .3) - 1, 0, .5) + _RESTORES[1] * 4 * between * (1 - between)
        sharp += gain[..., None] * cv2.filter2D(made, cv2.CV_32F, kernel if axis else kernel.T, borderType=cv2.BORDER_REPLICATE)
    return np.clip(sharp + .5, 0, 255).astype(np.uint8)


def _opaque(picture: np.ndarray) -> np.ndarray:
    """The picture with colours also where it is transparent: those of what is near, so that edges keep theirs."""
    import cv2

    if picture.shape[2] == 3 or picture[..., 3].min() == 255:
        return picture
    alpha = picture[..., 3:].astype(np.float32) / 255
    colour = picture[..., :3].astype(np.float32) * alpha
    filled, weight = picture[..., :3].astype(np.float32), alpha
    for sigma in (2, 8, 32):
        around = cv2.GaussianBlur(colour, (0, 0), sigma)
        near = cv2.GaussianBlur(alpha, (0, 0), sigma)[..., None]
        guess = around / np.maximum(near, 1e-6)
        take = (1 - weight) * (near > 1e-3)
        filled = filled * (1 - take) + guess * take
        weight = np.maximum(weight, near > 1e-3)
    return np.dstack([np.clip(filled + .5, 0, 255).astype(np.uint8), picture[..., 3]])


def _kept_above(picture: np.ndarray, made: np.ndarray, row: float, ramp: float) -> np.ndarray:
    """The picture above `row`, what was made below; in place."""
    amount = smooth((np.arange(len(picture)) - row) / max(ramp, 1))
    first = int(np.argmax(amount > 0)) if (amount > 0).any() else len(picture)
    last = int(np.argmax(amount >= 1)) if (amount >= 1).any() else len(picture)
    made[:first] = picture[:first]
    part = amount[first:last, None, None]
    made[first:last] = (picture[first:last] * (1 - part) + made[first:last] * part + .5).astype(np.uint8)
    return made
