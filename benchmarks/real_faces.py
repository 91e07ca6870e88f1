"""How well real faces are found and followed: images and videos of a folder, against the tracks of MediaPipe's own FaceMesh.

    oracle/bin/python benchmarks/real_faces_reference.py FOLDER reference.npz      # in an environment of its own: see there
    python benchmarks/real_faces.py FOLDER --reference reference.npz --tracker people rendered --sheets SHEETS
    python benchmarks/real_faces.py --bad-input                                    # what comes of images without a usable face

Prints every figure per file and in total (benchmarks/results/real_faces.md says what was measured on what); with --sheets it also
draws the points and person masks. `real_faces_lists.txt` says which files show no person, which are hard, and what was seen in
them by eye. Run it with OMP_NUM_THREADS=1 on a quiet machine for its times.
"""
from __future__ import annotations

import argparse
import os
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

import common
import numpy as np
import real_faces_figures as figures
import real_faces_tables as tables
import real_faces_trackers as trackers
import torch
from talking_heads.media_core.audio import load_sound
from talking_heads.media_core.choices import TRACKERS
from talking_heads.media_core.face.mesh import layout
from talking_heads.media_core.face.mesh.nets import MeshNets, load_mesh_nets
from talking_heads.media_core.video import probe, read_frames

IMAGES, VIDEOS = {".jpg", ".jpeg", ".png", ".webp"}, {".mp4", ".mpg", ".mov", ".webm", ".mkv", ".avi"}
LISTS = Path(__file__).with_name("real_faces_lists.txt")


@dataclass
class Case:
    """One file: what is known of it, the reference, and what each tracker saw."""

    name: str
    path: Path
    words: set[str]  # of the lists
    reference: np.ndarray | None = None  # float32 [T, 68, 2] px, corrected; of an image that of the face nearest to ours
    other: np.ndarray | None = None  # the same from the reference's other looks (images) or its mirrored run (videos)
    turn: float = float("nan")  # degrees by which the head is turned to a side (videos: 95 % of frames less), by the reference
    seen: dict[str, trackers.Seen] = field(default_factory=dict)
    sound: np.ndarray | None = None  # float64 [T] log loudness


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--reference", type=Path, help="tracks of real_faces_reference.py")
    parser.add_argument("--tracker", nargs="+", choices=TRACKERS, default=["people"])
    parser.add_argument("--frames", type=int, default=250, help="of each video, at most")
    parser.add_argument("--repeats", type=int, default=3, help="of each image: the fastest counts")
    parser.add_argument("--lists", type=Path, default=LISTS, help="what is known of the files")
    parser.add_argument("--sheets", type=Path, help="folder for contact sheets")
    parser.add_argument("--only", default="", help="regular expression: the names of the files wanted")
    parser.add_argument("--keep", type=Path, help="folder that keeps what the trackers saw: the next run takes it from there")
    parser.add_argument("--bad-input", action="store_true", help="images and videos without a usable face, made here")
    args = parser.parse_args()
    torch.set_num_threads(1)
    nets = load_mesh_nets()
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, torch {torch.__version__}, one thread")
    if args.bad_input:
        import real_faces_bad

        real_faces_bad.show(args.tracker)
    if args.folder is None:
        return
    known = read_lists(args.lists)
    reference = {} if args.reference is None else np.load(args.reference)
    files = [f for f in sorted(args.folder.rglob("*")) if f.suffix.lower() in IMAGES | VIDEOS
             and re.search(args.only, f.relative_to(args.folder).as_posix())]
    stills, films = [], []
    for number, file in enumerate(files):
        name = file.relative_to(args.folder).as_posix()
        case = Case(name, file, words_of(name, known))
        if file.suffix.lower() in IMAGES:
            look_at(case, args.tracker, nets, reference, args.keep, args.repeats)
            stills.append(case)
        else:
            follow(case, args.tracker, nets, reference, args.frames, args.keep)
            films.append(case)
        common.progress_line(0)(number + 1, len(files), {"file": name}, None)
    tables.show(stills, films, args.tracker)
    print(f"peak memory {common.peak_mib():.0f} MiB")
    if args.sheets is not None:
        import real_faces_sheets

        real_faces_sheets.draw(stills, films, args.tracker, nets, args.sheets)


def read_lists(path: Path) -> list[tuple[str, set[str]]]:
    """Lines "path: word word"; # begins a remark."""
    lines = [line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines()]
    return [(flat(name), set(words.split())) for name, _, words in (line.partition(":") for line in lines if line)]


def words_of(name: str, known: Sequence[tuple[str, set[str]]]) -> set[str]:
    """What the lists say of a file. Folders do not matter: "assets/examples/a.jpg" is also found as "assets_examples_a.jpg"."""
    return set().union(*(words for wanted, words in known if flat(name).endswith(wanted)))


def flat(name: str) -> str:
    return name.strip().replace("/", "_").lower()


def look_at(case: Case, kinds: Sequence[str], nets: MeshNets, reference: Mapping[str, np.ndarray], keep: Path | None,
            repeats: int) -> None:
    for kind in kinds:
        work = lambda kind=kind: trackers.still(kind, nets, still_image(case.path), repeats)
        case.seen[kind] = trackers.kept(keep, f"{flat(case.name)}-{kind}", work)
    key = f"{case.name}/points"
    if key not in reference:
        return
    looks = figures.half_pixel_off(reference[key])  # [3, F, 478, 3]
    looks[2] = figures.half_pixel_off(reference[key][2], mirrored=True)[:, layout.MIRROR]
    own = next((seen.points[0] for seen in case.seen.values() if seen.there[0]), None)
    rows = [nearest(layout.points_68(faces), own) for faces in looks]
    if rows[0] is not None:
        case.reference = rows[0][None]
        case.other = np.stack([row for row in rows[1:] if row is not None and figures.off(row, rows[0]) < figures.ELSEWHERE]
                              or [np.full((68, 2), np.nan)])
        meshes = [mesh for mesh in looks[0] if np.allclose(layout.points_68(mesh), rows[0])]
        case.turn = float(abs(figures.turned(meshes[0])))


def still_image(path: Path) -> np.ndarray:
    from PIL import Image, ImageOps

    return np.ascontiguousarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))


def nearest(faces: np.ndarray, own: np.ndarray | None) -> np.ndarray | None:  # [F, 68, 2], [68, 2] -> [68, 2]
    """The face nearest to ours, or the largest one."""
    faces = faces[np.isfinite(faces).all((1, 2))]
    if not len(faces):
        return None
    away = -figures.eye_distance(faces) if own is None else np.linalg.norm(faces.mean(1) - own.mean(0), axis=-1)
    return faces[int(np.argmin(away))]


def follow(case: Case, kinds: Sequence[str], nets: MeshNets, reference: Mapping[str, np.ndarray], most: int,
           keep: Path | None) -> None:
    told = probe(case.path)
    fps, key, size = float(told.fps), f"{case.name}/points", (told.height, told.width)
    if key in reference:
        own = reference[f"{case.name}/size"]
        mesh = figures.resized(figures.half_pixel_off(reference[key][:most]), own, size)
        case.reference = layout.points_68(mesh)
        case.turn = float(np.nanquantile(np.abs(figures.turned(mesh)), 0.95))
        if f"{case.name}/mirrored" in reference:
            flipped = figures.half_pixel_off(reference[f"{case.name}/mirrored"][:most], mirrored=True)[:, layout.MIRROR]
            case.other = layout.points_68(figures.resized(flipped, own, size))
    if told.has_sound:
        case.sound = loudness(case.path, fps, most)
    for kind in kinds:
        work = partial(followed, case, kind, nets, fps, size, most)
        case.seen[kind] = trackers.kept(keep, f"{flat(case.name)}-{most}-{kind}", work)


def followed(case: Case, kind: str, nets: MeshNets, fps: float, size: tuple[int, int], most: int) -> trackers.Seen:
    """The face of a video; of several people the one whom the reference follows."""
    seen = trackers.film(kind, nets, frames(case.path, most), fps)
    if case.reference is None or figures.film_figures(seen.points, case.reference).elsewhere <= len(seen.points) / 2:
        return seen
    return trackers.film(kind, nets, frames(case.path, most), fps, around(case.reference, size))


def frames(path: Path, most: int) -> Iterator[np.ndarray]:
    return islice(read_frames(path), most)


def around(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:  # [T, 68, 2] -> bool [H, W]
    """Where a face is during a video."""
    mask = np.zeros(size, bool)
    (x0, y0), (x1, y1) = (np.clip(f(np.nanmean(points, 1), 0), 0, None).astype(int) for f in (np.nanmin, np.nanmax))
    half = int(np.nanmean(figures.eye_distance(points)))
    mask[max(y0 - half, 0):y1 + half, max(x0 - half, 0):x1 + half] = True
    return mask


def loudness(path: Path, fps: float, most: int) -> np.ndarray:  # [T]
    sound = load_sound(path).to_comfy()
    wave, rate = sound["waveform"].numpy()[0].mean(0), sound["sample_rate"]
    edges = (np.arange(min(most, int(len(wave) * fps / rate)) + 1) * rate / fps).astype(int)
    power = [float(np.mean(wave[a:b] ** 2)) for a, b in zip(edges, edges[1:])]
    return np.log(np.sqrt(power) + 1e-3)


if __name__ == "__main__":
    main()
