"""Real photographs and videos speak: audio -> AToM's demo weights -> motion -> carrier, measured by the face mesh.

    python benchmarks/real_portraits.py FOLDER [--only REGEX] [--seconds 4] [--sheets SHEETS] [--out FILE.md]

Each image and video of FOLDER says the same sentence. What is made is tracked again by the tracker "people", and its lips are
compared with those that were asked for; what must not change is compared with the source to the bit. One line per file, medians,
and how many fail each figure; with --sheets, what can be judged by eye only. Of images the head keeps still for the figures
(life 0) and moves in the sheets. Run it with OMP_NUM_THREADS=1 on a quiet machine for its times.
"""
from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice, repeat
from pathlib import Path

import common
import numpy as np
import real_portraits_figures as figures
import real_portraits_tables as tables
import torch
from real_faces import IMAGES, VIDEOS, still_image
from talking_heads.media_core.audio import FPS, Sound, load_sound
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.face.landmarks.landmarks import fill_missing, track_frames
from talking_heads.media_core.face.mesh.tracker import mesh_portrait
from talking_heads.media_core.face.pose.canonical import canonical_landmarks, canonical_portrait
from talking_heads.media_core.face.track import FaceTrack, measure
from talking_heads.media_core.face.trackers import make_tracker
from talking_heads.media_core.motion import LandmarkTrack
from talking_heads.media_core.mouth import resting_face
from talking_heads.media_core.subject.layout import to_68
from talking_heads.media_core.tracks import ping_pong
from talking_heads.media_core.video import read_frames
from talking_heads.moditalker_core.atom.checkpoints import load_atom
from talking_heads.moditalker_core.atom.model import AToM
from talking_heads.moditalker_core.carrier_films import carried_film
from talking_heads.moditalker_core.carrier_video import CarrierSettings, carried_portrait
from talking_heads.moditalker_core.pipeline import speak

SPEECH = common.ROOT / "demo" / "demo_speech.wav"
LARGEST = 512  # px, the longer side of an image: larger ones are made smaller first, so that times compare
BEGINS = 6  # frames of an image's video that are not counted: it begins with the photograph itself, open lips and all
LIVELY = (30, 60)  # frames with the head's own motion that a sheet shows


@dataclass
class Row:
    """One file and what was measured of it."""

    name: str
    kind: str  # "image" or "video"
    size: tuple[int, int] = (0, 0)  # (H, W) px
    frames: int = 0
    values: dict[str, float] = field(default_factory=dict)  # by the names of `tables.WANTED`
    refused: str = ""  # what the chain said instead
    pictures: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = field(default_factory=list)  # source, mesh, made
    lively: list[np.ndarray] = field(default_factory=list)


def main() -> None:
    args = arguments()
    torch.set_num_threads(1)
    atom, sound = load_atom(), spoken(args.speech, args.seconds)
    rows = []
    for number, file in enumerate(wanted_files(args.folder, args.only)):
        name = file.relative_to(args.folder).as_posix()
        image = file.suffix.lower() in IMAGES
        row = Row(name, "image" if image else "video")
        try:
            (still if image else film)(row, file, atom, sound, args)
        except TalkingHeadsError as refused:
            row.refused = str(refused)
        rows.append(row)
        print(tables.line(row), flush=True)
        if args.sheets is not None:
            import real_portraits_sheets

            real_portraits_sheets.draw(row, number, args.sheets)
        row.pictures, row.lively = [], []
    text = tables.report(rows, args)
    print(text)
    if args.out is not None:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(text, encoding="utf-8")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="", help="regular expression: the names of the files wanted")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each video")
    parser.add_argument("--speech", type=Path, default=SPEECH)
    parser.add_argument("--largest", type=int, default=LARGEST, help="px of the longer side of images; 0: as they are")
    parser.add_argument("--sheets", type=Path, help="folder for contact sheets")
    parser.add_argument("--out", type=Path, help="a file for the tables")
    return parser.parse_args()


def spoken(path: Path, seconds: float) -> Sound:
    """The beginning of a speech."""
    whole = load_sound(path)
    return Sound(np.ascontiguousarray(whole.waveform[:, :round(seconds * whole.sample_rate)]), whole.sample_rate)


def wanted_files(folder: Path, only: str) -> list[Path]:
    return [file for file in sorted(folder.rglob("*")) if file.suffix.lower() in IMAGES | VIDEOS
            and re.search(only, file.relative_to(folder).as_posix())]


# ------------------------------------------------------------------------------------------------------------------- images

def still(row: Row, file: Path, atom: AToM, sound: Sound, args: argparse.Namespace) -> None:
    image = no_larger(still_image(file), args.largest)
    row.size = image.shape[0], image.shape[1]
    face = mesh_portrait(image)
    assert face.mesh is not None
    own = canonical_portrait(face.points, row.size)
    motion = speak(atom, sound, shut(own))
    row.frames = len(motion)
    wanted = figures.fed(motion, own.points[0].numpy(), to_68(figures.own_axes(face.mesh)))
    moments = figures.moments(wanted)
    made = figures.Clocked(carried_portrait(image, motion, settings=CarrierSettings(life=0.0)))
    seen = figures.look(made, repeat(image), repeat(face.mesh), moments)
    row.values = {**lips(seen, wanted, BEGINS), "first": seen.first, "ms": made.per_frame, "prepare": made.spent[0] / 1000}
    row.pictures = [(seen.kept[i][0], face.mesh, seen.kept[i][1]) for i in moments]
    if args.sheets is not None:
        row.lively = [next(carried_portrait(image, motion, start=i, stop=i + 1)) for i in LIVELY if i < len(motion)]


def no_larger(image: np.ndarray, largest: int) -> np.ndarray:
    import cv2

    scale = largest / max(image.shape[:2])
    if largest <= 0 or scale >= 1:
        return image
    height, width = (round(scale * side) for side in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def shut(portrait: LandmarkTrack) -> LandmarkTrack:
    """What AToM is given: it would inherit an open mouth."""
    return LandmarkTrack(resting_face(portrait.points)[None], portrait.fps)


def lips(seen: figures.Seen, wanted: np.ndarray, begins: int = 0) -> dict[str, float]:
    """`begins`: frames in which a video leaves the photograph, whose lips may stand open: not counted."""
    got = np.array(seen.opening)[begins:]
    wanted = wanted[begins:begins + len(got)]
    sharp = [value for value in seen.sharpness if np.isfinite(value)]
    return {"r": figures.r_of(got, wanted), "amplitude": figures.amplitude(got, wanted),
            "shut": figures.reading_where_shut(got, wanted), "above": seen.above, "unseen": float(np.isnan(got).sum()),
            "sharpness": float(np.median(sharp)) if sharp else float("nan"), "untouched": float(np.mean(seen.untouched))}


# ------------------------------------------------------------------------------------------------------------------- videos

def film(row: Row, file: Path, atom: AToM, sound: Sound, args: argparse.Namespace) -> None:
    most = round(args.seconds * FPS)
    opened = partial(frames_of, file, most)
    track = tracked(opened)
    mesh = track.landmarks.mesh
    assert mesh is not None
    row.size = track.image_size
    resting = shut(canonical_landmarks(track))
    motion = speak(atom, sound, resting)
    row.frames = len(motion)
    order = ping_pong(len(track), len(motion)).tolist()
    meshes = mesh.numpy()[order]
    old = figures.openings(meshes)
    wanted = figures.fed(motion, resting.points[0].numpy(), at_rest(meshes, old))
    moments = figures.moments(wanted)
    made = figures.Clocked(carried_film(opened, motion, fps=FPS, total=len(track), track=track))
    seen = figures.look(made, walked(opened, order), iter(meshes), moments)
    got = np.array(seen.opening)
    row.values = {**lips(seen, wanted), "old": figures.r_of(got, old), "old fed": figures.r_of(wanted, old),
                  "old moves": float(np.nanstd(old)), "ms": made.per_frame, "prepare": made.spent[0] / 1000}
    row.pictures = [(seen.kept[i][0], meshes[i], seen.kept[i][1]) for i in moments]


def frames_of(file: Path, most: int, start: int) -> Iterator[np.ndarray]:
    return islice(read_frames(file, FPS, start), max(most - start, 0))


def tracked(opened: partial[Iterator[np.ndarray]]) -> FaceTrack:
    raw = track_frames(opened(0), FPS, tracker=make_tracker("people"))
    return measure(fill_missing(raw, "interpolate")[0])


def walked(opened: partial[Iterator[np.ndarray]], order: list[int]) -> Iterator[np.ndarray]:
    from talking_heads.moditalker_core.mtov.conditions import pose_walk

    return pose_walk(opened, max(order) + 1, len(order))


def at_rest(meshes: np.ndarray, old: np.ndarray) -> np.ndarray:  # [T, 478, 3], [T] -> [68, 3]
    """The face with its lips nearest to shut."""
    least = np.argsort(np.where(np.isfinite(old), old, np.inf))[:max(3, len(old) // 20)]
    return np.mean([to_68(figures.own_axes(meshes[i])) for i in least], axis=0)


if __name__ == "__main__":
    main()
