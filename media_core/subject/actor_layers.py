"""A photo's person taken apart for a video: backdrop, body as it goes on behind the head, head without its lower face, face.

Each layer's colours go on beyond its edge and are free of the old backdrop, so that nothing shines through when it moves.
"""
from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..face.masks.filling import filled as filled_in
from ..face.masks.guided import Guide, planes
from ..face.masks.masks import FrameMasks, HeadMasker
from ..face.masks.person import soft_persons
from ..face.masks.torso import torso_under_head
from .assets import FaceLayers, eyeballs
from .identity import Look, dye, tan
from .layout import EYES, INNER_LIPS, OVAL, to_68
from .photo import SHAPE
from .portrait import Portrait, blurred, enlarge, filled, grown, shrink, shrunk, skin_shown, to_texture

BACKGROUND, FACE, NECK, TORSO, MOUTH, HAIR = range(6)  # as `render.CLASSES`
HANGING = 4.0         # photo px below the chin: hair that hangs lower goes with the shoulders
_HALF = 2             # regions are found at texture size over this
_EDGE = 14            # texture px: half the guided filter's window
_CLEAR, _OPAQUE = .06, .94   # of the matte: less is backdrop, more is person
_UNMIXED = .3         # least opacity that the backdrop is taken out of a colour with
_NEAR = 25            # texture px around the person where the backdrop is not trusted
_UNDER = 21           # texture px that the body goes on under the head
_FEW = 400            # texture px of hair below which its colour is not known
_RIM = 13             # texture px by which the face's outline is grown
_JAW = 25             # the same for skin beyond it that is still the jaw's; the mesh has a strip so wide


@dataclass(frozen=True)
class ActorLayers(FaceLayers):
    """What the renderer draws of a photo; all at texture size."""
    head_sheet: np.ndarray   # uint8 [H, W, 4] RGBA: hair, ears and upper face; colours continued beyond the edge
    body_sheet: np.ndarray   # uint8 [H, W, 4] RGBA: neck and clothes, also behind the head
    body_classes: np.ndarray  # uint8 [H, W] NECK or TORSO
    head_classes: np.ndarray  # uint8 [H, W] FACE or HAIR


@dataclass(frozen=True)
class _Regions:
    """Of the person in the photo, at texture size."""
    matte: np.ndarray        # float32 [H, W] 0..1
    head: np.ndarray         # bool [H, W]; without hair that hangs on the shoulders; all that is nearer to it than to the body
    hair: np.ndarray         # part of the head or the body
    neck: np.ndarray
    hidden: np.ndarray       # float32 [H, W] 0..1: where neck and clothes go on behind the face and hanging hair


def actor_layers(portrait: Portrait, plain_points: np.ndarray, look: Look | None) -> ActorLayers:
    """Takes a photo apart.

    Args:
        portrait: of `of_picture`, perhaps bent into another person.
        plain_points: [478, 3] photo px, the points before that.
        look: other colours, or None.
    """
    assert portrait.big is not None and portrait.mouth is not None  # a photo's
    photo, flat = portrait.big, portrait.points[:, :2]
    soft, masks = _found(photo, portrait.points)
    if look is not None:
        photo = _recoloured(photo, flat, masks, look)
    matte = _matte(photo, soft, masks, flat)
    plate = _plate(photo, matte)
    if look is not None:
        backdrop = dye(plate, look.backdrop)
        photo = _mixed(backdrop, photo, matte)
        plate = backdrop
    clean = _unmixed(photo, plate, matte)
    regions = _regions(clean, matte, masks, flat)
    face = filled(SHAPE, flat[list(OVAL)])
    eyes, _ = eyeballs(portrait.points, photo)
    return ActorLayers(
        points=portrait.points, plain_points=plain_points, hair_outline=None, head=photo,
        head_alpha=_face_alpha(face, regions, flat), hair_mask=np.where(regions.hair, 255, 0).astype(np.uint8), background=plate,
        eyes=eyes, teeth=portrait.mouth.teeth, head_sheet=_head_sheet(clean, regions, face, flat),
        body_sheet=_body_sheet(clean, regions),
        body_classes=np.where(regions.neck, NECK, TORSO).astype(np.uint8),
        head_classes=np.where(regions.hair, HAIR, FACE).astype(np.uint8))


# --------------------------------------------------------------------------------------------------------------- regions

def _found(photo: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, FrameMasks]:  # -> float32 [H/2, W/2], masks of [H/2, W/2]
    """The person and its parts, at half the texture's size."""
    import cv2
    half = cv2.resize(photo, (SHAPE[1] // _HALF, SHAPE[0] // _HALF), interpolation=cv2.INTER_AREA)
    soft, = soft_persons([half])
    at = (to_texture(to_68(points)[:, :2]) + .5) / _HALF - .5
    return soft, HeadMasker(half.shape[:2])(half, at, soft=soft)


def _large(mask: np.ndarray) -> np.ndarray:  # [h, w] -> float32 [H, W]
    import cv2
    return cv2.resize(mask.astype(np.float32), SHAPE[::-1], interpolation=cv2.INTER_LINEAR)


def _matte(photo: np.ndarray, soft: np.ndarray, masks: FrameMasks, flat: np.ndarray) -> np.ndarray:
    """How much of each pixel is the person's: the network's and the cut-out's mean, its edges drawn to the photo's own."""
    person = _large(masks.person)
    rough = (_large(soft) + person) / 2
    matte = np.clip(Guide(planes(photo), _EDGE)(rough), 0, 1)
    near = grown((person > .5).astype(np.uint8) * 255, 2 * _EDGE + 1)
    sure = filled(SHAPE, flat[list(OVAL)])
    matte = np.maximum(np.minimum(matte, blurred(near, 3) / 255), blurred(sure, 3) / 255)
    return np.clip((matte - _CLEAR) / (_OPAQUE - _CLEAR), 0, 1).astype(np.float32)


def _regions(clean: np.ndarray, matte: np.ndarray, masks: FrameMasks, flat: np.ndarray) -> _Regions:
    import cv2
    row = (to_texture([[0, flat[152, 1] + HANGING]])[0, 1] + .5) / _HALF - .5
    above = np.arange(masks.head.shape[0])[:, None] < row
    head = masks.head & above
    split = replace(masks, head=head, torso=masks.torso | masks.head & ~above, mouth=masks.mouth & above, hair=masks.hair & above)
    half = cv2.resize(clean, masks.head.shape[::-1], interpolation=cv2.INTER_AREA)
    behind = _large(torso_under_head(half, split)[..., 3] > 0)
    inside = shrunk(filled(SHAPE, flat[list(OVAL)]), _RIM) / 255
    hair = _large(masks.hair & above)
    hidden = blurred(np.minimum(behind, np.maximum(inside, hair)).astype(np.float32), 1.5)
    return _Regions(matte=matte, head=_nearer(_large(head) > .5, _large(split.torso) > .5), hair=_large(masks.hair) > .5,
                    neck=_large(masks.neck) > .5, hidden=hidden)


def _nearer(one: np.ndarray, other: np.ndarray) -> np.ndarray:  # bool [H, W] each
    """What is nearer to one mask than to the other."""
    import cv2
    if not other.any():
        return np.ones_like(one)
    to_one, to_other = (cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 3) for mask in (one, other))
    return to_one < to_other


# ---------------------------------------------------------------------------------------------------------------- layers

def _plate(photo: np.ndarray, matte: np.ndarray) -> np.ndarray:
    """The backdrop without the person, with the photo's grain."""
    import cv2
    image = shrink(photo)
    hole = grown((shrink((matte * 255).astype(np.uint8)) > 2).astype(np.uint8), 2 * (_NEAR // 8) + 1)
    known = hole == 0
    if not known.any():
        return enlarge(blurred(image, 30))
    around = filled_in(image.astype(np.float32), known)
    soft = blurred(hole.astype(np.float32), 2)[..., None]
    around = around * (1 - soft) + blurred(around, 5) * soft
    noise = image.astype(np.float32) - cv2.medianBlur(image, 3)
    spread = float(np.clip(1.4826 * np.median(np.abs(noise[known])), 0, 4))
    grain = blurred(np.random.default_rng(3).normal(0, 1.4 * spread + .6, hole.shape).astype(np.float32), .7)
    smooth = enlarge(np.clip(around + soft * grain[..., None], 0, 255).astype(np.uint8))
    where = blurred(grown((matte > .02).astype(np.uint8) * 255, _NEAR), 4).astype(np.float32)[..., None] / 255
    return _mixed(photo, smooth, where[..., 0])


def _unmixed(photo: np.ndarray, plate: np.ndarray, matte: np.ndarray) -> np.ndarray:
    """The person's own colours at and beyond its edge: the backdrop taken out where the person is half there, continued from
    inside where it is not."""
    import cv2
    a = matte[..., None]
    own = np.clip(plate + (photo.astype(np.float32) - plate) / np.maximum(a, _UNMIXED), 0, 255)
    known = shrink((matte * 255).astype(np.uint8)) > 245
    beyond = cv2.resize(filled_in(shrink(photo).astype(np.float32), known), SHAPE[::-1], interpolation=cv2.INTER_LINEAR)
    return np.clip(beyond + (own - beyond) * np.clip((a - .15) / .45, 0, 1) + .5, 0, 255).astype(np.uint8)


def _face_alpha(face: np.ndarray, regions: _Regions, flat: np.ndarray) -> np.ndarray:  # -> uint8 [H, W]
    """How opaque the face's mesh is: its outline, and what skin of the jaw is seen beyond it, which moves with the jaw."""
    below = np.arange(SHAPE[0])[:, None] > to_texture([[0, flat[[132, 361], 1].min()]])[0, 1]
    rim = regions.head & ~regions.hair & below & (grown(face, _JAW) > 127)
    beyond = blurred(shrunk(np.where(rim | (face > 127), 255, 0).astype(np.uint8), 5), 1.5) * regions.matte
    return np.maximum(blurred(shrunk(face, 9), 3.0), beyond).astype(np.uint8)


def _head_sheet(clean: np.ndarray, regions: _Regions, face: np.ndarray, flat: np.ndarray) -> np.ndarray:
    """Hair, ears and upper face. Below the mouth's corners the face is left out and what surrounds it goes on, for a jaw that
    moves away from where it was."""
    import cv2
    alpha = regions.matte * blurred(regions.head.astype(np.float32), 1.2)
    rows = np.arange(SHAPE[0])[:, None] > to_texture([[0, flat[[61, 291], 1].mean()]])[0, 1]
    hole = (grown(face, _RIM) > 0) & rows
    quarter = (SHAPE[1] // 4, SHAPE[0] // 4)
    solid = np.dstack([clean * alpha[..., None], alpha * 255]).astype(np.float32)
    small = cv2.resize(solid, quarter, interpolation=cv2.INTER_AREA)
    known = cv2.resize((hole | (face > 127)).astype(np.float32), quarter, interpolation=cv2.INTER_AREA) < .02
    around = np.dstack([filled_in(small[..., :3], known), filled_in(small[..., 3:], known)])
    around = cv2.resize(around, SHAPE[::-1], interpolation=cv2.INTER_LINEAR)
    amount = blurred(hole.astype(np.float32), 2)[..., None]
    mixed = solid + (around - solid) * amount
    opaque = mixed[..., 3:]
    colours = np.where(opaque > 8, mixed[..., :3] * 255 / np.maximum(opaque, 8), clean)  # they were counted by opacity
    return np.clip(np.dstack([colours, opaque]) + .5, 0, 255).astype(np.uint8)


def _body_sheet(clean: np.ndarray, regions: _Regions) -> np.ndarray:
    """Neck and clothes: the photo's where they are seen, continued a little under the head, and painted where it hides them."""
    seen = ~regions.head
    under = (grown(seen.astype(np.uint8) * 255, _UNDER) > 0) & regions.head
    whole = seen | (regions.hidden > .5) | under & _beside_body(regions)
    alpha = blurred(whole.astype(np.float32), 1.2) * np.maximum(regions.matte, np.where(regions.head, regions.hidden, 0))
    known = shrink((seen & (regions.matte > .97)).astype(np.uint8) * 255) > 250
    around = enlarge(np.clip(filled_in(shrink(clean).astype(np.float32), known), 0, 255).astype(np.uint8))
    colours = _mixed(around, clean, blurred((seen & (regions.matte > .02)).astype(np.float32), 1.2))
    colours[alpha < .004] = 0
    return np.dstack([colours, np.clip(alpha * 255 + .5, 0, 255).astype(np.uint8)])


def _beside_body(regions: _Regions) -> np.ndarray:  # -> bool [H, W]
    """The head where the body touches it (not where the backdrop does)."""
    body = (~regions.head & (regions.matte > .5)).astype(np.uint8)
    return grown(body, _UNDER) > 0


def _recoloured(photo: np.ndarray, flat: np.ndarray, masks: FrameMasks, look: Look) -> np.ndarray:
    """Other hair, skin and clothes."""
    import cv2
    lab = cv2.cvtColor(photo, cv2.COLOR_RGB2LAB).astype(np.float32)
    typical = np.median(lab[skin_shown(photo, flat)], 0)
    distance = np.sqrt((((lab - typical) * np.array([.35, 1.2, .8], np.float32)) ** 2).sum(-1))
    alike = blurred(np.clip(1.6 - distance / 22, 0, 1).astype(np.float32), 2)
    hair, torso = (blurred(_large(part), 3) for part in (masks.hair, masks.torso & ~masks.neck))
    hair = np.maximum(hair, torso * (1 - alike) * _like(lab, _large(masks.hair) > .5))  # long hair over the shoulders
    torso = np.maximum(torso - hair, 0)
    face = blurred(_large(masks.head & ~masks.hair), 2)
    kept = np.maximum.reduce([filled(SHAPE, flat[part]) for part in (*EYES, INNER_LIPS)])
    skin = np.maximum(face, np.maximum(alike, blurred(_large(masks.neck), 3)) * (1 - hair)) * (1 - blurred(kept, 1.5) / 255)
    clothes = torso * (1 - alike)
    out = dye(photo, look.suit, clothes[..., None])
    out = dye(out, look.hair, (hair * (1 - .5 * alike))[..., None])
    return tan(out, look.skin, skin[..., None])


def _like(lab: np.ndarray, part: np.ndarray) -> np.ndarray:  # float32 [H, W, 3], bool [H, W] -> float32 [H, W] 0..1
    """How much each pixel has the colours of a part; nothing where there is hardly any of it."""
    if np.count_nonzero(part) < _FEW:
        return np.zeros(part.shape, np.float32)
    colours = lab[part]
    middle = np.median(colours, 0)
    spread = np.maximum(1.4826 * np.median(np.abs(colours - middle), 0), 4)
    distance = np.sqrt((((lab - middle) / spread) ** 2).mean(-1))
    return blurred(np.clip(2.5 - distance, 0, 1).astype(np.float32), 4)


def _mixed(under: np.ndarray, over: np.ndarray, amount: np.ndarray) -> np.ndarray:  # uint8 [H, W, 3] twice, float [H, W] 0..1
    return np.clip(under + (over.astype(np.float32) - under) * amount[..., None] + .5, 0, 255).astype(np.uint8)
