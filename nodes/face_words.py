"""What nodes that look for faces say below themselves."""
from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from ..media_core.face.landmarks.landmarks import FaceFrame
    from ..media_core.face.landmarks.raw_track import RawTrack
    from ..media_core.face.track import FaceTrack
    from ..media_core.motion import ExpressionTrack

_NAMES = {"people": "people (built-in)", "rendered": "rendered (built-in)", "landmarks": "face landmarks", "exact": "exact"}
_MOSTLY = 0.97  # of a face's points that the image shows, at least, without a warning
_TURNS = ("nothing", "90 degrees counterclockwise", "180 degrees", "90 degrees clockwise")


def about_track(track: FaceTrack, raw: RawTrack, kept: int, filled: int) -> str:
    """What measured a track, how much of the video it is and how well it fits; `kept` frames, of which some were `filled`."""
    import numpy as np

    lines = [f"tracker: {_NAMES[raw.tracker]}",
             f"{_frames(kept)} at {raw.fps:g} fps, {len(raw.points)} in the video; {filled} without a face were filled in",
             f"reprojection error {float(np.nanmean(track.reprojection)):.2f} px"]
    if raw.cuts:
        lines.append("cuts before frames " + ", ".join(map(str, raw.cuts)))
    lines += _turned(np.nanmedian(raw.points, axis=0), "", "the video", "use it")
    return "\n".join([*lines, about_units(track.expression)])


def _frames(count: int) -> str:
    return "1 frame" if count == 1 else f"{count} frames"


def about_portraits(faces: list[FaceFrame], size: tuple[int, int], tracker: str) -> str:
    """How large the faces are, of jaw points from ear to ear, in images of (H, W) px, and what to beware of."""
    from ..media_core.face.mesh.finder import part_within

    wide = sorted({round(float(face.points[:, 0].max() - face.points[:, 0].min())) for face in faces})
    across = f"{wide[0]}" if len(wide) == 1 else f"{wide[0]} to {wide[-1]}"
    where = f"an image of {size[1]} x {size[0]} px" if len(faces) == 1 else f"{len(faces)} images of {size[1]} x {size[0]} px"
    lines = [f"Face {across} px wide, in {where} (tracker: {_NAMES[tracker]})"]
    for i, face in enumerate(faces):
        which = "" if len(faces) == 1 else f" of image {i}"
        if face.doubtful:
            lines.append(f"Warning: two looks at the face{which} disagree; check the points in the preview")
        shown = part_within(face.points if face.mesh is None else face.mesh, size)
        if shown < _MOSTLY:
            lines.append(f"Warning: {1 - shown:.0%} of the face{which} lies outside the image; its points there are guesses")
        lines += _turned(face.points, which, "the image", "animate it")
    return "\n".join(lines)


def _turned(points: np.ndarray, which: str, what: str, use: str) -> list[str]:  # [68, 2] px
    """A warning where the face is not upright."""
    from ..media_core.face.geometry import quarter_turns

    turn = quarter_turns(points)
    how = "upside down" if turn == 2 else "on its side"
    return [f"Warning: the face{which} is {how}; turn {what} by {_TURNS[turn]} before you {use}"] if turn else []


def about_units(expression: ExpressionTrack) -> str:
    """Which action units are known, and which are not to be trusted."""
    import torch

    from ..media_core.motion import AU_NAMES

    known = (~torch.isnan(expression.au)).float().mean(dim=0)
    unknown = [name for name, share in zip(AU_NAMES, known.tolist()) if share == 0]
    partly = [f"{name} ({share:.0%})" for name, share in zip(AU_NAMES, known.tolist()) if 0 < share < 1]
    lines = [f"action units: {expression.source}, {_frames(len(expression))} at {expression.fps:g} fps",
             f"unreliable: {', '.join(expression.unreliable) or 'none stated'}", f"unknown: {', '.join(unknown) or 'none'}"]
    return "\n".join([*lines, f"known in part: {', '.join(partly)}"] if partly else lines)
