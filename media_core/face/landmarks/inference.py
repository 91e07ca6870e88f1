"""The landmark networks at work on whole images: crops in, points in px of the image out."""
from __future__ import annotations

import os

import numpy as np
import torch

from ...video_part import Part
from ...video_planes import Image, Planes, averaged
from ..geometry import LEFT_EYE, MIRROR, MIRROR_EYE, MOUTH, RIGHT_EYE, Similarity, similarity
from .landmark_net import EYE_SIZE, FACE_SIZE, MOUTH_SIZE, eye_crop, face_crop, load_nets, mouth_crop

BOX_UNIT, BOX_RIGHT, BOX_DOWN = 0.66, 0.0, -0.125  # eye corners' distance and middle in the cascade's box, box sides
_FLAT = 3.0       # grey levels, standard deviation of a crop: below it there is nothing, as after fading to black
_AGREE = 0.06     # distances of the eye corners by which the stages may disagree
_MIRROR_MOUTH = MIRROR[48:] - 48
_VIEWS = ((0.0, 1.0), (6.0, .95), (-6.0, 1.06), (3.0, 1.1), (-3.0, .92))  # degrees, scale: how a still image is looked at


class PointFinder:
    """The networks of one weights file on the CPU."""

    def __init__(self, weights: str | os.PathLike):
        self.nets = load_nets(weights)
        self.template = self.nets.template.double().numpy()

    def from_box(self, image: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, float]:
        """Points [68, 2] px and confidence for a box of the cascade."""
        side, middle = box[2] - box[0], (box[:2] + box[2:]) / 2
        place = similarity(0.0, BOX_UNIT * side, (0, 0), middle + np.array([BOX_RIGHT, BOX_DOWN]) * side)
        points = self._coarse(image, place(self.template))[0]
        points = self._coarse(image, points)[0]
        return self.refined(image, points)

    def refined(self, image: np.ndarray, guess: np.ndarray) -> tuple[np.ndarray, float]:
        """Points [68, 2] float32 px and confidence 0..1, from roughly where the face is."""
        points, present = self._coarse(image, guess)
        fine = self._parts(image, points)
        unit = max(float(np.linalg.norm(points[36] - points[45])), 1e-3)
        apart = np.linalg.norm(fine[36:] - points[36:], axis=1).mean() / unit
        return fine.astype(np.float32), float(present * np.exp(-(apart / _AGREE) ** 2))

    def careful(self, image: np.ndarray, guess: np.ndarray) -> tuple[np.ndarray, float]:
        """The same from several turned and scaled views, averaged."""
        middle, found = guess[17:].mean(0), []
        for turn, scale in _VIEWS:
            shaken = similarity(np.deg2rad(turn), scale, middle, middle)(guess)
            found.append(self.refined(image, shaken))
        return np.mean([f[0] for f in found], 0).astype(np.float32), float(np.mean([f[1] for f in found]))

    def _coarse(self, image: np.ndarray, guess: np.ndarray) -> tuple[np.ndarray, float]:
        """All points by the face network: the crop and its mirror image, averaged; and whether there is a face."""
        place = face_crop(guess, self.template)
        crop = cut(image, place, FACE_SIZE)
        with torch.inference_mode():
            points, extra = self.nets.face(_pictures([crop, crop[:, ::-1]]))
        both = points.double().numpy() * FACE_SIZE
        mean = (both[0] + _mirrored(both[1], FACE_SIZE)[MIRROR]) / 2
        present = float(torch.sigmoid(extra[:, 0]).mean()) if crop.std() >= _FLAT else 0.0  # the network knows no even crops
        return place.inverse()(mean), present

    def _parts(self, image: np.ndarray, points: np.ndarray) -> np.ndarray:  # [68, 2] -> [68, 2]
        """Mouth and eyes replaced by what their own networks see."""
        out = points.copy()
        place = mouth_crop(points, self.template)
        crop = cut(image, place, MOUTH_SIZE)
        with torch.inference_mode():
            both = self.nets.mouth(_pictures([crop, crop[:, ::-1]]))[0].double().numpy() * MOUTH_SIZE
        out[MOUTH] = place.inverse()((both[0] + _mirrored(both[1], MOUTH_SIZE)[_MIRROR_MOUTH]) / 2)
        places = [eye_crop(points, left, self.template) for left in (False, True)]
        right, left = (cut(image, p, EYE_SIZE) for p in places)
        with torch.inference_mode():
            eyes = self.nets.eye(_pictures([right, left[:, ::-1]]))[0].double().numpy() * EYE_SIZE
        out[RIGHT_EYE] = places[0].inverse()(eyes[0])
        out[LEFT_EYE] = places[1].inverse()(_mirrored(eyes[1], EYE_SIZE)[MIRROR_EYE])
        return out


def cut(image: Image, place: Similarity, size: int, *, black: bool = False) -> np.ndarray:  # uint8 [size, size, 3]
    """A crop; images much larger than the crop are first averaged down around it, so that nothing flickers.

    Beyond the image its edge goes on, or it is black.
    """
    import cv2

    border = cv2.BORDER_CONSTANT if black else cv2.BORDER_REPLICATE
    small, at = _reduced(image, place, size) or _around(image, place, size)
    return cv2.warpAffine(small, at.affine, dsize=(size, size), flags=cv2.INTER_LINEAR, borderMode=border)


def _reduced(image: Image, place: Similarity, size: int) -> tuple[np.ndarray, Similarity] | None:
    """What a crop needs of an image, averaged down by whole steps, and where the crop lies in it; None: it is not much larger."""
    step, corners = _step(place), _corners(place, size)
    if step < 2:
        return None
    edge = np.array(image.shape[1::-1])
    first = np.clip(np.floor(corners.min(0)).astype(int) - step, 0, None)
    first -= first % 2 * isinstance(image, Planes)  # colours are stored for two pixels
    last = np.clip(np.ceil(corners.max(0)).astype(int) + step + 1, 1, edge)
    count = (last - first) // step
    if isinstance(image, Planes) and step % 2:
        count -= count % 2 * (last < edge)
    if (count < 1).any():
        return None
    (x0, y0), (x1, y1), (width, height) = first.tolist(), (first + count * step).tolist(), count.tolist()
    enlarged = Similarity(np.eye(2) * step, first + (step - 1) / 2)  # small px -> image px
    return averaged(image, Part(x0, y0, x1, y1), (height, width)), enlarged.then(place)


def _around(image: Image, place: Similarity, size: int) -> tuple[np.ndarray, Similarity]:
    """The part of a frame that a crop needs, as RGB, and where the crop lies in it."""
    if not isinstance(image, Planes):
        return image, place
    margin, corners, (height, width) = _step(place) + 2, _corners(place, size), image.shape[:2]
    x0, y0 = np.clip(np.floor(corners.min(0)).astype(int) - margin, 0, (width - 1, height - 1))
    x1, y1 = np.clip(np.ceil(corners.max(0)).astype(int) + margin + 1, (x0 + 1, y0 + 1), (width, height))
    return image.part(Part(int(x0), int(y0), int(x1), int(y1))), Similarity(np.eye(2), np.array([x0, y0], float)).then(place)


def _step(place: Similarity) -> int:
    """Pixels of the image for one of a crop."""
    return int(1 / max(place.scale, 1e-6) + .25)


def _corners(place: Similarity, size: int) -> np.ndarray:  # -> [4, 2] px of the image
    return place.inverse()(np.array([[-2, -2], [size + 1, -2], [size + 1, size + 1], [-2, size + 1]], float))


def _pictures(crops: list[np.ndarray]) -> torch.Tensor:  # uint8 [S, S, 3] each -> float32 [B, 3, S, S] 0..1
    return torch.from_numpy(np.stack(crops).transpose(0, 3, 1, 2).astype(np.float32)) / 255


def _mirrored(points: np.ndarray, size: int) -> np.ndarray:  # [N, 2] -> [N, 2]
    return np.column_stack([size - 1 - points[:, 0], points[:, 1]])
