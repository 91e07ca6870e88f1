"""`talking-heads`: demo, run, motion, video, avatar, batch, live, basis, capture, subject, dataset, train, import, export,
evaluate, doctor, serve.

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

    demo = commands.add_parser("demo", parents=[common], help="make the demo video")
    demo.add_argument("--output", default=None, metavar="PATH", help="the video (default: output/demo.mp4)")

    run = commands.add_parser("run", parents=[common], help="run a workflow (saved or API format)")
    run.add_argument("workflow", metavar="WORKFLOW.json", help="as ComfyUI saves or exports it")
    run.add_argument("--set", dest="settings", action="append", default=[], metavar="NODE.INPUT=VALUE",
                     help="change a widget; NODE is an id, or a title or class that occurs once; repeatable")
    run.add_argument("--output-dir", metavar="DIR", help="where results go (default: BASE/output)")
    run.add_argument("--input-dir", metavar="DIR", help="where Load nodes look (default: the pack's demo files)")
    run.add_argument("--pack", dest="packs", action="append", default=[], metavar="DIR", help="load another V3 node pack as well")

    from . import (
        atom_jobs,
        avatar_jobs,
        avatar_training_jobs,
        basis_jobs,
        batch_jobs,
        capture_jobs,
        causal_jobs,
        dataset_jobs,
        evaluate_jobs,
        export_jobs,
        import_jobs,
        live_jobs,
        motion_jobs,
        mtov_jobs,
        serve_jobs,
        subject_jobs,
        video_jobs,
    )
    from .executor import add_chunk_workers

    capture_jobs.add_options(commands.add_parser("capture", parents=[common],
                                                 help="a video of a person talking to a dataset folder"))
    motion_jobs.add_options(commands.add_parser("motion", parents=[common], help="speech and a portrait to 68-point motion"))
    for name, jobs, does in (("video", video_jobs, "speech and an image or video to a talking video"),
                             ("avatar", avatar_jobs, "speech and an avatar to a talking video")):
        one = commands.add_parser(name, parents=[common], help=does)
        jobs.add_options(one)
        add_chunk_workers(one.add_argument)
    batch_jobs.add_options(commands.add_parser("batch", parents=[common], help="many talking videos from a list of jobs"))
    basis_jobs.add_options(commands.add_parser("basis", parents=[common],
                                               help="an avatar's linear basis, for faster rendering, into its file"))
    live_jobs.add_options(commands.add_parser("live", parents=[common],
                                              help="an avatar speaks along with a microphone or file, in real time"))
    subject_jobs.add_options(commands.add_parser("subject", parents=[common],
                                                 help="one photo to a talking person, as a dataset folder"))
    dataset_jobs.add_options(commands.add_parser("dataset", help="make a dataset for training"), common)

    train = commands.add_parser("train", help="train a model")
    what = train.add_subparsers(dest="what", required=True)
    avatar_training_jobs.add_options(what, common)
    causal_jobs.add_options(what, common)
    atom_jobs.add_options(what, common)
    mtov_jobs.add_options(what, common)

    import_jobs.add_options(commands.add_parser("import", help="official weights to the pack's own files"), common)

    export_jobs.add_options(commands.add_parser("export", parents=[common],
                                                help="an avatar to a page that speaks, or to other programs' files"))

    evaluate_jobs.add_options(commands.add_parser("evaluate", parents=[common],
                                                  help="measure a finished video, against its truth and its speech"))

    doctor = commands.add_parser("doctor", parents=[common], help="what this machine has and what is missing")
    doctor.add_argument("--output-dir", metavar="DIR", help="also checked for writing (default: BASE/output)")

    serve_jobs.add_options(commands.add_parser("serve", parents=[common],
                                               help="ComfyUI's page with this pack's nodes, on a machine without ComfyUI"))
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of the console script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a console with a small character set (cp1252, ascii) must not fail a job
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
        print(f"{plain(error)}", file=sys.stderr)
        from ..host.graph import InvalidPrompt
        from ..host.workflow import WorkflowError

        return USAGE if isinstance(error, WorkflowError) and not isinstance(error, InvalidPrompt) else FAILED


def plain(error: Exception) -> str:
    """What the user reads: our own errors as they are; others with their type, which says more than "'x'"."""
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
    if options.command == "serve":
        from .serve_jobs import serve_page

        return serve_page(options)
    if options.command == "motion":
        from .motion_jobs import make_motion

        return make_motion(options)
    if options.command == "video":
        from .video_jobs import make_video

        return make_video(options)
    if options.command == "capture":
        from .capture_jobs import capture_video

        return capture_video(options)
    if options.command == "subject":
        from .subject_jobs import make_subject

        return make_subject(options)
    if options.command == "dataset":
        from .dataset_jobs import motion_dataset

        return motion_dataset(options)
    if options.command == "import":
        from .import_jobs import import_checkpoint

        return import_checkpoint(options)
    if options.command == "export":
        from .export_jobs import export_avatar

        return export_avatar(options)
    if options.command == "evaluate":
        from .evaluate_jobs import evaluate_video

        return evaluate_video(options)
    if options.command == "avatar":
        from .avatar_jobs import make_avatar_video

        return make_avatar_video(options)
    if options.command == "batch":
        from .batch_jobs import run_batch

        return run_batch(options)
    if options.command == "basis":
        from .basis_jobs import fit_basis

        return fit_basis(options)
    if options.command == "live":
        from .live_jobs import play_live

        return play_live(options)
    from . import jobs

    if options.command == "demo":
        return jobs.run_demo(options.output or os.path.join(base, "output", "demo.mp4"), base_dir=base, debug=options.debug)
    if options.command == "run":
        return jobs.run_workflow(options.workflow, options.settings, base_dir=base, output_dir=options.output_dir,
                                 input_dir=options.input_dir, packs=options.packs, debug=options.debug)
    if options.what == "atom":
        from .atom_jobs import train_atom

        return train_atom(options)
    if options.what == "mtov":
        from .mtov_jobs import train_mtov

        return train_mtov(options)
    if options.what == "causal":
        from .causal_jobs import train_causal

        return train_causal(options)
    from .avatar_training_jobs import train_avatar

    return train_avatar(options)


if __name__ == "__main__":
    sys.exit(main())
