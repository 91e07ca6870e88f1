"""The figures that need a face and weights the user owns: SyncNet's, and identity."""
from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..errors import TalkingHeadsError
from ..progress import Report
from .identity import aligned, identity_similarity
from .image_rows import BATCH, NO_TRUTH
from .pair import Clip
from .syncnet import FPS, Sync, crop_boxes, face_crop, sync
from .table import Row, absent
from .weights import SOURCES, Weights

if TYPE_CHECKING:
    from .face_rows import Faces

RATE = 16000  # Hz
_SYNC = (("sync_d", "Sync-D", "", "lower"), ("sync_c", "Sync-C", "", "higher"),
         ("sync_offset", "SyncNet offset", "frames at 25 fps", "zero"))
_IDENTITY = ("identity", "identity similarity", "", "higher")
_CROPS = "face boxes from the 68 points, not S3FD"


def sync_rows(made: Clip, faces: Faces, truth: Clip | None, true_faces: Faces | None, weights: Weights,
              report: Report) -> list[Row]:
    """Sync-D, Sync-C and SyncNet's offset of the made video, and of the truth beside it."""
    why = (SOURCES["syncnet"].needs("syncnet") if not weights.has("syncnet") else "needs audio" if made.sound is None
           else "no face was found in the made video" if faces.track is None else "")
    if why:
        return [absent(key, name, why, unit, better) for key, name, unit, better in _SYNC]
    try:
        found = _synced(made, faces, weights, report)
    except TalkingHeadsError as error:  # a video too short for the protocol
        return [absent(key, name, f"{error.must} ({error.came})", unit, better) for key, name, unit, better in _SYNC]
    other = None
    if truth is not None and true_faces is not None and true_faces.track is not None and truth.sound is not None:
        other = _synced(truth, true_faces, weights, report)
    return [Row(key, name, value, unit, better, found.windows, note=_CROPS, truth=true) for (key, name, unit, better), value, true
            in zip(_SYNC, _figures(found), (None,) * 3 if other is None else _figures(other), strict=True)]


def _figures(found: Sync) -> tuple[float, float, float]:
    return found.distance, found.confidence, float(found.offset)


def _synced(clip: Clip, faces: Faces, weights: Weights, report: Report) -> Sync:
    from ..face.track import filled

    assert clip.sound is not None  # the callers have looked
    boxes, device = crop_boxes(filled(faces.points, faces.cuts)), weights.device
    total = max(1, round(len(boxes) * FPS / clip.fps))

    def crops() -> Iterator[np.ndarray]:
        for number, frame in enumerate(islice(clip.read(float(FPS)), total)):
            box = boxes[min(len(boxes) - 1, int((number + 0.5) * clip.fps / FPS))]
            yield face_crop(frame, box)
            report(number + 1, total, {"stage": "lips and audio", "frame": number + 1, "frames": total}, None)

    return sync(weights.syncnet(), crops(), clip.sound.mono(RATE), device)


@torch.inference_mode()
def identity_rows(made: Clip, faces: Faces, truth: Clip | None, true_faces: Faces | None, weights: Weights,
                  report: Report) -> list[Row]:
    """Mean cosine of the ArcFace embeddings of both faces, over frames that show both."""
    key, name, unit, better = _IDENTITY
    if truth is None or true_faces is None or not weights.has("arcface"):
        return [absent(key, name, NO_TRUTH if weights.has("arcface") else SOURCES["arcface"].needs("arcface"), unit, better)]
    net, scores, held = weights.arcface(), list[Tensor](), list[tuple[Tensor, Tensor]]()
    count = min(len(faces.points), len(true_faces.points))
    both = faces.seen[:count] & true_faces.seen[:count]
    for number, frames in enumerate(islice(zip(made.shown(), truth.shown()), count)):
        if both[number]:
            held.append((aligned(frames[0], faces.points[number]), aligned(frames[1], true_faces.points[number])))
        if len(held) == BATCH or held and number + 1 == count:
            pair = (torch.stack(side).to(weights.device) for side in zip(*held))
            scores.append(identity_similarity(net, *pair).cpu())
            held = []
        report(number + 1, count, {"stage": "comparing", "frame": number + 1, "frames": count}, None)
    value = float(torch.cat(scores).mean()) if scores else math.nan
    return [absent(key, name, "no frame shows both faces", unit, better) if math.isnan(value)
            else Row(key, name, value, unit, better, int(both.sum()))]
