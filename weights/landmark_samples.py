"""Renders of `landmark_renders` turned into training samples for `make_face_landmarks.py`: another skin, hair, light, camera and
face shape each time, with things in front of the face. Recipe: docs/capture.md#landmark-network.
"""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from ..media_core.face.geometry import LEFT_EYE, MIRROR, MIRROR_EYE, MOUTH, RIGHT_EYE, Similarity, similarity
from ..media_core.face.landmarks import landmark_net as net

CANVAS = 224  # px on which a sample is painted
_FACE, _NECK, _TORSO, _MOUTH, _HAIR = range(1, 6)


class Renders:
    """All pictures of a folder in memory, as they were drawn."""

    def __init__(self, folder: Path, names: list[str] | None = None):
        files = sorted(folder.glob("*.npz")) if names is None else [folder / name for name in names]
        parts = [np.load(f) for f in files]
        self.image, self.classes, self.points = (np.concatenate([p[k] for p in parts]) for k in ("image", "classes", "points"))

    def __len__(self) -> int:
        return len(self.image)


def backgrounds() -> list[np.ndarray]:
    """Pictures without a face out of the scikit-image wheel."""
    from skimage import data

    names = ("coffee", "chelsea", "rocket", "hubble_deep_field", "brick", "grass", "gravel", "camera", "coins", "moon", "page",
             "text", "checkerboard", "clock")
    out = []
    for name in names:
        try:
            image = getattr(data, name)()
        except Exception as error:  # not every wheel holds every picture
            print(f"no picture {name}: {error}")
            continue
        out.append(np.ascontiguousarray(np.repeat(image[..., None], 3, 2) if image.ndim == 2 else image[..., :3]))
    return out


class Sampler:
    """Draws augmented samples."""

    def __init__(self, renders: Renders, template: np.ndarray, absent: float = .1):
        self.renders, self.template, self.backgrounds = renders, template, backgrounds()
        self.absent = absent  # share of the samples that show no face

    def __call__(self, rng: np.random.Generator, index: int | None = None, views: int = 2) -> list[dict[str, np.ndarray]]:
        """Photographs of one made-up face: crops uint8 and points in crop sides; `present` 0 means no face (its points do not
        count)."""
        index = int(rng.integers(len(self.renders))) if index is None else index
        image, points = self._dressed(index, rng)
        image, points = _warped(image, points, rng)
        if rng.random() < .5:
            image, points = image[:, ::-1], _flipped(points)
        image = self._in_front(np.ascontiguousarray(image), points, rng)
        return [self._view(image, points, rng) for _ in range(views)]

    def _view(self, image: np.ndarray, points: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
        photo, present = _photographed(image, rng), 1.0
        if rng.random() < self.absent:
            present, photo = 0.0, self._without_face(photo, points, rng)
        return self._crops(photo, points, present, rng)

    # ------------------------------------------------------------------------------------------------------- painting

    def _dressed(self, index: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Other hair, skin and surroundings; float32 [CANVAS, CANVAS, 3] and points there."""
        import cv2

        scale = CANVAS / self.renders.image.shape[1]
        flat = cv2.resize(self.renders.image[index], (CANVAS, CANVAS), interpolation=cv2.INTER_AREA).astype(np.float32)
        classes = cv2.resize(self.renders.classes[index], (CANVAS, CANVAS), interpolation=cv2.INTER_NEAREST)
        points = (self.renders.points[index].astype(np.float64) + .5) * scale - .5

        def soft(*wanted: int) -> np.ndarray:
            return cv2.blur(np.isin(classes, wanted).astype(np.float32), (3, 3))[..., None]
        if rng.random() < .8:
            flat = _dyed_hair(flat, soft(_HAIR), soft(_FACE) > .5, rng)
        if rng.random() < .75:
            skin = soft(_FACE, _NECK) if rng.random() < .5 else soft(_FACE)
            tone = rng.uniform(.35, 1.2) * np.array([1, rng.uniform(.8, 1.02), rng.uniform(.64, 1.05)], np.float32)
            flat += ((flat / 255) ** np.float32(rng.uniform(.7, 1.5)) * 255 * tone - flat) * skin
        if rng.random() < .35:
            flat = _lipstick(flat, points, rng)
        if rng.random() < .25:
            flat = _bearded(flat, points, soft(_FACE), rng)
        if rng.random() < .8:
            behind = soft(0, _TORSO) if rng.random() < .5 else soft(0)
            flat += (self._backdrop(rng) - flat) * behind
        return flat, points

    def _backdrop(self, rng: np.random.Generator) -> np.ndarray:  # float32 [CANVAS, CANVAS, 3]
        import cv2

        if rng.random() < .35:
            return np.full((CANVAS, CANVAS, 3), rng.uniform(0, 255, 3), np.float32)
        picture = self.backgrounds[rng.integers(len(self.backgrounds))]
        side = int(rng.uniform(.3, 1) * min(picture.shape[:2]))
        y, x = (rng.integers(0, n - side + 1) for n in picture.shape[:2])
        out = cv2.resize(picture[y:y + side, x:x + side], (CANVAS, CANVAS), interpolation=cv2.INTER_AREA).astype(np.float32)
        return out * np.float32(rng.uniform(.3, 1.15))

    def _in_front(self, image: np.ndarray, points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Glasses, a hand, a microphone, sometimes."""
        import cv2

        unit = np.linalg.norm(points[36] - points[45])
        if rng.random() < .15:
            colour, width = rng.uniform(0, 255, 3).tolist(), int(rng.integers(1, 4))
            for eye in (RIGHT_EYE, LEFT_EYE):
                axes = (int(unit * rng.uniform(.22, .28)), int(unit * rng.uniform(.15, .24)))
                middle = tuple(int(v) for v in points[eye].mean(0) + [0, .03 * unit])
                if rng.random() < .3:
                    glass = image.copy()
                    cv2.ellipse(glass, middle, axes, 0, 0, 360, colour, -1)
                    image = cv2.addWeighted(image, .7, glass, .3, 0)
                cv2.ellipse(image, middle, axes, 0, 0, 360, colour, width, cv2.LINE_AA)
        if rng.random() < .18:
            middle = points[rng.integers(68)] + rng.normal(0, .2 * unit, 2)
            axes = tuple(int(v) for v in unit * rng.uniform(.1, .45, 2))
            blob = np.zeros(image.shape[:2], np.uint8)
            cv2.ellipse(blob, tuple(int(v) for v in middle), axes, rng.uniform(0, 180), 0, 360, 255, -1)
            skin = image[tuple(np.clip(points[30][::-1].astype(int), 0, CANVAS - 1))] * rng.uniform(.6, 1.2)
            colour = skin if rng.random() < .6 else rng.uniform(0, 255, 3)
            texture = colour + _skin_like(rng)
            weight = cv2.blur(blob, (3, 3))[..., None].astype(np.float32) / 255
            image = image + (texture - image) * weight
        return image

    def _without_face(self, image: np.ndarray, points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Somewhere else, or the face mostly covered."""
        import cv2

        if rng.random() < .5:
            return np.clip(self._backdrop(rng) + _noise(rng, 16, 10), 0, 255).astype(np.uint8)
        unit = np.linalg.norm(points[36] - points[45])
        cover = np.zeros(image.shape[:2], np.uint8)
        middle = tuple(int(v) for v in points[17:].mean(0) + rng.normal(0, .08 * unit, 2))
        cv2.ellipse(cover, middle, tuple(int(v) for v in unit * rng.uniform(.62, .95, 2)), rng.uniform(0, 180), 0, 360, 255, -1)
        skin = image[tuple(np.clip(points[30][::-1].astype(int), 0, CANVAS - 1))].astype(np.float32)
        texture = (skin * rng.uniform(.6, 1.2) if rng.random() < .6 else self._backdrop(rng)) + _skin_like(rng)
        return np.where(cover[..., None] > 0, np.clip(texture, 0, 255), image).astype(np.uint8)

    # ---------------------------------------------------------------------------------------------------------- crops

    def _crops(self, image: np.ndarray, points: np.ndarray, present: float, rng: np.random.Generator) -> dict[str, np.ndarray]:
        unit = np.linalg.norm(points[36] - points[45])
        coarse = rng.random() < .3  # as the detector's box gives it; else as tracking gives it
        noise = (.14, .14, 14) if coarse else (.05, .06, 5)
        place = _shaken(net.face_crop(points, self.template), net.FACE_SIZE, noise, rng, 2.0)
        out = {"face": _cut(image, place, net.FACE_SIZE), "face_points": place(points) / net.FACE_SIZE,
               "present": np.float32(present)}
        guess = points + rng.normal(0, .012 * unit, points.shape) + rng.normal(0, .02 * unit, 2)
        place = _shaken(net.mouth_crop(guess, self.template), net.MOUTH_SIZE, (.035, .06, 4), rng, 1.0)
        out |= {"mouth": _cut(image, place, net.MOUTH_SIZE), "mouth_points": place(points[MOUTH]) / net.MOUTH_SIZE}
        eyes = []
        for left, part in ((False, RIGHT_EYE), (True, LEFT_EYE)):
            place = _shaken(net.eye_crop(guess, left, self.template), net.EYE_SIZE, (.04, .06, 4), rng, 0.62)
            crop, where = _cut(image, place, net.EYE_SIZE), place(points[part])
            if left:
                crop, where = crop[:, ::-1], np.column_stack([net.EYE_SIZE - 1 - where[:, 0], where[:, 1]])[MIRROR_EYE]
            eyes.append((crop, where / net.EYE_SIZE))
        return out | {"eye": np.stack([e[0] for e in eyes]), "eye_points": np.stack([e[1] for e in eyes])}


def _shaken(place: Similarity, size: int, noise: tuple[float, float, float], rng: np.random.Generator, side: float) -> Similarity:
    """A crop moved (in distances of the eye corners), scaled (log) and turned (degrees) by chance."""
    shift, scale, turn = noise
    middle = np.array([(size - 1) / 2] * 2)
    away = middle + rng.normal(0, shift, 2) * size / side
    return place.then(similarity(np.deg2rad(rng.normal(0, turn)), float(np.exp(rng.normal(0, scale))), middle, away))


def _cut(image: np.ndarray, place: Similarity, size: int) -> np.ndarray:  # uint8 [size, size, 3]
    import cv2

    return cv2.warpAffine(image, place.affine, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _flipped(points: np.ndarray) -> np.ndarray:
    return np.column_stack([CANVAS - 1 - points[:, 0], points[:, 1]])[MIRROR]


def _noise(rng: np.random.Generator, cells: int, amount: float) -> np.ndarray:  # float32 [CANVAS, CANVAS, 3], smooth
    import cv2

    few = rng.normal(0, amount, (cells, cells, 3)).astype(np.float32)
    return cv2.resize(few, (CANVAS, CANVAS), interpolation=cv2.INTER_CUBIC)


def _skin_like(rng: np.random.Generator) -> np.ndarray:  # float32 [CANVAS, CANVAS, 3]
    """Nothing at all, or stains of any size and strength: what covers a face must not be known by its texture."""
    if rng.random() < .3:
        return np.zeros((CANVAS, CANVAS, 3), np.float32)
    return _noise(rng, int(rng.integers(3, 60)), rng.uniform(1, 14))


def _dyed_hair(flat: np.ndarray, hair: np.ndarray, face: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    grey = flat.mean(-1, keepdims=True)
    if rng.random() < .2:  # no hair
        skin = flat[face[..., 0]].mean(0) if face.any() else np.array([150, 120, 100])
        dyed = skin * rng.uniform(.8, 1.05) + (grey - 90) * .15
    else:
        colour = rng.uniform(0, 1, 3) ** 1.5 * rng.uniform(.15, 1.8)
        dyed = np.clip((grey - 90) * rng.uniform(.2, 1.1) + 90, 0, 255) * colour + rng.uniform(0, 60)
    return flat + (dyed.astype(np.float32) - flat) * hair


def _lipstick(flat: np.ndarray, points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Redder, paler or darker lips."""
    import cv2

    mask = np.zeros(flat.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(points[48:60] * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    cv2.fillPoly(mask, [np.round(points[60:68] * 16).astype(np.int32)], 0, cv2.LINE_AA, 4)
    factor = rng.uniform(.6, 1.15) * np.array([1, rng.uniform(.6, 1.15), rng.uniform(.6, 1.15)])
    weight = cv2.blur(mask, (3, 3))[..., None].astype(np.float32) / 255
    return flat * (1 + (factor.astype(np.float32) - 1) * weight)


def _bearded(flat: np.ndarray, points: np.ndarray, face: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Stubble or a beard between cheeks, upper lip and chin; the lips stay free."""
    import cv2

    mask = np.zeros(flat.shape[:2], np.uint8)
    top = points[33] + (points[51] - points[33]) * rng.uniform(.2, .6)
    outline = np.vstack([points[2:15], points[14] * .6 + points[54] * .4, top, points[2] * .6 + points[48] * .4])
    cv2.fillPoly(mask, [np.round(outline).astype(np.int32)], 255)
    cv2.fillPoly(mask, [np.round(points[48:60]).astype(np.int32)], 0)
    if rng.random() < .3:
        cv2.fillPoly(mask, [np.round(np.vstack([points[4:13], points[54], points[57], points[48]])).astype(np.int32)], 0)
    weight = cv2.blur(mask, (5, 5))[..., None].astype(np.float32) / 255 * face * rng.uniform(.3, .95)
    hair = rng.uniform(10, 150) * np.array([1, rng.uniform(.75, 1), rng.uniform(.55, 1)]) + _noise(rng, CANVAS // 3, 18)
    return flat + (hair.astype(np.float32) - flat) * weight


def _warped(image: np.ndarray, points: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Another face shape: a smooth random field, coarse and fine, and a stretch; points go along."""
    import cv2

    small = 56

    def field(cells: float, amount: float) -> np.ndarray:
        n = max(3, int(cells))
        return cv2.resize(rng.normal(0, 1, (n, n, 2)).astype(np.float32), (small, small), interpolation=cv2.INTER_CUBIC) * amount
    move = field(rng.uniform(2.5, 4.5), rng.uniform(0, .022) * CANVAS)
    if rng.random() < .6:
        move += field(rng.uniform(5, 8), rng.uniform(0, .009) * CANVAS)
    grid = np.stack(np.meshgrid(np.arange(small), np.arange(small)), -1).astype(np.float32)
    scale, middle = CANVAS / small, points[17:].mean(0)
    stretch = np.exp(rng.normal(0, .08))
    move[..., 0] += ((grid[..., 0] + .5) * scale - .5 - middle[0]) * (stretch - 1)
    back = grid.copy()
    for _ in range(4):
        back = grid - cv2.remap(move, back, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) / scale
    source = cv2.resize((back + .5) * scale - .5, (CANVAS, CANVAS), interpolation=cv2.INTER_LINEAR)
    out = cv2.remap(image, source, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    at = ((points + .5) / scale - .5).astype(np.float32)[:, None]
    return out, points + cv2.remap(move, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[:, 0]


def _photographed(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Light, tone curve, colour cast, blur, low resolution, noise and JPEG; uint8."""
    import cv2

    if rng.random() < .5:
        axis = np.linspace(-.5, .5, CANVAS, dtype=np.float32)
        slope = np.clip(1 + .7 * (axis[None] * rng.normal() + axis[:, None] * rng.normal()), .3, 1.7)
        image = image * slope[..., None].astype(np.float32)
    levels = (np.arange(256) / 255) ** np.exp(rng.normal(0, .25)) * 255
    levels = np.clip((levels - 110) * np.exp(rng.normal(0, .25)) + 110 + rng.normal(0, 18), 0, 255)
    cast = np.exp(rng.normal(0, .06, 3))
    table = np.clip(levels[:, None] * cast, 0, 255).astype(np.uint8)[None]
    out = cv2.LUT(np.clip(image, 0, 255).astype(np.uint8), table)
    if rng.random() < .2:
        out = cv2.cvtColor(cv2.cvtColor(out, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if rng.random() < .3:
        out = cv2.GaussianBlur(out, (0, 0), rng.uniform(.4, 2.2))
    if rng.random() < .15:
        few = int(CANVAS * rng.uniform(.3, .7))
        out = cv2.resize(cv2.resize(out, (few, few), interpolation=cv2.INTER_AREA), (CANVAS, CANVAS))
    if rng.random() < .5:
        noise = np.empty(out.shape, np.int16)
        cv2.setRNGSeed(int(rng.integers(1 << 30)))
        cv2.randn(noise, 0, float(rng.uniform(0, 9)))
        out = cv2.add(out, noise, dtype=cv2.CV_8U)
    if rng.random() < .3:
        packed = cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 95))])[1]
        out = cv2.imdecode(packed, cv2.IMREAD_COLOR)
    return out


class Batches(torch.utils.data.IterableDataset):
    """Endless batches; every worker draws its own."""

    def __init__(self, sampler: Sampler, size: int, seed: int):
        self.sampler, self.size, self.seed = sampler, size, seed

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        worker = torch.utils.data.get_worker_info()
        rng = np.random.default_rng([self.seed, worker.id if worker else 0])
        while True:
            yield collated([view for _ in range(self.size // 2) for view in self.sampler(rng)])


def collated(samples: list[dict[str, np.ndarray]]) -> dict[str, torch.Tensor]:
    """Samples as one batch: images stay uint8 until they are used, points are float32."""
    out = {}
    for name in samples[0]:
        stack = np.stack([np.asarray(s[name]) for s in samples])
        out[name] = torch.from_numpy(stack if stack.dtype == np.uint8 else stack.astype(np.float32))
    return out
