"""Several workers, measured (1, 2 and 4 on Ray) and modelled (1 to 1000): throughput, where it stops growing and why, and cost.

    python benchmarks/scale.py [--lines 16] [--size 128] [--repeats 2]

Measures what a video costs in plain processes, alone and beside others, and what Ray costs with no work at all; from these
alone the model (`scale_model.py`) says how long a batch takes on 1, 2 and 4 workers, and `talking-heads batch --workers` is timed
against it. Then the model goes on to 1000 workers, with the assumptions that the page states. For a quiet machine; some minutes.
Writes benchmarks/results/scale.md.
"""
from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import scale_measure as measure
from common import ROOT, results_folder
from scale_model import Costs, Outcome, Place, alternatives, simulated

WORKERS = (1, 2, 4)
BOUND = 0.15  # wanted: the prediction is as near as that
SHORT, LONG = 2.0, 10.0  # s of speech: two lengths tell what a video costs from what a frame costs
SEEDS = range(5)
MOST = 1000
# Assumptions beyond this machine, as the page states them.
CORES, NETWORK, PRICE = 16, 1.25e8, 0.05  # of a machine; bytes per second of the shared storage; dollars per core and hour
MINUTE, EACH, RANGES, HOUR = 1500, 10, 4, 90_000  # frames; lines for each worker; frame ranges for each; frames of one video
FASTER = 10  # times, of a GPU that nobody has measured here
STOPS = 0.5  # of the ideal throughput


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=ROOT / "output" / "scale")
    parser.add_argument("--lines", type=int, default=16)
    parser.add_argument("--size", type=int, default=128, help="px")
    parser.add_argument("--repeats", type=int, default=2, help="of each batch")
    parser.add_argument("--note", default="", help="what else the machine did, for the page")
    parser.add_argument("--again", action="store_true", help="measure again, although figures are there")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    text = report(args, measured(args, args.work / "figures.json"))
    print(text)
    results_folder().joinpath("scale.md").write_text(text, encoding="utf-8")


def measured(args: argparse.Namespace, kept: Path) -> dict[str, Any]:
    """Everything that takes time: first what the model knows, then what it is checked against. A run that is cut off goes on."""
    lengths = [60.0, *(3.0 + 7.0 * (number * 5 % 8) / 7 for number in range(1, args.lines))]  # s: a minute, and 3 to 10 s
    audio, other = measure.speech(args.work, lengths), args.work / "other"
    other.mkdir(exist_ok=True)
    steps: dict[str, Callable[[], Any]] = {
        "short": lambda: measure.unit_costs(args.work / "short", SHORT, args.size),
        **{f"long{n}": partial(measure.unit_costs, args.work / "long", LONG, args.size, n) for n in WORKERS},
        "ray": measure.handing, "note": lambda: measure.noting(other), "import": lambda: measure.imported(other),
        "one": lambda: measure.one_video(other, 60.0, args.size),
        **{f"batch{n} {again}": partial(measure.batch, args.work, audio, args.size, n)
           for again in range(args.repeats) for n in WORKERS},
        "lengths": lambda: lengths, "weights": lambda: measure.AVATAR.stat().st_size, "date": lambda: date.today().isoformat()}
    found = json.loads(kept.read_text()) if kept.exists() and not args.again else {}
    for name, step in steps.items():
        if name not in found:
            found[name] = step()
            print(f"{name}: {found[name]}", file=sys.stderr, flush=True)
            kept.write_text(json.dumps(found))
    return {**found, "long": {str(n): found[f"long{n}"] for n in WORKERS},
            "batch": {str(n): [found[f"batch{n} {again}"] for again in range(args.repeats)] for n in WORKERS}}


def costs_of(found: dict[str, Any]) -> Costs:
    """What the model is given of the measurements."""
    walls = {name: statistics.median(rows[0]["wall"]) for name, rows in (("short", found["short"]), ("long", found["long"]["1"]))}
    frame = (walls["long"] - walls["short"]) / ((LONG - SHORT) * measure.FPS)
    unit = max(0.0, walls["short"] - frame * SHORT * measure.FPS)
    spread = statistics.stdev(found["long"]["1"][0]["wall"]) / statistics.mean(found["long"]["1"][0]["wall"])
    ray, one = found["ray"], found["long"]["1"][0]
    return Costs(unit=unit, frame=frame, spread=spread, first=found["short"][0]["first"] - walls["short"], start=ray["start"],
                 begin=found["import"] + ray["join"], end=ray["end"], hand=ray["unit"] + found["note"], create=0.0,
                 weights=found["weights"], read=one["read"] / (LONG * measure.FPS), written=one["bytes"] / (LONG * measure.FPS))


def place_of(found: dict[str, Any]) -> Place:
    """This machine; a unit takes longer where all its cores work."""
    both = statistics.mean(value for one in found["long"]["2"] for value in one["wall"])
    return Place(cores=os.cpu_count() or 1, crowding=max(1.0, both / statistics.mean(found["long"]["1"][0]["wall"])))


def predicted(found: dict[str, Any], workers: int) -> float:
    """Seconds of the batch that is measured."""
    costs, place = costs_of(found), replace(place_of(found), per_machine=workers)
    if workers == 1:  # in the command's own process, without Ray
        costs = replace(costs, begin=found["import"], start=0.0, end=0.0, hand=found["note"])
    frames = [round(seconds * measure.FPS) for seconds in found["lengths"]]
    return statistics.mean(simulated(costs, place, workers, frames, seed=seed).seconds for seed in SEEDS)


def report(args: argparse.Namespace, found: dict[str, Any]) -> str:
    """The page."""
    lines = ["# Several workers", "", f"{found['date']}, {platform.machine()}, {os.cpu_count()} cores, CPU only; `python "
             f"benchmarks/scale.py --lines {args.lines} --size {args.size} --repeats {args.repeats}`; the demo avatar at "
             f"{args.size} px, one thread for each worker.{f' {args.note}.' if args.note else ''}", ""]
    return "\n".join([*lines, *_costs(found), *_checked(found), *_beyond(found), *_price(found)])


def _costs(found: dict[str, Any]) -> list[str]:
    costs, place, one = costs_of(found), place_of(found), found["one"]
    four = statistics.mean(value for each in found["long"]["4"] for value in each["wall"])
    alone = statistics.mean(found["long"]["1"][0]["wall"])
    rows = [("a video, whatever its length, s", f"{costs.unit:.3f}"), ("a frame, s", f"{costs.frame:.5f}"),
            ("spread of a unit's time", f"{100 * costs.spread:.1f} %"),
            ("a worker's first video besides (libraries, weights, kernels), s", f"{costs.first:.2f}"),
            ("the command, s", f"{found['import']:.2f}"), ("Ray starts here, s", f"{found['ray']['join']:.2f}"),
            ("two workers' processes start, s", f"{costs.start:.2f}"), ("Ray ends, s", f"{costs.end:.2f}"),
            ("a unit is handed out and comes back, without work, s", f"{found['ray']['unit']:.4f}"),
            ("its line in the report, s", f"{found['note']:.4f}"),
            ("bytes read and written for a frame", f"{costs.read:.0f}, {costs.written:.0f}"),
            ("bytes of the weights", f"{costs.weights:.0f}"),
            ("a unit's time beside another one on these two cores", f"{place.crowding:.2f} times"),
            (f"beside three others (the model: {place.slowness(4):.2f})", f"{four / alone:.2f} times"),
            ("of one video: to listen, for each frame of the whole, s", f"{one['listen']:.6f}"),
            ("of one video: to join chunks, for each frame, s", f"{one['join']:.6f}")]
    return ["## What things cost", "", "Measured in plain processes, and of Ray with units that do nothing.", "",
            "| cost | measured |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows), ""]


def _checked(found: dict[str, Any]) -> list[str]:
    """Measured against predicted."""
    frames = sum(round(seconds * measure.FPS) for seconds in found["lengths"])
    lines = ["## Measured and predicted", "", f"`talking-heads batch --workers N`, {len(found['lengths'])} lines, the first one "
             f"of a minute, the others of 3 to 10 s, {frames} frames, from the command to its end; the median of "
             f"{len(found['batch']['1'])} runs.", "",
             "| workers | s | frames per second | times one worker | predicted s | off | wanted |", "|---" * 7 + "|"]
    base = statistics.median(found["batch"]["1"])
    for workers in WORKERS:
        took, said = statistics.median(found["batch"][str(workers)]), predicted(found, workers)
        off = said / took - 1
        met = "met" if abs(off) <= BOUND else "**NOT met**"
        lines.append(f"| {workers} | {took:.1f} | {frames / took:.1f} | {base / took:.2f} | {said:.1f} | {100 * off:+.1f} % | "
                     f"within {100 * BOUND:.0f} %: {met} |")
    return [*lines, "", "One worker is the command's own process, without Ray. More workers than cores gain nothing: they only "
            "start later.", ""]


def _beyond(found: dict[str, Any]) -> list[str]:
    """To 1000 workers."""
    costs = costs_of(found)
    place = Place(CORES, place_of(found).crowding, NETWORK, NETWORK)
    video = replace(costs, listen=found["one"]["listen"], join=found["one"]["join"], read=0.0)
    cases = {
        f"Lines of a minute, {EACH} for each worker": (costs, lambda workers: [MINUTE] * EACH * workers, 0),
        f"The same where a frame takes a {FASTER}th of the time": (
            replace(costs, frame=costs.frame / FASTER), lambda workers: [MINUTE] * EACH * workers, 0),
        f"One video of an hour, {RANGES} frame ranges for each worker": (
            video, lambda workers: _ranges(min(RANGES * workers, HOUR)), HOUR)}
    lines = ["## Beyond this machine", "", f"The model's, not measured: machines of {CORES} such cores, a worker for each core, "
             f"all of them reading from and writing to one storage of {NETWORK / 1e6:.0f} MB per second, one cluster that runs "
             "already; costs as above. Efficiency: frames per second of a worker, as a fraction of one that has been going for "
             "ever.", ""]
    for title, (what, frames, whole) in cases.items():
        lines += [f"### {title}", "", "| workers | minutes of video per minute | efficiency | handing out | storage |",
                  "|---|---|---|---|---|"]
        rows = [(workers, *_run(what, place, workers, frames(workers), whole)) for workers in alternatives(MOST)]
        lines += [f"| {workers} | {rate / 25:.1f} | {100 * efficiency:.0f} % | {100 * outcome.handing:.0f} % | "
                  f"{100 * outcome.network:.0f} % |" for workers, rate, efficiency, outcome in rows]
        lines += ["", _stops(rows), ""]
    return lines


def _run(costs: Costs, place: Place, workers: int, frames: Sequence[int], whole: int) -> tuple[float, float, Outcome]:
    """(frames per second, as a fraction of what so many workers would make at best, how it went)."""
    outcome = simulated(replace(costs, begin=0.0), place, workers, frames, whole=whole)
    rate = sum(frames) / outcome.seconds
    return rate, rate * (costs.frame + costs.unit / MINUTE) / workers, outcome


def _ranges(count: int) -> list[int]:
    """One video's frames in that many parts."""
    return [HOUR * (number + 1) // count - HOUR * number // count for number in range(count)]


def _stops(rows: Sequence[tuple[int, float, float, Outcome]]) -> str:
    """Where it stops growing, and why."""
    good = [workers for workers, _, efficiency, _ in rows if efficiency >= STOPS]
    best = max(rows, key=lambda row: row[1])
    last = rows[-1][3]
    shares = {"handing out": last.handing, "the storage": last.network}
    name, share = max(shares.items(), key=lambda item: item[1])
    why = f"at {rows[-1][0]} workers {name} is busy for {100 * share:.0f} % of the time" if share > 0.5 else \
        "what is left is what every worker does for itself (its start, the weights, listening to the whole) and the join"
    half = f"Above {STOPS:.0%} efficiency up to {good[-1]} workers" if good else f"Below {STOPS:.0%} efficiency everywhere"
    return f"{half}; most throughput at {best[0]}; {why}."


def _price(found: dict[str, Any]) -> list[str]:
    costs, crowding = costs_of(found), place_of(found).crowding
    seconds = (costs.unit + MINUTE * costs.frame) * crowding
    dollars = PRICE / 3600 * seconds
    return ["## Cost of a finished minute", "", "    price of a core and hour / 3600 x (a video + 1500 x a frame) x crowding / "
            "efficiency", "", f"With all cores of a machine at work and an efficiency of 1: {seconds:.1f} core seconds, at an "
            f"assumed {PRICE:.2f} dollars per core and hour {dollars:.5f} dollars; at half the efficiency twice that. No GPU "
            "was measured.", ""]


if __name__ == "__main__":
    main()
