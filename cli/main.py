"""`talking-heads`: demo | run | motion | video | capture | dataset | train | import | doctor.

Exit codes: 0 done, 1 the job failed, 2 wrong usage, 130 interrupted.

Nothing heavy is imported before a command needs it.
"""
from __future__ import annotations

import argparse
import io
import os
import sys
import traceback
from collections.abc import Sequence

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    top = argparse.ArgumentParser(prog="talking-heads", description="Talking heads from the command line, without ComfyUI.")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--debug", action="store_true", help="show tracebacks")
    common.add_argument("--base-dir", default=".", metavar="DIR", help="holds models/ and output/ (default: here)")
    commands = top.add_subparsers(dest="command", required=True)

    demo = commands.add_parser("demo", parents=[common], help="make the demo film")
    demo.add_argument("--output", default=None, metavar="PATH", help="the film (default: output/demo.mp4)")

    run = commands.add_parser("run", parents=[common], help="run a workflow, saved or API form")
    run.add_argument("workflow", metavar="WORKFLOW.json")
    run.add_argument("--set", dest="settings", action="append", default=[], metavar="NODE.INPUT=VALUE",
                     help="change a widget; NODE is a number, a title or a class that occurs once; repeatable")
    run.add_argument("--output-dir", metavar="DIR", help="where results go (default: BASE/output)")
    run.add_argument("--input-dir", metavar="DIR", help="where Load nodes look (default: the pack's demo folder)")

    run.add_argument("--pack", dest="packs", action="append", default=[], metavar="DIR", help="load another V3 node pack as well")

    _capture_options(commands.add_parser("capture", parents=[common], help="a film of a person talking to a data set folder"))

    from . import atom_jobs, avatar_training_jobs, dataset_jobs, import_jobs, motion_jobs, mtov_jobs, video_jobs

    motion_jobs.add_options(commands.add_parser("motion", parents=[common], help="speech and a portrait to 68-point motion"))
    video_jobs.add_options(commands.add_parser("video", parents=[common], help="speech and a picture or film to a talking film"))
    dataset_jobs.add_options(commands.add_parser("dataset", help="make what models learn from"), common)

    train = commands.add_parser("train", help="train a model")
    what = train.add_subparsers(dest="what", required=True)
    avatar_training_jobs.add_options(what, common)
    atom_jobs.add_options(what, common)
    mtov_jobs.add_options(what, common)

    import_jobs.add_options(commands.add_parser("import", help="published weights to the pack's own files"), common)

    doctor = commands.add_parser("doctor", parents=[common], help="what this machine has and lacks")
    doctor.add_argument("--output-dir", metavar="DIR", help="also checked for writing (default: BASE/output)")
    return top


def _capture_options(capture: argparse.ArgumentParser) -> None:
    add = capture.add_argument
    add("video", metavar="VIDEO", help="any film FFmpeg reads, with sound")
    add("out", metavar="OUT", help="the folder; an interrupted capture into it goes on; report.png in it says what to film again")
    add("--size", type=int, default=512, metavar="PX", help="sides of the frames (default: 512)")
    add("--fps", type=float, default=25.0, help="frames a second of the data set (default: 25, as the models)")
    add("--policy", default="error", choices=["error", "hold", "interpolate", "skip"],
        help="frames without a face: stop and name them (error), keep the last face (hold), go straight to the next one "
             "(interpolate), or leave them out (skip) (default: error)")
    add("--face-index", type=int, default=0, metavar="N", help="which of several faces (default: 0)")
    add("--order", default="largest", choices=["largest", "left"], help="how faces are counted (default: largest)")
    add("--focal", type=float, metavar="PX", help="the camera's focal length at the frames' size (default: 2.2 SIZE)")
    add("--smoothing", type=int, default=13, metavar="FRAMES", help="window of the poses' smoothing (default: 13)")
    add("--no-steady", dest="steady", action="store_false", help="poses from landmarks alone: no corners of skin and hair")
    add("--no-masks", dest="masks", action="store_false", help="no masks and layers: to look at, not to train on")
    add("--parsing", metavar="DIR", help="face-parsing pictures of the written frames, instead of own masks")
    add("--like", metavar="DIR", help="use crop, focal length and head of this captured data set")
    add("--au", metavar="FILE", help="action units of the film by OpenFace, py-feat, LibreFace or PyAFAR")
    add("--segment", nargs=2, metavar=("FROM", "TO"), help="seconds FROM TO, or: auto SECONDS for the best part")
    add("--encoder", default="mel", metavar="ID", help="of the speech features (default: mel)")


def _segment(given: Sequence[str] | None) -> tuple[float, float] | float | None:
    """`--segment` as the settings take it.

    Raises:
        WorkflowError: no numbers.
    """
    from ..host.workflow import WorkflowError

    if given is None:
        return None
    try:
        return float(given[1]) if given[0] == "auto" else (float(given[0]), float(given[1]))
    except ValueError as error:
        raise WorkflowError(f"--segment takes two numbers of seconds, or auto and one. Got: {' '.join(given)}. "
                            "Write for instance --segment 10 40, or --segment auto 30.") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of the console script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a console or pipe of few letters (cp1252, ascii) must not fail what is done
            stream.reconfigure(errors="backslashreplace")
    options = parser().parse_args(arguments)
    try:
        return dispatch(options)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:  # the last stop before the user: a message, and the traceback where asked for
        if options.debug:
            traceback.print_exc()
        print(f"{_plain(error)}", file=sys.stderr)
        from ..host.graph import InvalidPrompt
        from ..host.workflow import WorkflowError

        return USAGE if isinstance(error, WorkflowError) and not isinstance(error, InvalidPrompt) else FAILED


def _plain(error: Exception) -> str:
    """Our own errors as they are; others with their type, which says more than "'x'"."""
    from ..host.workflow import WorkflowError
    from ..media_core.errors import TalkingHeadsError

    ours = isinstance(error, (TalkingHeadsError, WorkflowError))
    return str(error) if ours else f"{type(error).__name__}: {error} (--debug shows where)"


def dispatch(options: argparse.Namespace) -> int:
    """Runs the chosen command."""
    base = os.path.abspath(options.base_dir)
    if options.command == "doctor":
        from .doctor import doctor

        return doctor(base, options.output_dir or os.path.join(base, "output"))
    if options.command == "motion":
        from .motion_jobs import make_motion

        return make_motion(options)
    if options.command == "video":
        from .video_jobs import make_video

        return make_video(options)
    if options.command == "dataset":
        from .dataset_jobs import motion_dataset

        return motion_dataset(options)
    if options.command == "import":
        from .import_jobs import import_checkpoint

        return import_checkpoint(options)
    from . import jobs

    if options.command == "demo":
        return jobs.run_demo(options.output or os.path.join(base, "output", "demo.mp4"), base_dir=base, debug=options.debug)
    if options.command == "run":
        return jobs.run_workflow(options.workflow, options.settings, base_dir=base, output_dir=options.output_dir,
                                 input_dir=options.input_dir, packs=options.packs, debug=options.debug)
    if options.command == "capture":
        names = ("size", "fps", "policy", "face_index", "order", "focal", "smoothing", "steady", "masks", "parsing", "like",
                 "encoder")
        chosen = {name: getattr(options, name) for name in names}
        return jobs.capture_film(options.video, options.out, {**chosen, "segment": _segment(options.segment),
                                                              "expression": options.au})
    if options.what == "atom":
        from .atom_jobs import train_atom

        return train_atom(options)
    if options.what == "mtov":
        from .mtov_jobs import train_mtov

        return train_mtov(options)
    from .avatar_training_jobs import train_avatar

    return train_avatar(options)


if __name__ == "__main__":
    sys.exit(main())
