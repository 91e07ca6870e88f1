"""`talking-heads dataset motion`: what AToM and MToV learn from, made from videos, the synthetic subject or photos."""
from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ..host.workflow import WorkflowError
from ..media_core.choices import ORDERS, VOICE_ENGINES
from ..moditalker_core.choices import CROPS
from .dataset_work import in_local_processes, on_ray, workers_asked
from .devices import add_device
from .encoders import add_encoder, chosen_encoder
from .executor import is_address
from .face_options import add_tracker
from .progress_line import Info, ProgressLine, run_job

if TYPE_CHECKING:  # these import NumPy and torch
    from ..media_core.processes import Elsewhere
    from ..media_core.progress import Report
    from ..moditalker_core.data.dataset import MotionDataset

_DIVIDED = ("videos", "subject", "portraits")  # sources of many jobs
_MADE = ("people", "first_identity", "voices", "clips", "seconds", "take", "seed", "val", "captured", "engine",
         "nobody", "damage")
_ONLY = {"subject": _MADE, "portraits": _MADE,
         "videos": ("face_index", "order", "tracker")}  # options that make sense with one source only


def add_options(dataset: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Options of `talking-heads dataset`."""
    what = dataset.add_subparsers(dest="what", required=True)
    motion = what.add_parser("motion", parents=[common], help="what AToM and (with --frames) MToV learn from")
    add = motion.add_argument
    add("out", metavar="OUT", help="the folder; an interrupted build into it continues; with other settings, what no "
        "longer fits them is removed from it")
    source = motion.add_mutually_exclusive_group(required=True)
    source.add_argument("--videos", metavar="DIR", help="videos of people talking (subfolders too, one per person)")
    source.add_argument("--subject", action="store_true", help="synthetic people who speak")
    source.add_argument("--portraits", metavar="DIR", help="images of faces (subfolders too), rigged and speaking; those that "
                        "cannot be used are named. Use images of people only with their consent")
    source.add_argument("--geneface", metavar="DIR", help="GeneFace's train.data and val.data of LRS3 (for AToM)")
    source.add_argument("--hdtf", metavar="DIR", help="MoDiTalker's frames/ and keypoints/ of HDTF (for MToV; with audio/ID.wav "
                        "for AToM too); needs --frames")
    add_encoder(motion)
    add_device(add)
    add("--fps", type=float, default=25.0, help="frames per second (default: 25)")
    add("--workers", type=workers_asked, metavar="N|auto|ADDRESS", help="processes that prepare videos or clips side by side, "
        "about 1 GB each (auto: half of the cores); or the address of a Ray cluster that shares the folders, ray://HOST:10001 "
        "(needs the extra cluster). The result is the same (default: videos auto, clips 1)")
    add("--size", type=int, default=None, metavar="PX", help="of the square around the face (default: videos 512, subject 256)")
    shown = motion.add_argument_group("images for MToV")
    shown.add_argument("--frames", type=int, metavar="PX", help="also store images of the face, squares of PX px: 128 for the "
                       "demo preset, 256 for the others (default: none, which is enough for AToM)")
    shown.add_argument("--margin", type=float, metavar="FACTOR",
                       help="with --frames: the square's side over the face's (default: 1.6)")
    shown.add_argument("--crop", choices=CROPS, help="with --frames: one square for a whole clip, or one that slowly "
                       "follows the head (default: still)")
    shown.add_argument("--masks", action="store_true", help="with --frames: also find the parts of every image, which takes "
                       "longer than all else; no training here needs them")
    add("--key-mean-shape", metavar="FILE", help="with --geneface: the mean face that its offsets are put on (default: the "
        "built-in one)")
    videos = motion.add_argument_group("with --videos")
    videos.add_argument("--face-index", type=int, metavar="N", help="which face, if there are several (default: 0)")
    videos.add_argument("--order", choices=ORDERS, help="how faces are counted (default: largest)")
    add_tracker(videos.add_argument)
    made = motion.add_argument_group("with --subject or --portraits")
    made.add_argument("--people", type=int, metavar="N", help="how many (default: 24, or one for each image; more are invented "
                      "from the images)")
    made.add_argument("--first-identity", type=int, metavar="N", help="number of the first (default: 1000)")
    made.add_argument("--voices", metavar="A,B", help="who speaks: espeak-ng voices, flite:NAME, festival:NAME, with @1.1 for a "
                      "higher speaker; in English, German, French, Spanish, Italian or Dutch (default: twelve of espeak-ng)")
    made.add_argument("--clips", type=int, metavar="N", help="performances (default: one per person)")
    made.add_argument("--seconds", type=float, help="of each performance (default: 75)")
    made.add_argument("--take", type=float, metavar="SECONDS", help="seconds of each that are used (default: all)")
    made.add_argument("--seed", type=int, metavar="N", help="of the first performance (default: 0)")
    made.add_argument("--val", type=int, metavar="N", help="held-out clips for validation, the last ones (default: 2)")
    made.add_argument("--nobody", type=float, metavar="FRACTION", help="of the clips: noise, hum, music and breath without a "
                      "voice, the mouth at rest (default: 0; 0.07 keeps lips shut in noise)")
    made.add_argument("--damage", type=float, metavar="FRACTION", help="of the speech: at other levels, in rooms, over "
                      "telephones, some with noise (default: 0; 0.25 is mild)")
    made.add_argument("--captured", action="store_true", default=None, help="render and track videos, instead of exact points")
    made.add_argument("--engine", choices=VOICE_ENGINES, help="of the voice (default: auto, espeak if it is installed)")


def motion_dataset(options: argparse.Namespace) -> int:
    """Builds the folder and prints what is in it; Ctrl-C keeps what is done.

    Raises:
        WorkflowError: options that belong to the other source.
    """
    from ..moditalker_core.data.dataset import MotionDataset
    from .jobs import makeable

    source = next(name for name in ("subject", "portraits", "videos", "geneface", "hdtf") if getattr(options, name))
    for other in (name for name in _ONLY if name != source):
        wrong = [name for name in _ONLY[other] if name not in _ONLY.get(source, ()) and getattr(options, name) is not None]
        if wrong:
            raise WorkflowError(f"These options belong to --{other}: --{', --'.join(w.replace('_', '-') for w in wrong)}. "
                                f"Got: --{source}. Leave them out.")
    if options.workers is not None and source not in _DIVIDED:
        raise WorkflowError(f"--workers divides videos, portraits and the subject's clips. Got: --{source}. Leave it out.")
    if options.frames is None and (options.margin is not None or options.crop):
        raise WorkflowError("--margin and --crop describe images. Got: no --frames. Add --frames 128, or leave them out.")
    makeable(options.out)
    started = time.perf_counter()

    def show(line: ProgressLine, done: int, total: int, info: Info) -> None:
        line.show("Motion dataset", done, total, _note(info))

    def work(report: Report) -> Path:
        return _build(source, options, report)

    def show_result(folder: Path) -> None:
        _print_summary(MotionDataset.open(folder), time.perf_counter() - started)

    return run_job(work, show, show_result)


def _build(source: str, options: argparse.Namespace, report: Report) -> Path:
    if source == "geneface":
        from ..moditalker_core.data.from_geneface import build_from_geneface

        return build_from_geneface(options.geneface, options.out, key_mean_shape=options.key_mean_shape, report=report)
    encoder = chosen_encoder(options) or "mel"
    if source == "hdtf":
        from ..moditalker_core.data.from_hdtf import build_from_hdtf

        if options.frames is None:
            raise WorkflowError("--hdtf needs the size of the images. Got: no --frames. Add --frames 128 (or 256).")
        return build_from_hdtf(options.hdtf, options.out, options.frames, encoder=encoder, fps=options.fps, report=report)
    given = {name: getattr(options, name) for name in (*_ONLY[source], "fps", "size") if getattr(options, name) is not None}
    if options.frames is not None:
        from ..moditalker_core.data.images import PictureSettings

        chosen = {name: getattr(options, name) for name in ("margin", "crop", "masks") if getattr(options, name) is not None}
        given["pictures"] = PictureSettings(options.frames, **chosen)
    if source == "videos":
        from ..moditalker_core.data.from_videos import FilmPlan, build_from_videos

        asked = options.workers or "auto"
        return build_from_videos(options.videos, options.out, FilmPlan(**given), encoder=encoder, report=report,
                                 workers=_processes(asked), elsewhere=_cluster("videos", options.out, asked))
    from ..host.speech_programs import add_speech_programs
    from ..moditalker_core.data.from_subject import FIRST_IDENTITY, SubjectPlan, build_from_subject
    from ..moditalker_core.data.portraits import usable_photos

    photos, skipped = usable_photos(options.portraits, report) if source == "portraits" else ((), [])
    people = given.pop("people", len(photos) or len(SubjectPlan().identities))
    first = given.pop("first_identity", FIRST_IDENTITY)
    if "voices" in given:
        given["voices"] = tuple(name.strip() for name in given["voices"].split(",") if name.strip())
    add_speech_programs()
    plan = SubjectPlan(identities=tuple(range(first, first + people)), portraits=photos, **given)
    asked = options.workers or "1"
    elsewhere = _cluster("clips", options.out, asked)
    if elsewhere is None and _processes(asked) > 1:
        elsewhere = in_local_processes("clips", _processes(asked))
    return build_from_subject(options.out, plan, encoder=encoder, skipped=skipped, report=report, elsewhere=elsewhere)


def _processes(asked: str) -> int:
    """How many of this machine work side by side, by --workers."""
    return int(asked) if asked.isdecimal() else max(1, (os.cpu_count() or 2) // 2) if asked == "auto" else 1


def _cluster(does: str, folder: str, asked: str) -> Elsewhere | None:
    """The Ray cluster, where --workers names one."""
    return on_ray(does, folder, asked) if is_address(asked) else None


def _note(info: Info) -> str:
    if "clips" in info:
        return f"clip {info['clip']} of {info['clips']}"
    return f"video {info['number']} of {info['films']}: {info['film']}" if "films" in info else str(info.get("film", ""))


def _print_summary(dataset: MotionDataset, seconds: float) -> None:
    """What there is, and what was left out and why."""
    people = len({clip.identity for clip in dataset.clips})
    kept = ", ".join(f"{len(dataset.indices(split))} {split}" for split in ("train", "val"))
    print(f"{dataset.folder}")
    print(f"{len(dataset)} clips ({kept}) of {people} people, {dataset.frames} frames, {dataset.seconds / 60:.1f} minutes, in "
          f"{seconds:.0f} s; speech: {dataset.format}")
    sizes = [clip.picture_size for clip in dataset.clips]
    if any(sizes):
        print(f"images of {max(sizes)} x {max(sizes)} px in {sum(map(bool, sizes))} clips")
    for skipped in dataset.skipped:
        where = "frames {}-{}: ".format(skipped["frames"][0], skipped["frames"][1] - 1) if "frames" in skipped else ""
        print(f"left out: {skipped['source']}: {where}{skipped['reason']}")
