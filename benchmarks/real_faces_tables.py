"""The printed tables of `real_faces.py`: per file and in total, each tracker beside the other."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import real_faces_figures as figures

if TYPE_CHECKING:
    from real_faces import Case

CLASSES = {"easy photographs": lambda words: not words & {"animal", "drawn", "hard"},
           "hard photographs": lambda words: "hard" in words and "drawn" not in words,
           "drawn, painted, carved": lambda words: "drawn" in words,
           "no person": lambda words: "animal" in words}
WEAK = ("beard", "stubble", "thin", "dim", "dark")  # words of films whose lips are hard to read
SPEAKS = 0.01  # standard deviation of the reference's lip opening from which somebody moves them: with less, r compares noise
CLOSED_GOAL, JITTER_GOAL = 0.95, 0.005
BLINKS = 0.02  # standard deviation of lids from which a video has blinks: with less, correlation compares noise


def show(stills: Sequence[Case], films: Sequence[Case], kinds: Sequence[str]) -> None:
    limit = self_limit(stills, films)
    if stills:
        print(f"\nIMAGES ({', '.join(kinds)}); gap, off: % of eye distance; turn: degrees, by the reference")
        for case in stills:
            print(still_row(case, kinds))
    if films:
        print(f"\nVIDEOS ({', '.join(kinds)}); gap, jitter, off: % of eye distance")
        heads = [f"{'':55} frames turn moves", *(FILM_HEAD for _ in kinds), "reference itself, mirrored"]
        print(" | ".join(heads))
        for case in films:
            print(film_row(case, kinds))
    print("\nTOTAL")
    for kind in kinds:
        print(f"\n{kind}")
        for line in (*still_totals(stills, kind, limit), *film_totals(films, kind, limit)):
            print("  " + line)
    print("\nreference against itself (other looks, mirrored)")
    for line in own_totals(stills, films, limit):
        print("  " + line)
    print("\ngoals for videos beside what the reference reaches against itself, on the same videos")
    for line in ceilings(films, kinds):
        print("  " + line)


def percent(value: float, digits: int = 1) -> str:
    return f"{100 * value:.{digits}f}"


def still_row(case: Case, kinds: Sequence[str]) -> str:
    want = None if case.reference is None else case.reference[0]
    told = "-" if want is None else percent(float(figures.opening(want)))
    parts = [f"{case.name[-44:]:44} {' '.join(sorted(case.words))[:18]:18} turn {case.turn:3.0f} gap {told:>5}"]
    for kind in kinds:
        seen = case.seen[kind]
        if not seen.there[0]:
            parts.append(f"{'none':>36}")
            continue
        own, doubt = seen.points[0], "" if seen.disagreement is None else f" ({percent(float(seen.disagreement[0]))})"
        away = "" if want is None else f" mouth {percent(float(figures.off(own, want, figures.MOUTH)))}" \
            f" all {percent(float(figures.off(own, want)))}"
        parts.append(f"gap {percent(float(figures.opening(own))):>5}{away}{doubt} {seen.processor:4.0f} ms")
    return " | ".join(parts)


FILM_HEAD = f"{'lost else lips slope  sd  eyes jitt mouth  all   ms sound':57}"


def film_row(case: Case, kinds: Sequence[str]) -> str:
    words = " ".join(sorted(case.words & set(WEAK)))
    parts = [f"{case.name[-44:]:44} {words[:10]:10} {len(case.seen[kinds[0]].points):6d} {case.turn:4.0f} "
             f"{100 * moves_of(case):5.1f}"]
    for kind in kinds:
        seen = case.seen[kind]
        sound = sound_of(case, seen.points)
        if case.reference is None:
            parts.append(f"{int((~seen.there).sum())} without a face, jitter {percent(figures.jitter(seen.points), 2)}, "
                         f"{seen.processor:.0f} ms, sound {sound:.2f}")
            continue
        f = figures.film_figures(seen.points, case.reference)
        parts.append(f"{f.lost:4d} {f.elsewhere:4d} {f.lips:4.2f} {f.slope:5.2f} {f.amplitude:4.2f} {f.eyes:4.2f} "
                     f"{percent(f.jitter, 2)} {percent(f.mouth):>5} {percent(f.all):>4} {seen.processor:4.0f} {sound:5.2f}")
    if case.other is not None and case.reference is not None:
        f = figures.film_figures(case.other, case.reference)
        parts.append(f"{f.lips:4.2f} {f.slope:5.2f} {f.amplitude:4.2f} {f.eyes:4.2f} {percent(f.jitter, 2)} {percent(f.mouth)} "
                     f"sound {sound_of(case, case.reference):5.2f}")
    return " | ".join(parts)


def moves_of(case: Case) -> float:
    return float("nan") if case.reference is None else figures.deviation(figures.opening(case.reference))


def sound_of(case: Case, points: np.ndarray) -> float:
    return float("nan") if case.sound is None else figures.against_sound(figures.opening(points), case.sound)


def self_limit(stills: Sequence[Case], films: Sequence[Case]) -> float:
    """The opening under which 95 % of the reference's own other looks lie where its lips are closed: what "read as closed" means.
    A net cannot be asked to agree with the reference better than that does with itself."""
    gaps = own_closed(stills, films)
    return max(figures.CLOSED, float(np.quantile(gaps, 0.95))) if len(gaps) else figures.CLOSED


def own_closed(stills: Sequence[Case], films: Sequence[Case]) -> np.ndarray:
    out = [figures.opening(c.other) for c in stills if c.reference is not None and c.other is not None
           and figures.opening(c.reference[0]) < figures.CLOSED]
    out += [figures.film_figures(c.other, c.reference).closed for c in films if c.other is not None and c.reference is not None]
    gaps = np.concatenate([np.zeros(0), *out])
    return gaps[np.isfinite(gaps)]


def still_totals(stills: Sequence[Case], kind: str, limit: float) -> list[str]:
    groups = [(name, [c for c in stills if belongs(c.words)]) for name, belongs in CLASSES.items()]
    out = [found_line(name, cases, kind) for name, cases in groups if cases]
    people = [c for c in stills if "animal" not in c.words]
    if not people:
        return out
    times = [c.seen[kind].processor for c in people]
    out.append(f"ms per image, processor: median {np.median(times):.0f}, 95 % {np.quantile(times, .95):.0f}, "
               f"wall {np.median([c.seen[kind].wall for c in people]):.0f}")
    gaps = np.array([figures.opening(c.seen[kind].points[0]) for c in people if c.reference is not None
                     and figures.opening(c.reference[0]) < figures.CLOSED])
    out.append("images, " + closed_line(gaps[np.isfinite(gaps)], limit))
    return [*out, *by_eye(people, lambda c: c.seen[kind].points[0], limit)]


def found_line(name: str, cases: Sequence[Case], kind: str) -> str:
    found = [c for c in cases if c.seen[kind].there[0]]
    if name == "no person":
        trust = ", ".join(f"{c.seen[kind].confidence[0]:.2f}" for c in found)
        return f"{name}: a face seen in {len(found)} of {len(cases)}, trust {trust}"
    both = [(c.name, c.seen[kind].points[0], c.reference[0]) for c in found if c.reference is not None]
    astray = [name for name, own, wanted in both if figures.off(own, wanted) > figures.ELSEWHERE]
    mouth, every = (spread([float(figures.off(own, wanted, part)) for _, own, wanted in both])
                    for part in (figures.MOUTH, slice(None)))
    missed = [c.name.rpartition("/")[2] for c in cases if not c.seen[kind].there[0]]
    return f"{name}: found {len(found)} of {len(cases)}, missed {missed}, elsewhere {astray}; off: mouth {mouth}, all {every}"


def by_eye(stills: Sequence[Case], points: Callable[[Case], np.ndarray | None], limit: float) -> list[str]:
    """Lips that a person sees shut or open in the image: a witness that is no mesh."""
    out = []
    for word, right in (("shut", lambda gap: gap < limit), ("open", lambda gap: gap >= limit)):
        gaps = [(c.name, float(figures.opening(p))) for c in stills if word in c.words and (p := points(c)) is not None]
        gaps = [(name, gap) for name, gap in gaps if np.isfinite(gap)]
        if gaps:
            wrong = [f"{name.rpartition('/')[2]} {percent(gap)}" for name, gap in gaps if not right(gap)]
            out.append(f"lips {word} by eye: read so in {len(gaps) - len(wrong)} of {len(gaps)}; not in {wrong}")
    return out


def spread(values: Sequence[float] | np.ndarray) -> str:
    values = np.array([v for v in values if np.isfinite(v)])
    if not len(values):
        return "-"
    return f"{percent(float(np.median(values)))} % (mean {percent(float(values.mean()))}, worst {percent(float(values.max()))})"


def closed_line(gaps: np.ndarray, limit: float) -> str:
    if not len(gaps):
        return "closed lips: none"
    shares = [f"{percent(figures.read_as_closed(gaps, at), 0)} % below {percent(at)}" for at in (figures.CLOSED, limit, .02, .03)]
    return f"closed lips (n {len(gaps)}): median gap {percent(float(np.median(gaps)))}; {', '.join(shares)}"


def film_totals(films: Sequence[Case], kind: str, limit: float) -> list[str]:
    judged = [(c, figures.film_figures(c.seen[kind].points, c.reference)) for c in films if c.reference is not None]
    if not judged:
        return []
    out = [f"videos: {len(judged)}, frames {sum(f.frames for _, f in judged)}, face lost in {sum(f.lost for _, f in judged)}, "
           f"seen where the reference sees none in {sum(f.alone for _, f in judged)}, "
           f"another face in {sum(f.elsewhere for _, f in judged)}", *agreement([f for _, f in judged], [c for c, _ in judged])]
    sound = [value for c, _ in judged if np.isfinite(value := sound_of(c, c.seen[kind].points))]
    own = [value for c, _ in judged if np.isfinite(value := sound_of(c, c.reference))]
    if sound:
        out.append(f"lips against loudness (n {len(sound)}): median {np.median(sound):.3f}, mean {np.mean(sound):.3f}; "
                   f"the reference's {np.median(own):.3f}, {np.mean(own):.3f}")
    for word in WEAK:
        named = [f"{c.name.rpartition('/')[2]} {f.lips:.2f}" for c, f in judged if word in c.words]
        if named:
            out.append(f"lips r, {word}: {', '.join(named)}")
    times = np.array([(c.seen[kind].wall, c.seen[kind].processor) for c, _ in judged])
    out.append(f"ms per frame, processor: median {np.median(times[:, 1]):.1f}, least {times[:, 1].min():.1f}; "
               f"wall {np.median(times[:, 0]):.1f}, {times[:, 0].min():.1f}")
    return [*out, "videos, " + closed_line(np.concatenate([f.closed for _, f in judged]), limit)]


def agreement(judged: Sequence[figures.FilmFigures], cases: Sequence[Case]) -> list[str]:
    speaking = [(f, c.name.rpartition("/")[2]) for f, c in zip(judged, cases) if f.moves > SPEAKS]
    silent = [(f, c.name.rpartition("/")[2]) for f, c in zip(judged, cases) if f.moves <= SPEAKS]
    out = []
    if speaking:
        lips = np.array([f.lips for f, _ in speaking])
        worst = ", ".join(f"{name} {f.lips:.2f}" for f, name in sorted(speaking, key=lambda one: one[0].lips)[:6])
        out += [f"lips r where they move (n {len(speaking)}): median {np.nanmedian(lips):.3f}, "
                f"below .8: {int((lips < .8).sum())}; least {worst}",
                f"slope {np.nanmedian([f.slope for f, _ in speaking]):.2f}, sd ratio "
                f"{np.nanmedian([f.amplitude for f, _ in speaking]):.2f} "
                f"({sum(.9 <= f.amplitude <= 1.1 for f, _ in speaking)} of {len(speaking)} within .9 to 1.1)"]
    if silent:
        out.append("lips that hardly move (r, own movement in % of the reference's): " + ", ".join(
            f"{name} {f.lips:.2f} {percent(f.amplitude, 0)}" for f, name in silent))
    blinking = [f.eyes for f in judged if f.blinks > BLINKS]
    out.append(f"eyes r: median {np.nanmedian([f.eyes for f in judged]):.3f}, where people blink (n {len(blinking)}) "
               f"{np.nanmedian([*blinking, np.nan]):.3f}, least {np.nanmin([*blinking, 1]):.2f}")
    own = [figures.jitter(c.reference) for c in cases if c.reference is not None]
    ratio = np.nanmedian([f.jitter / one for f, one in zip(judged, own)])
    low, middle, high = (percent(float(np.nanquantile([f.jitter for f in judged], at)), 2) for at in (.25, .5, 1))
    handed_on = percent(float(np.nanmedian([f.steadied for f in judged])), 2)
    out.append(f"jitter: median {middle} %, calmest quarter {low}, worst {high}, of the reference's {ratio:.2f}; "
               f"noise {percent(float(np.nanmedian([f.noise for f in judged])), 2)} %; "
               f"steadied, as nodes and captures hand it on: median {handed_on} %")
    return [*out, f"off: mouth {spread([f.mouth for f in judged])}, all {spread([f.all for f in judged])}"]


def own_totals(stills: Sequence[Case], films: Sequence[Case], limit: float) -> list[str]:
    known = [c for c in stills if c.reference is not None and c.other is not None and "animal" not in c.words]
    out = [f"limit of closed lips: {percent(limit, 2)} % of the eye distance; " + closed_line(own_closed(stills, films), limit)]
    if known:
        for row, name in enumerate(("followed, third look", "the same, mirrored")):
            pairs = [(c.other[row], c.reference[0]) for c in known if len(c.other) > row]
            out.append(f"images, {name}: mouth {spread([figures.off(a, b, figures.MOUTH) for a, b in pairs])}, "
                       f"all {spread([figures.off(a, b) for a, b in pairs])}")
        out += by_eye(known, lambda c: None if c.reference is None else c.reference[0], limit)
    both = [c for c in films if c.reference is not None]
    if both:
        jitters = [figures.jitter(c.reference) for c in both]
        out.append(f"videos: jitter {percent(float(np.nanmedian(jitters)), 2)} %, "
                   f"worst {percent(float(np.nanmax(jitters)), 2)}")
    twice = [c for c in both if c.other is not None]
    if twice:
        out += agreement([figures.film_figures(c.other, c.reference) for c in twice], twice)
    return out


def ceilings(films: Sequence[Case], kinds: Sequence[str]) -> list[str]:
    """Whether a goal lies above what the reference's own mirrored look reaches: then only chance could reach it."""
    twice = [c for c in films if c.reference is not None and c.other is not None]
    if not twice:
        return []
    rows = [("reference", [figures.film_figures(c.other, c.reference) for c in twice])]
    rows = [*((kind, [figures.film_figures(c.seen[kind].points, c.reference) for c in twice]) for kind in kinds), *rows]
    closed = {name: figures.read_as_closed(np.concatenate([f.closed for f in judged]), figures.CLOSED) for name, judged in rows}
    jitters = {name: float(np.nanmedian([f.steadied for f in judged])) for name, judged in rows}
    goals = ((f"closed lips below {percent(figures.CLOSED)} %", CLOSED_GOAL, closed, closed["reference"] < CLOSED_GOAL),
             ("jitter, steadied", JITTER_GOAL, jitters, jitters["reference"] > JITTER_GOAL))
    return [f"{name}: {percent(goal)} % wanted; " + ", ".join(f"{who} {percent(value, 2)}" for who, value in reached.items())
            + f": the goal lies {'above' if beyond else 'within'} that ceiling" for name, goal, reached, beyond in goals]
