"""Draws what is seen between the moving lips: upper teeth fixed to the skull, the tongue that goes with the jaw, and the dark
behind them; or the image's own inside, where it shows one. Lengths are units (`place.py`) from the middle of the shut
mouth; the sizes are those of the synthetic subject's mouth and hold for everybody in these units.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ...subject.layout import INNER_LIPS, LIPS
from .handles import Handles
from .inner_look import Mouth, lip_gap
from .place import Place, Turn, smooth

_LEAST_GAP = .5         # lips nearer than this show nothing
_SEAM = .5              # units, the line between shut lips that the image shows open
_SLIT = .6, 1.0         # gap up to which that line is whole, and over which it goes
_LINE_GAP = .4, 1.5     # from this gap on, over that much, a dark line between the lips becomes the inside
_HANGS = 1.6, 1.0, .2   # under a full moustache: units by which teeth are shorter, the line begins later, their darkness
_LINE = np.array([.62, .52, .52])  # brightness of that line, of the lips'
_REDDENS = np.array([.92, 1.06, 1.10], np.float32)  # shadow between the lips is red: its exponents
_UPPER = np.arange(10, 21) % 20  # of a ring of lips
_INSET = .2, .2          # px, of the gap: lips end softly, over what lies behind them
_TILE = 256             # px of the repeated grain
_MOST_GAIN = 1.5        # teeth deep in the shadow stay dark
_BRIGHTEST = 1.12       # of the tone, of the brightest teeth
_TONGUE = .2             # how far the tongue is up, 0..1
_EDGES = np.array([5.5, 10.0, 13.6, 16.2, 18.2])  # where a tooth ends, from the middle
_TEETH_LIGHT = np.array([1.0, .94, .79, .57, .36, .22])  # of the teeth from the middle to the corner, which lies in the dark
_BETWEEN, _BITE = .09, .32  # darkness of the lines between teeth; units by which a tooth's edge is rounded
_HALF_ROW = 18.0
_SHADE = .72, 5.0       # brightness under the upper lip, units over which the lip's shadow ends
_CORNER = .82, 6.0      # brightness at the corners, units from them over which it darkens

Projection = Callable[[float, float, float], np.ndarray]  # units from the shut mouth's middle -> px of the upright patch [2]


@dataclass(frozen=True)
class _View:
    """A patch of the image around the mouth, oversampled, seen with the face upright."""

    x: np.ndarray       # float32 [h, w] px, to the subject's left
    y: np.ndarray       # float32 [h, w] px, down
    scale: float        # its px per unit
    project: Projection
    lips: np.ndarray    # float64 [20, 2] px, inner ring; the upper lip from 10 to 20
    opening: np.ndarray  # float32 [h, w] 0..1, how much of a pixel lies between the lips


def draw_inside(image: np.ndarray, amount: float, to: np.ndarray, handles: Handles, place: Place, turned: Turn | None,
                mouth: Mouth, jaw: float, source: np.ndarray | None = None) -> None:
    """Draws it into the opening of the lips, in place.

    Args:
        image: uint8 [H, W, 3 or 4].
        amount: 0..1, how far it covers what is there.
        to: [468, 3] px, the moved mesh.
        jaw: units by which the jaw has gone down.
        source: uint8, the image before anything moved, for `mouth.own`.
    """
    unit = place.pixel
    ring = to[INNER_LIPS, :2]
    gap = lip_gap(ring) / unit
    pad = int(np.ceil(2 * unit)) + 2
    low = np.maximum(np.floor(ring.min(0)).astype(int) - pad, 0)
    high = np.minimum(np.ceil(ring.max(0)).astype(int) + pad + 1, [image.shape[1], image.shape[0]])
    if (high - low).min() < 3:
        return
    if mouth.own is not None and gap < sum(_SLIT):
        _shut_line(image, amount * float(smooth((sum(_SLIT) - gap) / _SLIT[1])), ring, to[LIPS[2], :2], unit)
    if gap < _LEAST_GAP:
        return
    kept = 1.0 if mouth.own is None else mouth.own.kept(gap)
    times = 3 if unit < 1.5 else 2 if unit < 4 else 1
    view = _view(low, high, times, ring, place, handles.seam, turned)
    inside, alpha = _finished(_drawn(view, mouth, jaw, kept), view, mouth, tuple((high - low).tolist()), unit)
    if mouth.grain > .3:  # as fixed in the image as the rest of its grain
        rows, columns = (np.arange(low[axis], high[axis]) % _TILE for axis in (1, 0))
        inside += mouth.grain * _noise()[rows][:, columns, None]
    if mouth.own is not None and source is not None:
        _own_over(inside, mouth, source, place, turned, low, kept)
    part = image[low[1]:high[1], low[0]:high[0], :3]
    line = _line_colour(image, ring)
    inside = line + (inside - line) * smooth((gap - _LINE_GAP[0]) / (_LINE_GAP[1] + _HANGS[1] * mouth.covered))
    part[:] = np.clip(part + (inside - part) * (alpha * amount) + .5, 0, 255).astype(np.uint8)


def _line_colour(image: np.ndarray, ring: np.ndarray) -> np.ndarray:  # -> [3]
    at = np.clip(np.round(ring).astype(int), 0, [image.shape[1] - 1, image.shape[0] - 1])
    return np.median(image[at[:, 1], at[:, 0], :3], axis=0) * _LINE


def _shut_line(image: np.ndarray, amount: float, ring: np.ndarray, lips: np.ndarray, unit: float) -> None:
    """The line where lips meet that the image shows apart: else what it shows between them would stay there as flecks."""
    import cv2

    seam = (ring[:11] + ring[-np.arange(11)]) / 2  # from corner to corner
    mask = np.zeros(image.shape[:2], np.uint8)
    width = max(1, round(_SEAM * unit))
    cv2.polylines(mask, [np.round(seam * 16).astype(np.int32)], False, 255, width, cv2.LINE_AA, 4)
    rows, columns = np.nonzero(mask)
    alpha = mask[rows, columns, None] * (amount / 255)
    colours = image[rows, columns, :3]
    image[rows, columns, :3] = (colours + (_line_colour(image, lips) - colours) * alpha + .5).astype(np.uint8)


@lru_cache(maxsize=1)
def _noise() -> np.ndarray:  # float32 [_TILE, _TILE]
    return np.random.default_rng(7).normal(0, 1, (_TILE, _TILE)).astype(np.float32)


def _view(low: np.ndarray, high: np.ndarray, times: int, ring: np.ndarray, place: Place, seam: np.ndarray,
          turned: Turn | None) -> _View:
    """The patch of the image from `low` to `high`, px, `times` oversampled."""
    width, height = ((high - low) * times).tolist()
    flat = (ring - low + .5) * times - .5
    across = flat[10] - flat[0]
    across = across / max(float(np.linalg.norm(across)), 1e-6)
    upright = np.stack([across, [-across[1], across[0]]])  # rows: the face's x and y in the patch
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    axes = upright.astype(np.float32)

    def project(*point: float) -> np.ndarray:
        seen = place.pixels((seam + point)[None], turned)[0, :2]
        return upright @ ((seen - low + .5) * times - .5)

    x, y, lips = axes[0, 0] * x + axes[0, 1] * y, axes[1, 0] * x + axes[1, 1] * y, flat @ upright.T
    top, bottom = _edge(lips[_UPPER], x), _edge(lips[:11], x)
    inset = np.clip((bottom - top) * _INSET[1], 0, _INSET[0] * times)
    opening = np.clip(np.minimum(bottom - inset, y + .5) - np.maximum(top + inset, y - .5), 0, 1)
    return _View(x=x, y=y, scale=times * place.pixel, project=project, lips=lips, opening=opening.astype(np.float32))


def _edge(lip: np.ndarray, x: np.ndarray) -> np.ndarray:  # [11, 2], [h, w] -> [h, w]
    """Where a lip's edge lies at each x."""
    order = np.argsort(lip[:, 0], kind="stable")
    return np.interp(x, lip[order, 0], lip[order, 1])


def _drawn(view: _View, mouth: Mouth, jaw: float, kept: float = 1.0) -> np.ndarray:  # -> float32 [h, w, 3]
    """The whole inside; `kept`: how far the image's own still covers it."""
    bright = float(mouth.tone.mean())
    dark = bright * np.array([.30, .105, .105]) if mouth.dark is None else mouth.dark
    tongue = bright * np.array([1.0, .58, .56]) if mouth.tongue is None else mouth.tongue
    patch = _cavity(view, dark)
    _tongue(patch, view, tongue, jaw)
    teeth = _upper_teeth(patch, view, mouth.tone, 1 - (1 - mouth.row) * kept, mouth.covered)
    patch *= _shadow(view)[..., None] ** _REDDENS * mouth.light
    _set_tone(patch, teeth, view, mouth.tone * mouth.light * (1 - _HANGS[2] * mouth.covered))
    if mouth.hue is not None:
        grey = patch @ np.array([.299, .587, .114], np.float32)
        patch += (grey[..., None] * mouth.hue.astype(np.float32) - patch) * np.float32(mouth.stone)
    return patch


def _cavity(view: _View, dark: np.ndarray) -> np.ndarray:
    """Darker away from the middle."""
    centre, reach = view.lips.mean(0), np.maximum(np.ptp(view.lips, axis=0) / 2 + 4, 1)
    radius = np.hypot((view.x - centre[0]) / reach[0], (view.y - centre[1]) / (1.1 * reach[1]))
    return np.clip(1.15 - .55 * radius, .4, 1)[..., None] * dark.astype(np.float32)


def _tongue(patch: np.ndarray, view: _View, colour: np.ndarray, jaw: float) -> None:
    """Behind the lower lip; darker with depth, that is towards its upper end."""
    centre = view.project(0, .66 * jaw + 5.5 - 5.5 * _TONGUE, 9 - 5 * _TONGUE)
    across = (view.x - centre[0]) / (13.5 * view.scale)
    along = (view.y - centre[1]) / ((5.6 + 1.8 * _TONGUE) * view.scale)
    reach = across ** 2 + along ** 2
    light = np.clip(1.0 - .30 * reach, .3, 1) * np.clip(.88 + .30 * along, .5, 1)
    _blend(patch, light[..., None] * colour.astype(np.float32), np.clip((1 - reach) * 2.5, 0, 1) * .95)


def _row(view: _View, edge: float, half: float, depth: float, curve: float) -> tuple[np.ndarray, np.ndarray]:
    """A row of teeth on its arch: units along it from the middle, and units below the line of its edges."""
    left, right = view.project(-half, edge + curve, depth + 9), view.project(half, edge + curve, depth + 9)
    middle = view.project(0, edge, depth)
    place = np.clip((view.x - (left[0] + right[0]) / 2) / max((right[0] - left[0]) / 2, 1), -1.4, 1.4)
    line = left[1] * (1 - place) / 2 + right[1] * (1 + place) / 2 + (middle[1] - (left[1] + right[1]) / 2) * (1 - place ** 2)
    return place * half, (view.y - line) / view.scale


def _upper_teeth(patch: np.ndarray, view: _View, tone: np.ndarray, shown: float, covered: float) -> np.ndarray:
    """Returns where they are, [h, w] 0..1."""
    along, below = _row(view, 2.9 - _HANGS[0] * covered, _HALF_ROW, 3.5, -1.2)
    side = np.abs(along)
    middles = (np.concatenate([[0], _EDGES[:-1]]) + _EDGES) / 2
    light = np.interp(side, np.concatenate([middles, [_HALF_ROW + 1]]), _TEETH_LIGHT)
    gap = np.abs(side[..., None] - np.concatenate([[0], _EDGES])).min(-1)  # units from where two teeth meet
    light = light * (1 - _BETWEEN * np.exp(-(gap / .55) ** 2)) * np.clip(1.0 + .03 * below, .70, 1.0)
    rounded = below + _BITE * np.exp(-(gap / .8) ** 2) + np.where((side > _EDGES[0]) & (side < _EDGES[1]), .35, 0)
    shape = np.clip(-rounded * 1.2 + .5, 0, 1) * np.clip((_HALF_ROW - side) / 2.5, 0, 1) * shown
    _blend(patch, light[..., None] * tone.astype(np.float32), shape)
    return shape


def _set_tone(patch: np.ndarray, teeth: np.ndarray, view: _View, tone: np.ndarray) -> None:
    """Brings the brighter teeth that are seen to the tone, however deep in the shadow they were drawn; in place."""
    seen = patch[(teeth > .5) & (view.opening > .5)]
    if len(seen) > 20:
        usual, brightest = np.maximum(np.percentile(seen, (75, 98), axis=0), 1)  # in a grin most are near the dark corners
        gain = np.clip(np.minimum(tone / usual, _BRIGHTEST * tone / brightest), .8, _MOST_GAIN)
        patch *= 1 + teeth[..., None] * (gain - 1).astype(np.float32)


def _shadow(view: _View) -> np.ndarray:  # -> [h, w]
    """The upper lip's shadow, and the darkness towards the corners."""
    under = (view.y - _edge(view.lips[_UPPER], view.x)) / view.scale
    from_corner = np.minimum(view.x - view.lips[:, 0].min(), view.lips[:, 0].max() - view.x) / view.scale
    lip, corner = _SHADE[0] + (1 - _SHADE[0]) * smooth(under / _SHADE[1]), smooth(from_corner / _CORNER[1])
    return (lip * (_CORNER[0] + (1 - _CORNER[0]) * corner)).astype(np.float32)


def _finished(patch: np.ndarray, view: _View, mouth: Mouth, size: tuple[int, int], unit: float) -> tuple[np.ndarray, np.ndarray]:
    """At the image's own size, as soft as it; and the opening's alpha [h, w, 1]."""
    import cv2

    inside = cv2.resize(patch.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    if mouth.softness > .3:
        inside = cv2.GaussianBlur(inside, (0, 0), mouth.softness)
    edge = max(.45, .22 * unit, .7 * mouth.softness)
    soft = cv2.GaussianBlur(cv2.resize(view.opening, size, interpolation=cv2.INTER_AREA), (0, 0), edge)
    return inside, soft[..., None]


def _own_over(inside: np.ndarray, mouth: Mouth, source: np.ndarray, place: Place, turned: Turn | None, low: np.ndarray,
              kept: float) -> None:
    """The image's own inside where it has one, moved with the skull, as far as it is kept; in place."""
    import cv2

    assert mouth.own is not None
    y, x = np.mgrid[0:inside.shape[0], 0:inside.shape[1]].astype(np.float32)
    x, y = x + np.float32(low[0]), y + np.float32(low[1])
    if turned is not None:  # the mouth is small: an affine map does
        corners = place.own[[78, 308, 1]]
        here, there = place.pixels(corners, turned)[:, :2], place.pixels(corners)[:, :2]
        back = cv2.getAffineTransform(here.astype(np.float32), there.astype(np.float32)).astype(np.float32)
        x, y = back[0, 0] * x + back[0, 1] * y + back[0, 2], back[1, 0] * x + back[1, 1] * y + back[1, 2]
    weight = cv2.remap(mouth.own.weight, x - mouth.own.left, y - mouth.own.top, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    if mouth.own.picture is not None:
        source, x, y = mouth.own.picture, x - mouth.own.left, y - mouth.own.top
    seen = cv2.remap(source, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[..., :3]
    inside += (seen - inside) * (weight * np.float32(kept))[..., None]


def _blend(under: np.ndarray, over: np.ndarray, amount: np.ndarray) -> None:
    under += (over - under) * amount[..., None]
