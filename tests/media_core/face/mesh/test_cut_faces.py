"""A face that the image cuts below the nose may pass for one upside down: then it is read the other way up."""
import math
from dataclasses import replace

import numpy as np
import pytest
from talking_heads.media_core.face.mesh.finder import FaceFinder, MeshFace
from talking_heads.media_core.face.mesh.squares import Square

IMAGE = np.zeros((100, 100, 3), np.uint8)


def face(angle: float, disagreement: float, within: float = 1.0, confidence: float = 1.0) -> MeshFace:
    points = np.full((478, 3), 50, np.float32)
    return MeshFace(points, confidence, disagreement, Square(50, 60, 40, angle), within)


@pytest.mark.parametrize("other,taken", [
    (face(0, .03, within=.6), True),
    (face(0, .05, within=.6), False),                  # fits worse: it hangs upside down
    (face(0, .02, within=.9), False),                  # not cut
    (face(0, .02, within=.6, confidence=.2), False)])  # no face
def test_which_way_up(other, taken, monkeypatch):
    finder, asked = FaceFinder.__new__(FaceFinder), []
    monkeypatch.setattr(finder, "careful", lambda image, square: (asked.append(square), other)[1])
    found = face(math.pi, .03)
    assert finder._upright_if_cut(IMAGE, found) is (other if taken else found)
    assert asked == [replace(found.square, y=40.0, angle=0.0)]  # turned about the eyes


def test_an_upright_face_is_looked_at_once(monkeypatch):
    finder, found = FaceFinder.__new__(FaceFinder), face(.3, .03)
    monkeypatch.setattr(finder, "careful", lambda *_: pytest.fail("looked again"))
    assert finder._upright_if_cut(IMAGE, found) is found
