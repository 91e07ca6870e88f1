"""The astronaut, or a person invented from her -> the layers the renderer draws, as textures: head, suit, neck, backdrop, eyes
and teeth.

Built in about a second, kept by the `Subject` that asked, and by nobody else. Textures are `portrait.SCALE` times the photo.
"""
from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .identity import Look, dye, invent, mix, tan
from .layout import EYES, INNER_LIPS, JAW_EDGE, LIPS, OVAL
from .portrait import Portrait, blurred, enlarge, filled, grown, load, shrink, shrunk, skin_shown, to_texture

_EAR_LOBES = 138.5    # photo row below which the head's edge is the jaw line itself
_DARK, _REPAINT = .62, .8   # of the lips' own brightness: darker is a shadow; and how much of it is painted over
_FULL_BROWS = ([70, 63, 105, 66, 107, 55, 65, 52, 53, 46], [300, 293, 334, 296, 336, 285, 295, 282, 283, 276])


@dataclass(frozen=True)
class FaceLayers:
    """What is drawn of every face. Images: uint8 RGB [H, W, 3], masks: uint8 [H, W] 0..255; all but the teeth at texture size."""
    points: np.ndarray       # float64 [478, 3] photo pixels
    plain_points: np.ndarray  # the same before the identity's warp: triangles are made on these, alike for everybody
    hair_outline: np.ndarray | None  # float64 [P, 2] photo pixels; None: the hair is no part of the face's mesh
    head: np.ndarray
    head_alpha: np.ndarray
    hair_mask: np.ndarray
    background: np.ndarray
    eyes: np.ndarray         # eyeballs, filled outwards behind the lids
    teeth: np.ndarray        # a patch with the upper row


@dataclass(frozen=True)
class Layers(FaceLayers):
    """What the renderer draws of the astronaut and of people invented from her."""
    torso: np.ndarray
    torso_alpha: np.ndarray
    neck: np.ndarray
    neck_alpha: np.ndarray


def build(identity: int | None) -> Layers:
    """All layers of one person; None is the astronaut herself (for tests)."""
    plain = load()
    portrait, look = (plain, None) if identity is None else invent(plain, identity)
    big = enlarge(portrait.image)
    sharp = _sharpened(big)
    shape = big.shape[:2]
    head_mask = _head_mask(portrait, shape)
    neck_mask = filled(shape, portrait.neck)
    torso_mask = _torso_mask(portrait, head_mask, neck_mask)
    person = np.maximum.reduce([head_mask, torso_mask, neck_mask, _drawn_head(portrait, shape)])
    eyes, eye_mask = eyeballs(portrait.points, sharp)
    layers = Layers(
        points=portrait.points, plain_points=plain.points, hair_outline=portrait.hair,
        head=_head(portrait, sharp, head_mask), head_alpha=blurred(head_mask, 2.2),
        hair_mask=np.zeros(shape, np.uint8), torso=_torso(portrait, sharp, head_mask, neck_mask, torso_mask),
        torso_alpha=blurred(torso_mask, 2.0), neck=_neck(portrait, head_mask, neck_mask), neck_alpha=blurred(neck_mask, 2.5),
        background=_backdrop(portrait.image, person), eyes=eyes, teeth=teeth_of(portrait, big))
    skin, hair = _skin_and_hair(portrait, layers.head)
    layers = replace(layers, hair_mask=_hair_mask(portrait, hair))
    return layers if look is None else _coloured(layers, look, skin, hair, eye_mask)


# --------------------------------------------------------------------------------------------------------------- masks

def _drawn_head(portrait: Portrait, shape) -> np.ndarray:
    return filled(shape, np.vstack([portrait.hair, portrait.points[JAW_EDGE[::-1], :2]]))


def _below(shape, row: float) -> np.ndarray:  # -> bool [H, 1]
    return np.arange(shape[0])[:, None] > to_texture([[0, row]])[0, 1]


def _head_mask(portrait: Portrait, shape) -> np.ndarray:
    """Hair and face, 0 or 255: cut out above the ear lobes, the mesh's outline below them."""
    near = grown(_drawn_head(portrait, shape), 17)
    face = shrunk(filled(shape, portrait.points[list(OVAL), :2]), 9)    # the mesh sits about 1 px outside the visible jaw
    mask = np.where(_below(shape, _EAR_LOBES), face, np.minimum(portrait.head_cut, near))
    return np.where(face > 127, 255, mask).astype(np.uint8)


def _torso_mask(portrait: Portrait, head_mask, neck_mask) -> np.ndarray:
    drawn = np.where(filled(head_mask.shape, portrait.torso) > 127, 255, 0)
    unclear = (grown(head_mask, 9) > 0) | (neck_mask > 0)
    return np.where(unclear, drawn, portrait.torso_cut).astype(np.uint8)


def _soft(mask: np.ndarray, sigma: float) -> np.ndarray:  # -> float32 [H, W, 1] 0..1
    return blurred(mask, sigma).astype(np.float32)[..., None] / 255


def _skin_and_hair(portrait: Portrait, head: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two soft masks [H, W, 1]: where the head's texture is skin, where hair."""
    import cv2
    shape = head.shape[:2]
    flat = portrait.points[:, :2]
    lab = cv2.cvtColor(head, cv2.COLOR_RGB2LAB).astype(np.float32)
    typical = np.median(lab[skin_shown(head, flat)], 0)
    distance = np.sqrt((((lab - typical) * np.array([.35, 1.2, .8], np.float32)) ** 2).sum(-1))
    alike = blurred(np.clip(1.6 - distance / 22, 0, 1).astype(np.float32), 2)[..., None]
    oval = filled(shape, flat[list(OVAL)])
    soft_oval = _soft(oval, 6)
    core = _soft(shrunk(oval, 25), 5)
    brow_row = to_texture([[0, flat[[105, 334], 1].mean() + 3]])[0, 1]
    under_brows = np.clip((np.arange(shape[0])[:, None, None] - brow_row) / 24, 0, 1)
    face = soft_oval * under_brows
    skin = np.maximum(alike, np.maximum(face * under_brows, core * face))
    skin = skin * (1 - _soft(np.maximum(*(filled(shape, flat[eye]) for eye in EYES)), 1.5))
    mouth = 1 - _soft(filled(shape, flat[INNER_LIPS]), 1.5)
    skin = np.where(_below(shape, 139)[..., None], mouth, skin * mouth).astype(np.float32)
    cheek_rows, temple_rows = _below(shape, 100)[..., None], _below(shape, 97)[..., None]
    hair = np.clip(1 - np.maximum(soft_oval * skin * 1.4, skin * .9 * cheek_rows), 0, 1)
    return skin, (hair * np.clip(1 - soft_oval * temple_rows, 0, 1)).astype(np.float32)


def _hair_mask(portrait: Portrait, hair: np.ndarray) -> np.ndarray:
    mask = np.clip(hair[..., 0] * 255, 0, 255).astype(np.uint8)
    for brow in _FULL_BROWS:                                            # brows belong to the face
        mask[grown(filled(mask.shape, portrait.points[brow, :2]), 11) > 0] = 0
    return mask


# -------------------------------------------------------------------------------------------------------------- images

def _sharpened(big: np.ndarray) -> np.ndarray:
    import cv2
    return cv2.addWeighted(big, 1.6, blurred(big, 4.0), -0.6, 0)


def _fill(portrait: Portrait, unknown: np.ndarray, radius: int, grow: int) -> np.ndarray:
    """The photo with the `unknown` (texture-size mask) painted over from around, at texture size."""
    import cv2
    hole = grown((shrink(unknown) > 8).astype(np.uint8), grow)
    return enlarge(cv2.inpaint(portrait.image, hole, radius, cv2.INPAINT_TELEA))


def _head(portrait, sharp, head_mask) -> np.ndarray:
    """Head colours, continued outwards so that the soft edge never shows the old backdrop."""
    known = shrunk(head_mask, 9)
    head = np.where((known > 0)[..., None], sharp, _fill(portrait, 255 - known, 3, 1))
    return _without_dark_corners(head, portrait.points[:, :2])


def _without_dark_corners(head: np.ndarray, flat: np.ndarray) -> np.ndarray:
    """The photo's smile has black corners, which would stay as spots on a closed mouth: most of the black is painted over."""
    import cv2
    lips = filled(head.shape[:2], flat[LIPS[0]])
    tone = np.median(head[(lips > 0) & (filled(head.shape[:2], flat[INNER_LIPS]) == 0)].mean(1))
    for corner in (LIPS[0, 0], LIPS[0, 10]):
        x, y = to_texture(flat[corner]).astype(int)
        box = np.s_[y - 36:y + 37, x - 44:x + 45]
        part = head[box]
        dark = (part.mean(-1) < _DARK * tone) & (grown(lips, 9)[box] > 0)
        dark = grown(dark.astype(np.uint8), 7)
        near = np.hypot(*np.meshgrid(np.arange(-44, 45), np.arange(-36, 37)))
        amount = (blurred(dark.astype(np.float32), 2) * np.clip((40 - near) / 20, 0, 1) * _REPAINT)[..., None]
        head[box] = mix(part, cv2.inpaint(part.copy(), dark, 5, cv2.INPAINT_TELEA), amount)
    return head


def _torso(portrait, sharp, head_mask, neck_mask, torso_mask) -> np.ndarray:
    known = shrunk(torso_mask, 7)
    known[(grown(neck_mask, 9) > 0) | (grown(head_mask, 9) > 0)] = 0
    return np.where((known > 0)[..., None], sharp, _fill(portrait, 255 - known, 4, 1))


def _neck(portrait, head_mask, neck_mask) -> np.ndarray:
    """Skin under the chin, continued upwards behind the jaw."""
    import cv2
    unknown = shrink(np.maximum(grown(head_mask, 13), 255 - shrunk(neck_mask, 9))) > 20
    return blurred(enlarge(cv2.inpaint(portrait.image, unknown.astype(np.uint8), 4, cv2.INPAINT_TELEA)), 3)


def _backdrop(image: np.ndarray, person: np.ndarray) -> np.ndarray:
    """The backdrop without the person: wider and wider means of what is known, with the photo's grain."""
    hole = grown((shrink(person) > 6).astype(np.uint8), 9)
    photo, known = image.astype(np.float32), (1 - hole).astype(np.float32)
    total, weight = np.zeros_like(photo), np.zeros_like(known)
    for sigma in (3, 8, 20, 60):
        share = blurred(known, sigma)
        take = np.clip(share * 4, 0, 1) * (1 - weight)
        total += take[..., None] * blurred(photo * known[..., None], sigma) / np.maximum(share, 1e-4)[..., None]
        weight += take
    plate = np.where(hole[..., None] > 0, total / np.maximum(weight, 1e-4)[..., None], photo)
    soft = blurred(hole.astype(np.float32), 4)[..., None]
    plate = plate * (1 - soft) + blurred(plate, 6) * soft
    grain = blurred(np.random.default_rng(3).normal(0, 4.0, hole.shape).astype(np.float32), 0.7)
    return enlarge(np.clip(plate + soft * grain[..., None], 0, 255).astype(np.uint8))


def eyeballs(points: np.ndarray, sharp: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # [478, 3] photo px
    """Eyeballs continued behind the lids, and the mask [H, W] 0/1 of what is seen in the photo."""
    import cv2
    seen = np.maximum(*(filled(sharp.shape[:2], points[eye, :2]) for eye in EYES))
    seen = shrunk((seen > 200).astype(np.uint8), 3)
    around = grown(seen, 41)
    rows, columns = np.nonzero(around)
    box = np.s_[rows.min():rows.max() + 1, columns.min():columns.max() + 1]
    eyes = sharp.copy()
    eyes[box] = cv2.inpaint(sharp[box].copy(), ((1 - seen[box]) & around[box]).astype(np.uint8), 3, cv2.INPAINT_TELEA)
    return eyes, seen


def teeth_of(portrait: Portrait, big: np.ndarray) -> np.ndarray:
    """The photo's upper teeth, continued outwards to a rectangle."""
    import cv2
    ring = portrait.points[INNER_LIPS, :2]
    (x0, y0), (x1, y1) = to_texture([ring.min(0) - [2, 5], ring.max(0) + [2, 3]]).astype(int)
    known = shrunk((filled(big.shape[:2], ring) > 200).astype(np.uint8), 7)
    return cv2.inpaint(big[y0:y1, x0:x1], 1 - known[y0:y1, x0:x1], 5, cv2.INPAINT_TELEA)


def _coloured(layers: Layers, look: Look, skin, hair, eye_mask) -> Layers:
    head = dye(tan(layers.head, look.skin, skin), look.hair, hair)
    iris = blurred(eye_mask.astype(np.float32), 1.5)[..., None]
    return replace(layers, head=head, neck=tan(layers.neck, look.skin), torso=dye(layers.torso, look.suit),
                   background=dye(layers.background, look.backdrop), eyes=mix(tan(layers.eyes, look.skin), layers.eyes, iris))
