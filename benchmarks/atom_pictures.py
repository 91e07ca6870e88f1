"""What benchmarks/atom.py found, to be looked at: lip and jaw curves, and drawn faces of truth and motion."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from talking_heads.media_core.face.draw import draw_landmarks
from talking_heads.media_core.motion import LandmarkTrack
from talking_heads.media_core.mouth import jaw_drop, lip_aperture
from talking_heads.media_core.speech import Speech

Shown = tuple[str, LandmarkTrack, LandmarkTrack, Speech]  # name, truth, motion, what is heard
WIDTH, ROW, TOP = 1600, 110, 20  # px of the curves' picture, of one curve, of a line of text
TILE, COLUMNS, ZOOM = 190, 8, 2.6  # px of a face, faces side by side, mouth's share
TRUTH, MADE, SILENT = (150, 150, 158), (205, 40, 40), (236, 240, 246)
MILLIMETRES = 100.0  # in a decimetre


def curves_picture(clips: Sequence[Shown]):
    """Lips and jaw of every clip over time, millimetres; truth grey, motion red, silence shaded."""
    from PIL import Image, ImageDraw

    kinds = (("lip aperture, mm", lip_aperture), ("jaw drop, mm", jaw_drop))
    picture = Image.new("RGB", (WIDTH, len(kinds) * len(clips) * (ROW + TOP) + TOP), "white")
    draw, top = ImageDraw.Draw(picture), 0
    for name, truth, motion, speech in clips:
        for what, measure in kinds:
            draw.text((6, top + 4), f"{name}: {what}", fill=(30, 30, 34))
            draw.text((260, top + 4), "truth", fill=TRUTH)
            draw.text((300, top + 4), "generated", fill=MADE)
            _strip(draw, [measure(t.points).numpy() * MILLIMETRES for t in (truth, motion)], speech, truth.fps, top + TOP)
            top += ROW + TOP
    seconds = len(clips[0][1]) / clips[0][1].fps
    for second in range(0, int(seconds) + 1, 2):
        draw.text((_x(second / seconds) + 2, top + 4), f"{second} s", fill=(90, 90, 96))
    return picture


def _x(share: float) -> float:
    return 40 + share * (WIDTH - 46)


def _strip(draw, curves: list[np.ndarray], speech: Speech, fps: float, top: int) -> None:
    low, high = min(float(c.min()) for c in curves), max(float(c.max()) for c in curves)
    frames = len(curves[0])
    for i in np.flatnonzero(speech.silent_frames(fps).numpy()):
        draw.rectangle([_x(i / frames), top, _x((i + 1) / frames), top + ROW], fill=SILENT)
    place = lambda value: top + ROW - 6 - (value - low) / max(high - low, 1e-6) * (ROW - 12)
    for value in (low, high):
        draw.text((4, place(value) - 6), f"{value:.1f}", fill=(110, 110, 116))
    for curve, colour, width in zip(curves, (TRUTH, MADE), (4, 2)):
        draw.line([(_x((i + 0.5) / frames), place(float(v))) for i, v in enumerate(curve)], fill=colour, width=width)


def face_sheet(clips: Sequence[Shown]):
    """Faces at moments from shut to wide open: for each clip a row of truth, one of the motion, one of both mouths laid over."""
    from PIL import Image, ImageDraw

    sheet = Image.new("RGB", (TILE * COLUMNS, 3 * TILE * len(clips)), "white")
    draw = ImageDraw.Draw(sheet)
    for row, (name, truth, motion, _) in enumerate(clips):
        order = torch.argsort(lip_aperture(truth.points))
        chosen = order[torch.linspace(0, len(order) - 1, COLUMNS).long()].sort().values.tolist()
        for column, frame in enumerate(chosen):
            pair, at = (truth.points[frame].numpy(), motion.points[frame].numpy()), (TILE * column, 3 * TILE * row)
            middle = truth.points[:, :, :2].mean((0, 1)).numpy()
            tiles = (*(_face(points, middle) for points in pair), _mouths(*pair))
            for k, (tile, what) in enumerate(zip(tiles, (f"truth {frame / truth.fps:.2f} s", "generated", "both, enlarged"))):
                sheet.paste(Image.fromarray(tile), (at[0], at[1] + k * TILE))
                draw.text((at[0] + 4, at[1] + k * TILE + 4), f"{name}: {what}" if not column and not k else what,
                          fill=(220, 220, 224) if k < 2 else (60, 60, 64))
    return sheet


def _face(points: np.ndarray, middle: np.ndarray) -> np.ndarray:  # [68, 3] dm -> uint8 [TILE, TILE, 3]
    place = (points[:, :2] - middle) * [1, -1] * (TILE / 2.2) + TILE / 2
    return draw_landmarks(np.zeros((TILE, TILE, 3), np.uint8), place, dots=False)


def _mouths(truth: np.ndarray, made: np.ndarray) -> np.ndarray:
    """Jaw and mouth of both: truth grey, motion red."""
    import cv2

    picture = np.full((TILE, TILE, 3), 250, np.uint8)
    middle = truth[48:, :2].mean(0) - [0, 0.12]
    for points, colour, thick in ((truth, TRUTH, 4), (made, MADE, 1)):
        place = ((points[:, :2] - middle) * [1, -1] * (TILE / 2.2 * ZOOM) + TILE / 2) * 16
        for first, last, closed in ((0, 16, False), (48, 59, True), (60, 67, True)):
            cv2.polylines(picture, [np.rint(place[first:last + 1]).astype(np.int32)[:, None]], closed, colour, thick,
                          cv2.LINE_AA, 4)
    return picture
