"""How far the action units of the brows can be trusted once optical flow has followed the brows: the numbers of FOLLOWED_BROWS in
media_core/face/action_units/action_units.py.

    python weights/followed_brows.py [--speaking 6] [--grimacing 5]

The people are those on whom make_face_action_units.py measures its own reliability: never learnt from, drawn, tracked and posed.
"""
from __future__ import annotations

import argparse

import numpy as np
from make_demo_avatar import load_package
from make_face_action_units import FIRST_TEST, FPS, SECONDS, Take, independent, pictures, spoken


def main() -> None:
    args = arguments()
    load_package()
    from talking_heads.media_core.motion import AU_NAMES

    kinds = {"speaking": [correlations(i, spoken(SECONDS, 20_000 + i)) for i in range(FIRST_TEST, FIRST_TEST + args.speaking)],
             "grimacing": [correlations(i, independent(SECONDS, 30_000 + i))
                           for i in range(FIRST_TEST, FIRST_TEST + args.grimacing)]}
    means = {name: np.nanmean(np.stack(films), 0) for name, films in kinds.items()}  # [2, 17] each
    means["the worse of both"] = np.min(np.stack(list(means.values())), 0)
    for name, (before, after) in means.items():
        for state, row in (("landmarks", before), ("brows followed", after)):
            print(f"{name:18s} {state:15s} " + " ".join(f"{unit[2:]} {value:.2f}" for unit, value in zip(AU_NAMES, row)))


def correlations(identity: int, take: Take) -> np.ndarray:  # -> [2, 17]
    """Of one film's units with the truth, from landmarks alone and with brows that were followed; NaN for a unit that rests."""
    import cv2
    from talking_heads.media_core.face.landmarks.landmarks import track_frames
    from talking_heads.media_core.face.pose.steady import steady
    from talking_heads.media_core.face.track import expressed, measure
    from talking_heads.media_core.face.trackers import make_tracker
    from talking_heads.media_core.subject.parameters import action_units

    film = list(pictures(identity, take))
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in film]
    measured = measure(track_frames(iter(film), FPS, tracker=make_tracker("rendered")).smoothed())
    steadied, _ = steady(measured, lambda i: grey[i])
    truth = action_units(take.params)
    units = [track.expression.au.double().numpy() for track in (measured, expressed(steadied, measured))]
    return np.array([[np.corrcoef(au[:, unit] + 1e-9 * np.arange(len(truth)), truth[:, unit])[0, 1]
                      if truth[:, unit].std() > .05 else np.nan for unit in range(17)] for au in units])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speaking", type=int, default=6, help="people who speak")
    parser.add_argument("--grimacing", type=int, default=5, help="people who grimace")
    return parser.parse_args()


if __name__ == "__main__":
    main()
