"""`talking-heads dataset motion`: what AToM and MToV learn from, made of films or of the synthetic subject."""
from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..host.workflow import WorkflowError
from .encoders import add_encoder, chosen_encoder
from .progress_line import ProgressLine, run_job

if TYPE_CHECKING:
    from ..media_core.progress import Report  # imports NumPy

_ONLY = {"subject": ("people", "first_identity", "voices", "clips", "seconds", "take", "seed", "val", "captured", "engine"),
         "videos": ("face_index", "order")}  # options that make sense with one source only


def add_options(dataset: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Options of `talking-heads dataset`."""
    what = dataset.add_subparsers(dest="what", required=True)
    motion = what.add_parser("motion", parents=[common], help="what AToM and (with --frames) MToV learn from")
    add = motion.add_argument
    add("out", metavar="OUT", help="the folder; an interrupted build into it goes on; with other settings, what does "
        "not fit them any more is removed from it")
    source = motion.add_mutually_exclusive_group(required=True)
    source.add_argument("--videos", metavar="DIR", help="films of people talking (subfolders too, one for each person)")
    source.add_argument("--subject", action="store_true", help="invented people who speak")
    add_encoder(motion)
    add("--device", default=None, help="where an encoder with weights runs, as torch names it (default: accelerator, else cpu)")
    add("--fps", type=float, default=25.0, help="film frames a second (default: 25)")
    add("--size", type=int, default=None, metavar="PX", help="of the square around the face (default: films 512, subject 256)")
    shown = motion.add_argument_group("pictures for MToV")
    shown.add_argument("--frames", type=int, metavar="PX", help="also keep pictures of the face, squares of PX px: 128 for the "
                       "demo preset, 256 for the others (default: none, which is enough for AToM)")
    shown.add_argument("--margin", type=float, help="with --frames: the square's side over the face's (default: 1.6)")
    shown.add_argument("--crop", choices=["still", "following"], help="with --frames: one square for a whole clip, or one that "
                       "goes along with the head, slowly (default: still)")
    films = motion.add_argument_group("with --videos")
    films.add_argument("--face-index", type=int, metavar="N", help="which of several faces (default: 0)")
    films.add_argument("--order", choices=["largest", "left"], help="how faces are counted (default: largest)")
    made = motion.add_argument_group("with --subject")
    made.add_argument("--people", type=int, metavar="N", help="how many (default: 24)")
    made.add_argument("--first-identity", type=int, metavar="N", help="number of the first (default: 1000)")
    made.add_argument("--voices", metavar="A,B", help="espeak-ng voices (default: twelve)")
    made.add_argument("--clips", type=int, metavar="N", help="performances (default: one for each person)")
    made.add_argument("--seconds", type=float, help="of each performance (default: 75)")
    made.add_argument("--take", type=float, metavar="S", help="seconds of each that are kept (default: all)")
    made.add_argument("--seed", type=int, help="of the first performance (default: 0)")
    made.add_argument("--val", type=int, metavar="N", help="clips to validate on, the last ones (default: 2)")
    made.add_argument("--captured", action="store_true", default=None, help="render and track films, instead of exact points")
    made.add_argument("--engine", choices=["auto", "espeak", "formant"], help="the voice's (default: espeak where it is)")


def motion_dataset(options: argparse.Namespace) -> int:
    """Builds the folder and prints what is in it; Ctrl-C keeps what was done.

    Raises:
        WorkflowError: options that belong to the other source.
    """
    from ..moditalker_core.data.dataset import MotionDataset
    from .jobs import makeable

    source = "subject" if options.subject else "videos"
    for other in set(_ONLY) - {source}:
        wrong = [name for name in _ONLY[other] if getattr(options, name) is not None]
        if wrong:
            raise WorkflowError(f"These options belong to --{other}: --{', --'.join(w.replace('_', '-') for w in wrong)}. "
                                f"Got: --{source}. Leave them out.")
    if options.frames is None and (options.margin is not None or options.crop):
        raise WorkflowError("--margin and --crop are of pictures. Got: no --frames. Add --frames 128, or leave them out.")
    makeable(options.out)
    started = time.perf_counter()

    def show(line: ProgressLine, done: int, total: int, info: Mapping[str, Any]) -> None:
        line.show("Motion data set", done, total, _note(info))

    def work(report: Report) -> Path:
        return _build(source, options, report)

    def tell(folder: Path) -> None:
        _tell(MotionDataset.open(folder), time.perf_counter() - started)

    return run_job(work, show, tell)


def _build(source: str, options: argparse.Namespace, report: Any) -> Path:
    encoder = chosen_encoder(options) or "mel"
    given = {name: getattr(options, name) for name in (*_ONLY[source], "fps", "size") if getattr(options, name) is not None}
    if options.frames is not None:
        from ..moditalker_core.data.pictures import PictureSettings

        chosen = {name: getattr(options, name) for name in ("margin", "crop") if getattr(options, name) is not None}
        given["pictures"] = PictureSettings(options.frames, **chosen)
    if source == "videos":
        from ..moditalker_core.data.from_videos import FilmPlan, build_from_videos

        return build_from_videos(options.videos, options.out, FilmPlan(**given), encoder=encoder, report=report)
    from ..moditalker_core.data.from_subject import FIRST_IDENTITY, SubjectPlan, build_from_subject

    people, first = given.pop("people", len(SubjectPlan().identities)), given.pop("first_identity", FIRST_IDENTITY)
    if "voices" in given:
        given["voices"] = tuple(name.strip() for name in given["voices"].split(",") if name.strip())
    plan = SubjectPlan(identities=tuple(range(first, first + people)), **given)
    return build_from_subject(options.out, plan, encoder=encoder, report=report)


def _note(info: Mapping[str, Any]) -> str:
    if "clips" in info:
        return f"clip {info['clip']} of {info['clips']}"
    return f"film {info['number']} of {info['films']}: {info['film']}" if "films" in info else str(info.get("film", ""))


def _tell(dataset: Any, seconds: float) -> None:
    """The summary: what there is, and what was left out and why."""
    people = len({clip.identity for clip in dataset.clips})
    kept = ", ".join(f"{len(dataset.indices(split))} {split}" for split in ("train", "val"))
    print(f"{dataset.folder}")
    print(f"{len(dataset)} clips ({kept}) of {people} people, {dataset.frames} frames, {dataset.seconds / 60:.1f} minutes, in "
          f"{seconds:.0f} s; speech: {dataset.format}")
    sizes = [clip.picture_size for clip in dataset.clips]
    if any(sizes):
        print(f"pictures of {max(sizes)} x {max(sizes)} px in {sum(map(bool, sizes))} clips")
    for skipped in dataset.skipped:
        where = "frames {}-{}: ".format(skipped["frames"][0], skipped["frames"][1] - 1) if "frames" in skipped else ""
        print(f"left out: {skipped['source']}: {where}{skipped['reason']}")
