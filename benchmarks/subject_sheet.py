"""A contact sheet of the synthetic subject, to be looked at: frames with phonemes, the mouth frame by frame, masks, curves.

Usage: python benchmarks/subject_sheet.py OUT.png [SECONDS] [SEED] [SIZE] [IDENTITY] [TEXT]
"""
from __future__ import annotations

import sys

import numpy as np
from talking_heads.media_core.subject import PARAMS, Performance, Subject, SubjectFrame, perform

TILE, COLUMNS, STRIP, STRIP_START = 256, 5, 40, 12     # px, tiles a row, mouth frames shown, first of them
_COLOURS = np.array([[255, 255, 255], [80, 120, 255], [90, 220, 90], [255, 120, 60], [200, 0, 0], [40, 40, 60]], np.uint8)
_CURVES = (("la", 14, (220, 0, 0)), ("jaw", 14, (0, 120, 0)), ("prot", 1, (0, 0, 220)), ("blink", 1, (150, 0, 150)))


def contact_sheet(performance: Performance, subject: Subject) -> np.ndarray:
    """uint8 [H, 1280, 3] RGB."""
    import cv2
    count = len(performance)
    chosen = np.linspace(2, count - 3, 4 * COLUMNS).astype(int).tolist()
    strip = range(min(STRIP_START, count), min(count, STRIP_START + STRIP))
    frames = {i: _render(performance, subject, i) for i in sorted({*chosen, *strip})}
    tiles = []
    for i in chosen:
        tile = cv2.resize(frames[i].rgb, (TILE, TILE), interpolation=cv2.INTER_AREA)
        tiles.append(_label(tile, f"{i / performance.fps:.2f}s /{performance.phoneme_at(i)}/", (6, 248)))
    mouths = [_label(_mouth(frames[i]), performance.phoneme_at(i), (4, 14)) for i in strip]
    masks = [_truth(frames[i]) for i in chosen[::4]]
    return np.vstack([_grid(tiles, COLUMNS), _grid(mouths, 10), _grid(masks, COLUMNS), _plot(performance)])


def _render(performance: Performance, subject: Subject, i: int) -> SubjectFrame:
    pose = subject.pose(performance.euler[i], performance.translation[i])
    return subject.render(performance.params[i], pose, performance.sway[i])


def _label(image: np.ndarray, text: str, where: tuple[int, int]) -> np.ndarray:
    import cv2
    return cv2.putText(np.ascontiguousarray(image), text, where, 0, .5, (255, 40, 40), 1, cv2.LINE_AA)


def _mouth(frame: SubjectFrame) -> np.ndarray:
    import cv2
    half = int(44 * len(frame.rgb) / 512)
    x, y = frame.landmarks2d[48:68].mean(0).astype(int)
    return cv2.resize(frame.rgb[y - half:y + half, x - half:x + half], (128, 128), interpolation=cv2.INTER_CUBIC)


def _truth(frame: SubjectFrame) -> np.ndarray:
    import cv2
    marked = frame.rgb.copy()
    for x, y in frame.landmarks2d:
        cv2.circle(marked, (int(round(x)), int(round(y))), max(1, len(marked) // 200), (0, 255, 0), -1, cv2.LINE_AA)
    classes = _COLOURS[frame.classes]
    classes[frame.teeth] = (255, 255, 0)
    torso = (frame.torso[..., :3] * (frame.torso[..., 3:] / 255.0) + 255 * (1 - frame.torso[..., 3:] / 255.0)).astype(np.uint8)
    return np.vstack([cv2.resize(part, (TILE, TILE), interpolation=mode)
                      for part, mode in ((marked, cv2.INTER_AREA), (classes, cv2.INTER_NEAREST), (torso, cv2.INTER_AREA))])


def _grid(tiles: list[np.ndarray], columns: int) -> np.ndarray:
    tiles = tiles + [np.full_like(tiles[0], 255)] * (-len(tiles) % columns)
    return np.vstack([np.hstack(tiles[i:i + columns]) for i in range(0, len(tiles), columns)])


def _plot(performance: Performance) -> np.ndarray:
    import cv2
    width, height = TILE * COLUMNS, 230
    plot = np.full((height, width, 3), 255, np.uint8)
    loud = np.abs(performance.sound.waveform[0])
    for x in range(width):
        part = loud[x * len(loud) // width:(x + 1) * len(loud) // width]
        reach = int(min(1, part.max(initial=0) * 1.2) * 30)
        cv2.line(plot, (x, 60 - reach), (x, 60 + reach), (180, 180, 180), 1)
    at = np.arange(len(performance)) * width / len(performance)
    for k, (name, full, colour) in enumerate(_CURVES):
        line = np.stack([at, 220 - 120 * performance.params[:, PARAMS.index(name)] / full], 1)
        cv2.polylines(plot, [line.astype(np.int32)], False, colour, 1, cv2.LINE_AA)
        cv2.putText(plot, name, (6 + 90 * k, 14), 0, .5, colour, 1, cv2.LINE_AA)
    return plot


def main(out: str, seconds: float = 6.0, seed: int = 0, size: int = 512, identity: int = 3, text: str | None = None) -> None:
    import cv2
    performance = perform(None if text and not float(seconds) else float(seconds), int(seed), text=text)
    cv2.imwrite(out, contact_sheet(performance, Subject(int(size), int(identity)))[:, :, ::-1])
    print(out, performance.text)


if __name__ == "__main__":
    main(*sys.argv[1:])
