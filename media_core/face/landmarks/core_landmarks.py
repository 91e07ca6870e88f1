"""ComfyUI core's FACE_LANDMARKS (478 points of MediaPipe Face Landmarker) as our 68 points, and back (docs/capture.md).

The socket carries a plain dict; nothing of ComfyUI is imported. The jaw's 17 points are spaced by arc length on the mesh's edge,
in three dimensions where the mesh's depth is there: on a flat image a turned head would shift them.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ...dense_mesh import ROW as MESH_ROW
from ...errors import TalkingHeadsError
from ...subject.layout import SKIN, to_68
from ..action_units.blendshapes import BLENDSHAPES, blendshape_rows
from ..geometry import fit_similarity

if TYPE_CHECKING:
    from ...motion import LandmarkTrack
    from .landmarks import RawTrack

_MISFIT = 0.05  # of the face's size: how far the mesh in its own units may lie off the points in the image
_DRIFT = 0.2  # face sizes a frame that somebody may have moved while he was not seen, besides one at once
_CROP, _FILLED = 192.0, 1 / 1.5  # units of the mesh in its own crop, and the fraction of the crop that the face takes
_DO = "Connect the FACE_LANDMARKS output of ComfyUI's MediaPipe Face Landmarker node"


def from_face_landmarks(value: object, fps: float, face_index: int = 0) -> tuple[RawTrack, np.ndarray | None]:
    """One face of the socket's video.

    Args:
        value: the socket's dict: `frames` (a list of faces per frame), `image_size` (H, W).
        fps: of the video, which the socket does not say.
        face_index: which of several faces, in the socket's order in the first frame that has so many; afterwards the one
            nearest to where it was.
    Returns:
        the track (NaN where a frame is empty; with the mesh where that has irises and depth), and float64 [T, 52] blendshapes in
        the order of `BLENDSHAPES` (NaN likewise), None when the socket has none.
    Raises:
        TalkingHeadsError: something else is connected, a face lacks its points, or no frame has such a face.
    """
    from .landmarks import RawTrack

    frames, size = _checked(value)
    faces = _chosen(frames, face_index)
    points = np.full((len(frames), 68, 2), np.nan, np.float32)
    dense = np.full((len(frames), *MESH_ROW), np.nan, np.float32)
    confidence = np.zeros(len(frames), np.float32)
    for i, face in enumerate(faces):
        if face is not None:
            own = _mesh(face, i)
            points[i] = to_68(own)[:, :2]
            if own.shape == MESH_ROW:
                dense[i] = own
            confidence[i] = np.clip(float(face.get("presence", face.get("score", 1.0))), 0, 1)
    shapes = [face.get("blendshapes") if face else None for face in faces]
    has = any(shapes)
    rows = blendshape_rows([shape or None for shape in shapes]) if has else None
    mesh = dense if np.isfinite(dense).any() else None
    return RawTrack(points=points, confidence=confidence, image_size=size, fps=float(fps), tracker="landmarks", mesh=mesh), rows


def to_face_landmarks(track: LandmarkTrack, blendshapes: np.ndarray | None = None) -> dict[str, Any]:
    """A track as the socket's video of one face, for the nodes that draw it or mask by it.

    Read back by `from_face_landmarks` it has the same 68 points in the image: brows, nose, eyes and mouth to the last bit of
    float32, the jaw to 0.01 px (the mesh is bent so that it divides there). The other mesh points, depth and irises are the
    track's own where it has its mesh, and else guessed (face/mesh_fill.py); `transformation_matrix` leaves perspective out; the
    wireframe's lines are our own. The depth of the 68 points is not used.

    Args:
        track: space "pixels".
        blendshapes: [T, 52] in the order of `BLENDSHAPES`, NaN rows where unknown. None: each face's dict of them is empty.
    Returns:
        {"frames": T lists of one face, "image_size": (H, W), "connection_sets": name -> pairs of points}. A face: `bbox_xyxy`
        float32 [4], `landmarks_xy` float32 [478, 2] px, `landmarks_3d` float32 [478, 3] in units of a 192 px crop, z away from
        the viewer, `blendshapes`, `transformation_matrix` float32 [4, 4], `presence` and `score` 1.
    Raises:
        TalkingHeadsError: a canonical track (it has no image), or blendshapes of another shape.
    """
    from .mesh_fill import MeshFill, connection_sets

    if track.space != "pixels" or track.image_size is None:
        raise TalkingHeadsError("Face landmarks must be points of an image", f"a track in space '{track.space}'",
                                "Align the motion to a pose first")
    if blendshapes is not None and np.shape(blendshapes) != (len(track), len(BLENDSHAPES)):
        raise TalkingHeadsError(f"Blendshapes must be [{len(track)}, {len(BLENDSHAPES)}], a row per frame",
                                f"{list(np.shape(blendshapes))}", "Give the same video's")
    fill = MeshFill()
    shapes: list[dict[str, float]] = [{}] * len(track) if blendshapes is None else [
        {name: float(value) for name, value in zip(BLENDSHAPES, row)} if np.isfinite(row).all() else {}
        for row in np.asarray(blendshapes)]
    points = track.points[..., :2].double().numpy()
    dense = [None] * len(track) if track.mesh is None else track.mesh.numpy()
    known = [row if row is not None and np.isfinite(row).all() else None for row in dense]
    meshes = (fill(flat) if own is None else own.astype(np.float64) for flat, own in zip(points, known))
    frames = [[_face(mesh, fill.head_matrix(flat, track.image_size), dict(shape))]
              for mesh, flat, shape in zip(meshes, points, shapes)]
    return {"frames": frames, "image_size": tuple(track.image_size), "connection_sets": connection_sets(fill)}


def _face(mesh: np.ndarray, matrix: np.ndarray, blendshapes: dict[str, float]) -> dict[str, Any]:  # [478, 3] px
    low, high = mesh[:, :2].min(0), mesh[:, :2].max(0)
    scale = _CROP * _FILLED / max(float((high - low).max()), 1e-9)
    solid = (mesh - [*(low + high) / 2, 0]) * scale + [_CROP / 2, _CROP / 2, 0]
    return {"bbox_xyxy": np.concatenate([low, high]).astype(np.float32), "landmarks_xy": mesh[:, :2].astype(np.float32),
            "landmarks_3d": solid.astype(np.float32), "blendshapes": blendshapes, "transformation_matrix": matrix,
            "presence": 1.0, "score": 1.0}


def _checked(value: object) -> tuple[list, tuple[int, int]]:
    """(frames, (H, W)) of a well-formed socket."""
    frames = value.get("frames") if isinstance(value, Mapping) else None
    if (not isinstance(value, Mapping) or not isinstance(frames, (list, tuple))
            or not all(isinstance(faces, (list, tuple)) for faces in frames)):
        came = f"a dict with {', '.join(map(str, list(value)[:4]))}" if isinstance(value, Mapping) else type(value).__name__
        raise TalkingHeadsError("Face landmarks must be a dict with a list of faces for each frame", came, _DO)
    try:
        height, width = (int(edge) for edge in value["image_size"])
    except (KeyError, TypeError, ValueError) as error:
        raise TalkingHeadsError("Face landmarks must state their image's height and width",
                                f"{value.get('image_size')!r}", _DO) from error
    if not frames or min(height, width) < 1:
        raise TalkingHeadsError("Face landmarks must have at least one frame of an image",
                                f"{len(frames)} frames of {height} x {width}", _DO)
    return list(frames), (height, width)


def _chosen(frames: list, face_index: int) -> list[Mapping | None]:
    """The same person's face in each frame, None where there is none."""
    most = max(len(faces) for faces in frames)
    first = next((i for i, faces in enumerate(frames) if 0 <= face_index < len(faces)), None)
    if first is None:
        raise TalkingHeadsError(f"The face must be one of the {most} found, counted from 0" if most else
                                "Some frame must show a face",
                                f"face {face_index}" if most else f"no face in {len(frames)} frames",
                                "Choose another face" if most else "Lower the detector's confidence, or choose another video")
    out: list[Mapping | None] = [None] * len(frames)
    for walk in (range(first, len(frames)), range(first, -1, -1)):
        last, size, lost = None, 0.0, 0
        for i in walk:
            middles = np.array([_points(face, i).mean(0) for face in frames[i]]).reshape(-1, 2)
            away = np.full(len(middles), np.inf) if last is None else np.sqrt(((middles - last) ** 2).sum(1))
            pick = face_index if last is None else int(np.argmin(away)) if len(away) else 0
            if last is not None and (not len(away) or most > 1 and away[pick] > (1 + _DRIFT * lost) * size):
                lost += 1
                continue
            out[i], last, lost = frames[i][pick], middles[pick], 0
            size = float(np.ptp(_points(out[i], i), axis=0).max())
    return out


def _points(face: object, frame: int) -> np.ndarray:  # -> float64 [478, 2] px
    points = face.get("landmarks_xy") if isinstance(face, Mapping) else None
    points = np.asarray(points if points is not None else [], dtype=np.float64)
    if points.ndim != 2 or points.shape[0] < SKIN or points.shape[1] != 2 or not np.isfinite(points).all():
        raise TalkingHeadsError("A face must have `landmarks_xy`, 478 finite points in pixels",
                                f"shape {list(points.shape)} in frame {frame}", _DO)
    return points


def _mesh(face: Mapping, frame: int) -> np.ndarray:  # -> float64 [478, 3], or [478, 2] without a usable depth
    """Points in px, with depth in px where `landmarks_3d` is the same face in other units (turned, scaled and shifted)."""
    points = _points(face, frame)
    solid = face.get("landmarks_3d")
    solid = np.asarray(solid if solid is not None else [], dtype=np.float64)
    if solid.shape != (len(points), 3) or not np.isfinite(solid).all():
        return points
    move = fit_similarity(solid[:, :2], points)
    misfit = np.sqrt(((move(solid[:, :2]) - points) ** 2).sum(1).mean())
    if misfit > _MISFIT * np.ptp(points, axis=0).max():
        return points
    return np.column_stack([points, solid[:, 2] * move.scale])


__all__ = ["BLENDSHAPES", "from_face_landmarks", "to_face_landmarks"]
