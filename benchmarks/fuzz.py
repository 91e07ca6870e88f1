"""Damaged files of every kind that the pack reads: each must be read or refused with the pack's own error.

    python benchmarks/fuzz.py --inputs 100000 --jobs 2 --out benchmarks/results/fuzz.md [--seed 0] [--only avatar tracks ...]

One process a format (tests/fuzz/attack.py) with 5 s for an input and 4 GB of address space above its own; one that dies or
answers to nothing is counted as a crash and started again behind that input. What came of each input is kept in --work, so that
the same command goes on where it was stopped, and a larger --inputs only adds to it. Ends with 1 when anything else than an
answer or the pack's own error was seen. Linux.
"""
from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

from common import ROOT, talking_heads  # noqa: F401  (talking_heads: makes the package importable)

sys.path.insert(0, str(ROOT / "tests"))

from fuzz.formats import FORMATS  # noqa: E402
from fuzz.seeds import Shared  # noqa: E402

ATTACK = ROOT / "tests" / "fuzz" / "attack.py"
HANGS = 60.0   # s without a finished input (5 s each) after which a process is killed
BEGINS = 300.0  # s that it may take to its first one: libraries are loaded and compiled
STARTS = 5     # crashes in a row of one format before it is given up
KINDS = ("ok", "clear", "foreign", "slow", "crash")
SHOWN = 10     # kinds of faults of a format that the table's notes tell


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=100_000, help="of all formats together")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", choices=sorted(FORMATS), metavar="FORMAT", help=", ".join(sorted(FORMATS)))
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "fuzz.md")
    parser.add_argument("--work", type=Path, help="for whole files and outcomes; default: a temporary folder of this seed")
    args = parser.parse_args()
    names = args.only or sorted(FORMATS)
    work = args.work or Path(tempfile.gettempdir()) / f"talking_heads_fuzz_{args.seed}"
    work.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    make_seeds(names, work)
    total = sum(FORMATS[name].weight for name in names)
    counts = {name: max(1, round(args.inputs * FORMATS[name].weight / total)) for name in names}
    longest_first = sorted(names, key=lambda name: FORMATS[name].weight)  # slow ones have little weight
    with ThreadPoolExecutor(args.jobs) as pool:
        for future in [pool.submit(attack, name, args.seed, counts[name], work) for name in longest_first]:
            future.result()
    found = {name: outcomes(work / f"{name}.jsonl", counts[name]) for name in names}
    text = report(found, args, time.monotonic() - begin)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(text, encoding="utf-8")
    print(text)
    return int(any(line["o"] not in ("ok", "clear") for lines in found.values() for line in lines))


def make_seeds(names: list[str], work: Path) -> None:
    """The whole files, where an earlier run has not left them."""
    shared = Shared(work)
    for name in names:
        folder = work / "whole" / name
        if not (work / f"{name}.made").exists():
            folder.mkdir(parents=True, exist_ok=True)
            FORMATS[name].make(folder, shared)
            (work / f"{name}.made").touch()


def attack(name: str, seed: int, count: int, work: Path) -> None:
    """Inputs 0..count-1 of a format, in as many processes as it takes."""
    results, crashes = work / f"{name}.jsonl", 0
    while (done := len(outcomes(results, count))) < count and crashes < STARTS:
        command = [sys.executable, str(ATTACK), name, str(seed), str(done), str(count), str(work / "whole" / name), str(results)]
        told = watched(command, results)
        reached = len(outcomes(results, count))
        if reached < count:  # it died, or had to be killed, over the input behind the last one
            crashes = 0 if reached > done else crashes + 1
            line = {"i": reached, "o": "crash", "s": 0.0, "m": 0, "b": 0, "e": told}
            with results.open("a", encoding="utf8") as file:
                file.write(json.dumps(line) + "\n")
        print(f"{name}: {len(outcomes(results, count))} of {count}", file=sys.stderr, flush=True)


def watched(command: list[str], results: Path) -> str:
    """Runs a process; kills it when nothing is finished for too long. Returns how it ended."""
    threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS", "NUMBA")}
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors, env=os.environ | threads)
        first = results.stat().st_size if results.exists() else 0
        size, since = first, time.monotonic()
        while process.poll() is None:
            time.sleep(0.2)
            now = results.stat().st_size if results.exists() else 0
            if now != size:
                size, since = now, time.monotonic()
            elif time.monotonic() - since > (HANGS if size > first else BEGINS):
                process.kill()
                process.wait()
                return "did not answer and was killed"
        errors.seek(max(0, errors.seek(0, os.SEEK_END) - 4000))
        last = errors.read().decode("utf8", "replace").strip().rpartition("\n")[2]
    how = signal.Signals(-process.returncode).name if process.returncode < 0 else f"status {process.returncode}"
    return f"process ended with {how}: {last[:160]}"


def outcomes(path: Path, count: int) -> list[dict]:
    """What is known of inputs 0..count-1; a line that a stopped run cut off does not count."""
    lines = []
    if path.exists():
        content = path.read_text("utf8")
        whole = content[:content.rfind("\n") + 1]
        if whole != content:
            path.write_text(whole, encoding="utf8")
        lines = [json.loads(line) for line in whole.splitlines()]
    return lines[:count]


def report(found: dict[str, list[dict]], args: argparse.Namespace, seconds: float) -> str:
    import torch

    inputs = sum(map(len, found.values()))
    command = "python benchmarks/fuzz.py " + shlex.join(sys.argv[1:])
    rows = [row(name, lines) for name, lines in found.items()]
    everything = [line for lines in found.values() for line in lines]
    work = sum(line["s"] for line in everything)
    notes = [f"- **{name}**: " + "; ".join(f"{times} x {told}" for told, times in kinds.most_common(SHOWN))
             for name, lines in found.items() if (kinds := faults(lines))]
    return "\n".join([
        "# Damaged files", "",
        f"{date.today()}, {platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}, "
        f"torch {torch.__version__}; `{command}`; {inputs} inputs, {work:.0f} s of reading in {seconds:.0f} s.", "",
        "ok: read; clear: refused with the pack's own error; foreign: another exception; slow: not done in 5 s; crash: the "
        "process died. Weight: the format's share of the inputs. Peak MB: of its process, and by how much it rose while reading.",
        "", f"| format | weight | tried | {' | '.join(KINDS)} | slowest s | peak MB |", f"|{'---|' * (len(KINDS) + 5)}", *rows,
        row("all", everything), "", *(["What is neither (a place is the last line of ours):", "", *notes] if notes else
                                      ["Nothing but answers and the pack's own errors."]), ""])


def row(name: str, lines: list[dict]) -> str:
    kinds = Counter(line["o"] for line in lines)
    slowest, peak = (max((line[key] for line in lines), default=0) for key in ("s", "m"))
    rise = max((line["m"] - line["b"] for line in lines), default=0)
    weight = FORMATS[name].weight if name in FORMATS else ""
    cells = (name, weight, len(lines), *(kinds[kind] for kind in KINDS), f"{slowest:.2f}", f"{peak} (+{rise})")
    return f"| {' | '.join(map(str, cells))} |"


def faults(lines: list[dict]) -> Counter:
    """What was raised that should not have been, and how often; the numbers of inputs stand in the outcomes."""
    return Counter(line["e"] for line in lines if line["o"] not in ("ok", "clear"))


if __name__ == "__main__":
    sys.exit(main())
