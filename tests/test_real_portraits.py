"""The figures of the benchmark of real portraits, on the synthetic subject's own face."""
import sys
from pathlib import Path

import numpy as np
import pytest
from talking_heads.media_core.face.landmarks.mean_face import MeanFace
from talking_heads.media_core.face.landmarks.mesh_fill import MeshFill
from talking_heads.media_core.motion import LandmarkTrack

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def figures(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import real_portraits_figures

    yield real_portraits_figures
    for name in [name for name in sys.modules if name.startswith("real_") or name == "common"]:
        del sys.modules[name]


def mesh(gap=0.0, angle=0.0, size=100.0) -> np.ndarray:  # -> [478, 3] px
    """A face with its lips `gap` of the eyes' distance further open, turned in the image."""
    points = MeanFace.load().points * [1, -1, -1]
    points[[65, 66, 67], 1] += gap * np.linalg.norm(points[45] - points[36])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return MeshFill()(points[:, :2] @ turn.T * size * 10 + 200)


def test_opening_does_not_depend_on_where_the_face_is(figures):
    shut, wide = figures.opening(mesh()), figures.opening(mesh(.1))
    assert wide - shut == pytest.approx(.1, abs=.01)
    assert figures.opening(mesh(.1, angle=.5, size=40)) == pytest.approx(wide, abs=.01)


def test_what_is_fed_is_the_motion_on_the_face(figures):
    import torch
    from talking_heads.media_core.subject.layout import to_68

    face = MeanFace.load().points * 10
    wide = face.copy()
    wide[[65, 66, 67], 1] -= .1 * np.linalg.norm(face[45] - face[36])
    motion = LandmarkTrack(torch.from_numpy(np.stack([face, wide]).astype(np.float32)))
    fed = figures.fed(motion, face, to_68(figures.own_axes(mesh())))
    assert fed[1] - fed[0] == pytest.approx(.1, abs=.01)


def test_nothing_above_the_nose_counts_as_below_it(figures):
    turned = mesh(angle=.6)
    far = figures.below(turned, (600, 600))
    at = lambda point: far[tuple(np.clip(np.round(turned[point, 1::-1]).astype(int), 0, 599))]
    assert at(152) > 20 and at(33) < -20 and at(263) < -20 and abs(at(2)) < 3


def test_moments_are_shut_half_and_wide(figures):
    wanted = np.abs(np.sin(np.arange(40) / 6))
    shut, half, wide = figures.moments(wanted)
    assert wanted[wide] == wanted.max() and abs(wanted[half] - .5) < .1 and wanted[shut] < .1 and shut >= figures.LEAST


def test_amplitude_and_reading(figures):
    wanted = np.abs(np.sin(np.arange(60) / 6)) * .1
    seen = 1.2 * wanted + .005
    seen[3] = np.nan
    assert figures.amplitude(seen, wanted) == pytest.approx(1.2, rel=.05) and figures.r_of(seen, wanted) > .999
    assert .005 <= figures.reading_where_shut(seen, wanted) < .02
    assert np.isnan(figures.reading_where_shut(seen, wanted + 1))
