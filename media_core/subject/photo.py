"""Any photo as a portrait: brought to the astronaut's scale and place, upright, with what its face does at rest.

    face = mesh_portrait(picture)                                # finds it, or says what is wrong
    portrait = of_picture(picture, face.mesh, Source("me.jpg", digest))
"""
from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from ..errors import TalkingHeadsError
from .assets import teeth_of
from .layout import EYES, INNER_LIPS, LIPS, OVAL
from .portrait import (
    BOTTOM,
    LEFT,
    RIGHT,
    SCALE,
    TOP,
    InnerMouth,
    Portrait,
    RestFace,
    Source,
    enlarge,
    filled,
    load,
    shrink,
    skin_shown,
)
from .rig import WINDOW, WINDOW_X, WINDOW_Y

UNIT = 60.64                     # photo px between the outer corners of the eyes (in space): the rig's measure
SHAPE = ((BOTTOM - TOP) * SCALE, (RIGHT - LEFT) * SCALE)
_EYES_DEPTH = 4.0                # photo px: depth of the corners of the eyes
_LEAST_EYES = 24.0               # px of the picture between them
_ASIDE = 0.8                     # 0: seen from the front .. 1: the nose's tip hides the far ear
_BEYOND = 0.04                   # distances of the eyes that a point may lie outside the picture
_MOST_BEYOND = 4                 # of the face's outline that may: the hairline
_FREE = 40.0                     # photo px that a face may lie off the middle for the window to lie inside the picture
_SMILE, _OPEN = 6.39, 2.0        # photo px: the astronaut's corners above her lips' middle; lips that are surely open
_GREY = 6.0                      # levels between the colours of a cheek: less is a grey picture
_ASTRONAUT_LIGHT = 205.0         # of her teeth


def photographed(picture: np.ndarray, source: Source | None = None, *, face_index: int = 0) -> Portrait:
    """The portrait of the largest face of a photo (uint8 [H, W, 3] RGB), or of another one.

    Raises:
        TalkingHeadsError: no such face, or one that cannot be moved; see `of_picture`.
    """
    from ..face.trackers import still_landmarks
    mesh = still_landmarks("people", picture, face_index=face_index).mesh
    assert mesh is not None  # the tracker of people measures it
    return of_picture(picture, mesh, source)


def read_photo(path: str | Path, *, face_index: int = 0) -> Portrait:
    """The portrait of a file.

    Raises:
        TalkingHeadsError: no image, or see `photographed`.
    """
    from ..image_reading import read_picture
    picture = read_picture(path)
    return photographed(picture, Source(Path(path).name, hashlib.sha256(Path(path).read_bytes()).hexdigest()),
                        face_index=face_index)


def source_of_pixels(picture: np.ndarray, name: str = "image") -> Source:
    """Of a photo that came without a file."""
    return Source(name, hashlib.sha256(repr(picture.shape).encode() + np.ascontiguousarray(picture).tobytes()).hexdigest())


def of_picture(picture: np.ndarray, mesh: np.ndarray, source: Source | None = None) -> Portrait:
    """A photo with its face points as a portrait.

    Only scaled and shifted, never turned: the rig knows the head's own axes.

    Args:
        picture: uint8 [H, W, 3] RGB.
        mesh: [478, 3] px of the picture; z away from the viewer.
        source: what the credit names; None: "image" and the pixels' checksum.
    Raises:
        TalkingHeadsError: the face is tiny, turned to profile, or cut by the picture's border.
    """
    mesh = np.asarray(mesh, np.float64)
    check_face(mesh, (picture.shape[0], picture.shape[1]))
    scale, shift = placed(mesh, (picture.shape[0], picture.shape[1]))
    depth = (mesh[:, 2] - mesh[[33, 263], 2].mean()) * scale + _EYES_DEPTH
    points = np.column_stack([mesh[:, :2] * scale + shift, depth])
    big = cut_to_scale(picture, scale, shift)
    nothing, outline = np.zeros((0, 0), np.uint8), np.zeros((0, 2))
    return Portrait(image=shrink(big), points=points, head_cut=nothing, torso_cut=nothing, hair=outline, neck=outline,
                    torso=outline, big=big, rest=at_rest(points[:, :2]), mouth=inner_mouth(big, points[:, :2]),
                    source=source or source_of_pixels(picture))


def check_face(mesh: np.ndarray, size: tuple[int, int]) -> None:  # [478, 3] px, (H, W) px
    """Raises:
        TalkingHeadsError: the face is tiny, turned to profile, or cut by the picture's border.
    """
    from ..face.carrier.place import sideways
    eyes = float(np.linalg.norm(mesh[33] - mesh[263]))
    if eyes < _LEAST_EYES:
        raise TalkingHeadsError(f"The outer corners of the eyes must be {_LEAST_EYES:.0f} px or more apart",
                                f"{eyes:.0f} px", "Use a larger image, or one that shows the face from nearer by")
    outside = np.maximum(-.5 - mesh[:, :2], mesh[:, :2] - [size[1] - .5, size[0] - .5]).max(1) > _BEYOND * eyes
    features = np.concatenate([LIPS.ravel(), *EYES, [152, 148, 377, 1, 234, 454]])
    if outside[features].any() or outside[list(OVAL)].sum() > _MOST_BEYOND:
        raise TalkingHeadsError("The whole face must lie inside the image",
                                f"{outside[:468].mean():.0%} of it beyond the border of {size[1]} x {size[0]} px",
                                "Use an image with some room around the face")
    aside = sideways(mesh)
    if aside > _ASIDE:
        raise TalkingHeadsError("The face must be seen from the front, or half from the side at most",
                                f"a profile ({aside:.2f} on a scale from 0, front, to 1)",
                                "Use an image in which both cheeks can be seen")


def placed(mesh: np.ndarray, size: tuple[int, int]) -> tuple[float, np.ndarray]:  # -> scale, shift [2]
    """photo px = picture px * scale + shift: the eyes as far apart as the astronaut's, the face about where hers is, moved as far
    as the rendered window needs to lie inside the picture."""
    scale = UNIT / float(np.linalg.norm(mesh[33] - mesh[263]))
    oval = list(OVAL)
    shift = load().points[oval, :2].mean(0) - mesh[oval, :2].mean(0) * scale
    first = np.array([WINDOW_X, WINDOW_Y])
    start, end = shift - .5 * scale, (np.array([size[1], size[0]]) - .5) * scale + shift
    missing = np.where(start > first, start - first, np.minimum(end - first - WINDOW, 0))  # before, or (negative) behind
    spare = np.where(missing > 0, end - first - WINDOW, first - start)  # what it may move until the other side opens
    move = np.clip(np.minimum(np.abs(missing), np.maximum(spare, 0)), 0, _FREE) * np.sign(missing)
    return scale, shift - move


def cut_to_scale(picture: np.ndarray, scale: float, shift: np.ndarray) -> np.ndarray:
    """The picture at texture size; what lies outside of it goes over smoothly from what lies inside."""
    import cv2

    from ..face.masks.filling import filled as filled_in
    zoom = scale * SCALE
    source, factor = picture, np.ones(2)
    if zoom < 1:  # far more pixels than the texture holds: means over areas
        height, width = (max(8, round(n * zoom)) for n in picture.shape[:2])
        source = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
        factor = np.array([width / picture.shape[1], height / picture.shape[0]])
    corner = (shift - [LEFT, TOP] + .5) * SCALE - .5 + zoom * (.5 / factor - .5)  # of the source's first pixel
    matrix = np.array([[zoom / factor[0], 0, corner[0]], [0, zoom / factor[1], corner[1]]])
    size = SHAPE[::-1]
    big = cv2.warpAffine(source, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    known = cv2.warpAffine(np.full(source.shape[:2], 255, np.uint8), matrix, size, flags=cv2.INTER_LINEAR) > 250
    if known.all():
        return big
    small = shrink(big).astype(np.float32)
    around = filled_in(small, shrink(known.astype(np.uint8) * 255) > 250)
    return np.where(known[..., None], big, enlarge(np.clip(around, 0, 255).astype(np.uint8)))


def at_rest(flat: np.ndarray) -> RestFace:  # [478, 2] photo px
    """How far the face smiles and its lips are open."""
    roll = np.arctan2(*(flat[263] - flat[33])[::-1])
    ring = flat[INNER_LIPS]
    corners = (ring[0] + ring[10]) / 2 - (flat[13] + flat[14]) / 2
    height = -corners[0] * np.sin(roll) + corners[1] * np.cos(roll)
    gap = float(np.hypot(*(flat[13] - flat[14])))
    return RestFace(smile=float(np.clip(-height / _SMILE, 0, 1)), shut=float(np.clip(1 - gap / _OPEN, 0, 1)), hooded=True)


def inner_mouth(big: np.ndarray, flat: np.ndarray) -> InnerMouth:  # uint8 [h S, w S, 3], [478, 2] photo px
    """The astronaut's teeth, as bright and as warm as the light on this face allows."""
    cheek = np.median(big[skin_shown(big, flat)], 0).astype(np.float64)
    bright = max(float(cheek.mean()), 1.0)
    eyes = np.maximum(*(filled(SHAPE, flat[eye]) for eye in EYES)) > 200
    seen = big[eyes].astype(np.float64).mean(-1) if eyes.any() else np.array([bright])
    light = float(np.clip(max(.85 * np.percentile(seen, 88), .95 * bright), 60, 215))
    grey = np.ptp(cheek) < _GREY
    cast = np.clip(cheek / bright / [1.22, .95, .83], .8, 1.2)
    tone = np.full(3, .7 * light) if grey else light * np.array([1.05, 1, .93]) * (.5 + .5 * cast)
    tone = np.minimum.accumulate(np.clip(tone, 0, 235))  # never bluer than white
    astronaut = load()
    patch = teeth_of(astronaut, enlarge(astronaut.image)).astype(np.float64)
    level = patch.mean(-1)
    own = np.median(patch[level > np.median(level)], 0)
    coloured = level[..., None] * (tone / own.mean()) if grey else patch * (tone / own)
    return InnerMouth(teeth=np.clip(coloured, 0, 255).astype(np.uint8),
                      light=float(np.clip(light / _ASTRONAUT_LIGHT, .3, 1.1)))
