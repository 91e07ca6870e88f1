"""Long runs: memory, open files, temporary files and colours over hours; and what a killed run costs.

    python benchmarks/soak.py avatar [--hours 3] [--size 128]
    python benchmarks/soak.py portrait [--minutes 30] [--size 128] [--carrier picture | redraw]
    python benchmarks/soak.py atom [--minutes 30]
    python benchmarks/soak.py server [--prompts 500]
    python benchmarks/soak.py kill [--minutes 10] [--kills 3]
    python benchmarks/soak.py report

Each soak works in a process of its own, keeps its figures in the work folder (--work) and writes benchmarks/results/soak.md
from all that are there; `report` only writes. Memory counts from 5 % of the work on. Linux; one thread; a busy machine does no
harm.
"""
from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

from common import ROOT, results_folder, talking_heads  # noqa: F401  (talking_heads: makes the package importable)

FLAT = 1.05  # wanted of memory at the end, times that after warming up
DRIFT = {"avatar": 0.5, "picture": 1.0, "redraw": 1.0}  # of 255, wanted at most
SHOWN = 6  # looks in the table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("soak", choices=["avatar", "portrait", "atom", "server", "kill", "report"])
    parser.add_argument("--work", type=Path, default=ROOT / "output" / "soak")
    parser.add_argument("--hours", type=float, default=3.0, help="of the avatar")
    parser.add_argument("--minutes", type=float, help="of the portrait (30), of the motion (30), of the killed video (10)")
    parser.add_argument("--size", type=int, default=128, help="px")
    parser.add_argument("--carrier", choices=["picture", "redraw"], default="picture")
    parser.add_argument("--prompts", type=int, default=500)
    parser.add_argument("--kills", type=int, default=3)
    args = parser.parse_args()
    if args.soak != "report":
        name = args.carrier if args.soak == "portrait" else args.soak
        found = {"date": date.today().isoformat(), "command": _command(args), **measured(args, name)}
        args.work.mkdir(parents=True, exist_ok=True)
        (args.work / f"{name}.json").write_text(json.dumps(found))
    kept = {path.stem: json.loads(path.read_text()) for path in sorted(args.work.glob("*.json"))}
    text = report(kept)
    print(text)
    results_folder().joinpath("soak.md").write_text(text, encoding="utf-8")


def _command(args: argparse.Namespace) -> str:
    more = {"avatar": f"--hours {args.hours:g} --size {args.size}", "atom": f"--minutes {args.minutes or 30:g}",
            "portrait": f"--minutes {args.minutes or 30:g} --size {args.size} --carrier {args.carrier}",
            "server": f"--prompts {args.prompts}", "kill": f"--minutes {args.minutes or 10:g} --kills {args.kills}"}
    return f"python benchmarks/soak.py {args.soak} {more[args.soak]}"


def measured(args: argparse.Namespace, name: str) -> dict[str, Any]:
    """The figures of a soak."""
    if name == "server":
        from soak_server import server

        return server(args.work / name, args.prompts, 1.0)
    if name == "kill":
        from soak_server import kill

        return kill(args.work / name, 60 * (args.minutes or 10), args.size, args.kills)
    seconds = 3600 * args.hours if name == "avatar" else 60 * (args.minutes or 30)
    command = [sys.executable, str(Path(__file__).with_name("soak_videos.py")), name, str(args.work / name), str(seconds),
               "--size", str(args.size)]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True,
                          env={**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}).stdout
    return json.loads(said.splitlines()[-1])


def report(kept: dict[str, dict[str, Any]]) -> str:
    """The page."""
    lines = ["# Long runs", "", f"{platform.machine()}, {os.cpu_count()} cores, CPU only; the demo speech over and over, the "
             "demo avatar, the demo portrait, one thread each, on a machine that did other work too: times say little, and "
             "memory, files and colours do not mind.", "",
             f"Memory is what is resident, from 5 % of the work on; wanted at the end: at most {FLAT:g} times that. Drift is how "
             "far the mean colour of the last minute is from that of the first on equal motion, and the largest difference of "
             "two frames' mean colours, of 255.", ""]
    names = {"avatar": "Avatar", "picture": "Portrait, carrier picture", "redraw": "Portrait, carrier redraw",
             "atom": "AToM alone", "server": "Server"}
    for name, title in names.items():
        if name in kept:
            lines += _soak(title, kept[name], DRIFT.get(name))
    if "kill" in kept:
        lines += _killed(kept["kill"])
    return "\n".join(lines)


def _soak(title: str, found: dict[str, Any], bound: float | None) -> list[str]:
    looks = found["looks"]
    unit = "prompts" if "prompts" in found else "frames"
    shown = [looks[round(i * (len(looks) - 1) / (SHOWN - 1))] for i in range(SHOWN)]
    grown = looks[-1]["memory"] - looks[0]["memory"]
    rows = [(f"{unit}", f"{looks[-1]['done']}", ""), ("hours it took", f"{found['seconds'] / 3600:.2f}", ""),
            ("memory, end / after warming up", f"{found['growth']:.4f} ({grown:+.1f} MiB)",
             _met(found["growth"] <= FLAT, f"<= {FLAT:g}")),
            ("largest memory seen since / after warming up", f"{found['largest']:.4f}", ""),
            ("peak memory of all, before warming up too, MiB", f"{found['peak']:.0f}", ""),
            ("open files more at the end", f"{found['handles']}", _met(found["handles"] <= 0, "none")),
            ("temporary files left", f"{len(found['left'])}", _met(not found["left"], "none"))]
    if "temporary" in found:
        rows.append(("files in the server's temporary folder, at each look", ", ".join(map(str, found["temporary"])), ""))
    if bound is not None:
        drift = found["drift"]
        rows += [("drift of the mean colour, of 255", f"{drift['colour']:.4f}", _met(drift["colour"] <= bound, f"<= {bound:g}")),
                 ("largest difference of two frames' mean colours", f"{drift['frame']:.3f}", "")]
    return [f"## {title}", "", f"{found['date']}; `{found['command']}`.", "",
            "| " + " | ".join([unit, *(f"{look['done']}" for look in shown)]) + " |", "|---" * (SHOWN + 1) + "|",
            "| " + " | ".join(["memory, MiB", *(f"{look['memory']:.1f}" for look in shown)]) + " |",
            "| " + " | ".join(["open files", *(f"{look['handles']}" for look in shown)]) + " |", "",
            "| figure | value | wanted |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows), ""]


def _killed(found: dict[str, Any]) -> list[str]:
    lost = [one["made"] - one["kept"] for one in found["kills"]]
    lines = ["## Killed runs", "", f"{found['date']}; `{found['command']}`. `talking-heads avatar --resume` of "
             f"{found['length'] / 60:g} min of speech in chunks of {found['chunk']} frames, killed by SIGKILL at moments of "
             "chance; every run goes on from what the one before it had kept.", "",
             "| kill | frames of the video that were made | kept | lost |", "|---|---|---|---|"]
    lines += [f"| {number} | {one['made']} | {one['kept']} | {less} |"
              for number, (one, less) in enumerate(zip(found["kills"], lost), 1)]
    yes = "yes" if found["equal"] else "no"
    return [*lines, "", "| figure | value | wanted |", "|---|---|---|",
            f"| most frames lost by a kill | {max(lost)} | {_met(max(lost) <= found['chunk'], 'a chunk at most')} |",
            f"| equal to an undisturbed run's video, byte by byte | {yes} | {_met(found['equal'], 'yes')} |",
            f"| files left | {len(found['left'])} | {_met(not found['left'], 'none')} |", ""]


def _met(ok: bool, wanted: str) -> str:
    return f"{wanted}: {'met' if ok else '**NOT met**'}"


if __name__ == "__main__":
    main()
