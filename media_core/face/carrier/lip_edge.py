"""Where a lower lip begins, by its colour: of many smiles a mesh lays the lip's edge over the teeth, and they would be carried
along with the lip (docs/moditalker.md#carrier)."""
from __future__ import annotations

import numpy as np

from ...mouth import closing_field
from ...subject.layout import LIPS, to_68
from .inner_look import cheek_colour
from .place import UNIT, Place

_COLUMNS = np.arange(1, 10)  # of the lower lip, the rings' points between the corners
_STEP = 1 / 12               # of the way from one ring to the next
_LIP = 2.2, 2.8              # of the way from the inner edge (0) to the outer (3): surely lip
_SEEN = 2.0                  # as far as that teeth may be seen
_MOST = 2.3                  # as far as that the edge may go: some lip remains
_BRIGHTEST = 75              # percentile of what may be teeth
_TEETH = .62, 1.4, .10       # brightness over the cheek's and red over green at least and at most; least contrast to the lip, of
#                              their brightness: what is more alike cannot be told apart
_SMILE = .8, 1.25, .35       # the same where the mesh sees no opening: a glint on shut lips is no tooth
_WIDE, _THICK = .62, 1.4      # of such a smile: the mouth's width over the eyes' distance, the lower lip's height over the
#                              upper's
_OPEN = 2.5                  # units of opening from which teeth are looked for between the lips
_GAP, _BEGINS = 2, 14        # steps that may be no teeth: a line between two of them; before the first one of such a smile
_LEAST = .6                  # units that the edge moves at its widest, else nothing does
_ALONG = .25, .7            # of how they move when a mouth shuts that far: the jaw, the lower lip's outer edge
_MARGIN = .5                 # units beyond the last tooth: resampled pixels mix


def without_teeth(picture: np.ndarray, mesh: np.ndarray) -> np.ndarray:  # uint8 [H, W, 3 or 4], [478, 3] px -> the same
    """The mesh with the lower lip's inner edge moved out to where its teeth end; as it is where it shows none."""
    own, unit, ways = Place.of(mesh).own, Place.of(mesh).pixel, _ways(mesh)
    open_ = float(np.linalg.norm((own[13] - own[14])[:2])) > _OPEN
    if not open_ and not _smiles(mesh, own):
        return mesh
    teeth, lip = _tones(picture, mesh, ways, open_)
    if not _differ(teeth, lip, float(cheek_colour(picture, mesh).mean()), _TEETH if open_ else _SMILE):
        return mesh
    ends = _teeth_end(_colours(picture, ways), teeth, lip, _GAP if open_ else _BEGINS)
    length = np.linalg.norm(np.diff(ways, axis=1), axis=-1).sum(1) / unit / 3  # [9] units from ring to ring
    if (ends * length).max() < _LEAST:
        return mesh
    ends = np.where(ends > 0, np.minimum(ends + _MARGIN / np.maximum(length, .1), _MOST), 0)
    ends = np.maximum(ends, .6 * np.maximum(np.pad(ends, (1, 0))[:-1], np.pad(ends, (0, 1))[1:]))  # the sides lie in shadow
    ends = np.convolve(np.pad(ends, 1), [.25, .5, .25], mode="valid").clip(ends * .9)
    out = np.array(mesh, np.float64)
    for ring in range(1, 4):  # of `LIPS`, 3 the inner one; the outer one stays
        along = ends + (3 - ring) * (3 - ends) / 3
        out[LIPS[ring, _COLUMNS]] = _at(ways, along)
    return out


def goes_along(before: np.ndarray, after: np.ndarray) -> np.ndarray:  # [478, 3] px twice -> float64 [68, 3] units
    """How far lower lip and jaw must go up where `without_teeth` moved the lip's edge: motion that was made for the lip with its
    teeth shuts the edge alone, which would stretch the lip over them."""
    down = (to_68(Place.of(after).own) - to_68(Place.of(before).own))[[65, 66, 67], 1].mean()
    out = np.zeros((68, 3))
    for part, share in ((slice(0, 17), _ALONG[0]), (slice(54, 60), _ALONG[1])):
        out[part, 1] = -share * down * closing_field()[part, 1].numpy()
    return out


def _smiles(mesh: np.ndarray, own: np.ndarray) -> bool:  # [478, 3] px, [468, 3] units
    """Whether shut lips may be a smile whose teeth were taken for a part of the lower lip."""
    upper, lower = (float(np.linalg.norm((mesh[LIPS[0, part]] - mesh[LIPS[3, part]])[:, :2], axis=1).mean())
                    for part in (slice(13, 18), slice(3, 8)))
    return float(np.linalg.norm(own[61] - own[291])) > _WIDE * UNIT and lower > _THICK * upper


def _ways(mesh: np.ndarray, through: np.ndarray = LIPS[::-1][:, _COLUMNS]) -> np.ndarray:  # [r, 9] -> float64 [9, n, 3] px
    """From the inner edge of the lip to the outer one, through all rings."""
    rings = np.asarray(mesh, np.float64)[through]
    at = np.arange(0, len(rings) - 1 + _STEP / 2, _STEP)
    low = np.minimum(at.astype(int), len(rings) - 2)
    part = (at - low)[:, None, None]
    return np.swapaxes(rings[low] * (1 - part) + rings[low + 1] * part, 0, 1)


def _at(ways: np.ndarray, along: np.ndarray) -> np.ndarray:  # [9, n, 3], [9] 0..3 -> [9, 3]
    every = np.arange(ways.shape[1]) * _STEP
    return np.array([[np.interp(t, every, way[:, axis]) for axis in range(3)] for way, t in zip(ways, along)])


def _colours(picture: np.ndarray, ways: np.ndarray) -> np.ndarray:  # -> float32 [9, n, 3]
    import cv2

    x, y = ways[..., 0].astype(np.float32), ways[..., 1].astype(np.float32)
    return cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[..., :3].astype(np.float32)


def _tones(picture: np.ndarray, mesh: np.ndarray, ways: np.ndarray, open_: bool) -> tuple[np.ndarray, np.ndarray]:
    """Of what may be teeth, the brightest that lies between the lips or, where these look shut, on the lower one; of the lip."""
    at, middle = np.arange(ways.shape[1]) * _STEP, ways[2:7]
    surely = middle[:, (at >= _LIP[0]) & (at <= _LIP[1])]
    seen = _ways(mesh, LIPS[3][np.stack([20 - _COLUMNS, _COLUMNS])])[2:7] if open_ else middle[:, at <= _SEEN]
    colours = _colours(picture, seen).reshape(-1, 3)
    light = colours.mean(1)
    bright = np.median(colours[light >= np.percentile(light, _BRIGHTEST)], axis=0)
    return bright, np.median(_colours(picture, surely).reshape(-1, 3), axis=0)


def _differ(teeth: np.ndarray, lip: np.ndarray, cheek: float, limits: tuple[float, float, float]) -> bool:
    bright, red, apart = limits
    white = teeth.mean() >= bright * cheek and teeth[0] <= red * teeth[1]
    return bool(white and np.linalg.norm(teeth - lip) >= apart * np.linalg.norm(teeth))


def _teeth_end(colours: np.ndarray, teeth: np.ndarray, lip: np.ndarray, begins: int) -> np.ndarray:  # [9, n, 3] -> [9], 0..3
    """How far from the inner edge teeth are seen; 0 where none are."""
    away = teeth - lip
    white = (colours - lip) @ away / (away @ away) > .5  # [9, n]
    ends = np.pad([_run(row, begins) * _STEP for row in white], 1)
    return np.median([ends[:-2], ends[1:-1], ends[2:]], axis=0)  # a glint on the lip is narrower than teeth


def _run(white: np.ndarray, begins: int) -> int:
    """The length of the row of teeth that begins at the edge."""
    last, gap, most = 0, 0, begins
    for i, one in enumerate(white):
        gap, most = (0, _GAP) if one else (gap + 1, most)
        if gap > most:
            break
        last = i + 1 if one else last
    return last
