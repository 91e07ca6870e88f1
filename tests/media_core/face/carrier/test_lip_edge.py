"""Teeth that a mesh takes for a part of the lower lip stay in the skull."""
import numpy as np
import pytest
from talking_heads.media_core.face.carrier.carrier import Carrier
from talking_heads.media_core.face.carrier.lip_edge import goes_along, without_teeth
from talking_heads.media_core.face.carrier.place import UNIT, Place
from talking_heads.media_core.face.carrier.response import shutting
from talking_heads.media_core.subject.layout import INNER_LIPS, LIPS

LOWER = LIPS[:, 1:10]
TOOTH = np.array([225, 215, 205])


def painted(image, mesh, colour=TOOTH, rings=1.5, upper=False):
    """The lower lip's inner part, so many rings deep, in another colour; the opening too."""
    import cv2

    out = image.copy()
    depth = mesh[LOWER[3]] + (mesh[LOWER[1]] - mesh[LOWER[3]]) * rings / 2
    above = mesh[LIPS[3, 20 - np.arange(1, 10)]]
    cv2.fillPoly(out, [np.round(np.concatenate([depth, above[::-1]])[:, :2]).astype(np.int32)], colour.tolist())
    return out


def moved(mesh, other):  # units that the lower lip's inner points lie apart
    return np.linalg.norm((other - mesh)[LOWER[3], :2], axis=1) * UNIT / np.linalg.norm(mesh[33] - mesh[263])


def test_the_edge_goes_where_teeth_end(portrait):
    image, mesh = portrait
    far = moved(mesh, without_teeth(painted(image, mesh, rings=.7), mesh))
    deep = moved(mesh, without_teeth(painted(image, mesh), mesh))
    assert far[3:6].min() > 1 and deep[3:6].min() > far[3:6].min()
    assert far[[0, 8]].max() < far.max()


def test_only_the_lower_lip_moves_and_in_order(portrait):
    image, mesh = portrait
    made = without_teeth(painted(image, mesh), mesh)
    others = np.setdiff1d(np.arange(478), LOWER)
    assert np.array_equal(made[others], mesh[others]) and np.array_equal(made[LOWER[0]], mesh[LOWER[0]])
    heights = made[LOWER][:, :, 1]
    assert (np.diff(heights, axis=0) < 0).all()  # outer below inner, none crosses


def test_a_lip_of_its_own_colour_stays(portrait):
    image, mesh = portrait
    lip = np.median(image[tuple(np.round(mesh[LOWER[1], 1::-1]).astype(int).T)], axis=0)
    assert without_teeth(painted(image, mesh, lip), mesh) is mesh


def test_shut_lips_show_no_teeth(portrait):
    """Glints on them are no teeth, unless the mouth is as wide as in a smile."""
    image, mesh = portrait
    shut = mesh.copy()
    shut[LIPS[3, 11:20]] = shut[LIPS[3, 9:0:-1]]
    narrow = (shut - mesh[13]) * [.7, 1, 1] + mesh[13]
    shut[LIPS] = narrow[LIPS]
    assert without_teeth(painted(image, shut), shut) is shut


def test_the_lower_lip_takes_no_tooth_along(portrait):
    image, mesh = portrait
    image = painted(image, mesh)
    made = without_teeth(image, mesh)

    def bright(points):
        carrier = Carrier(image, points)
        frame = carrier.draw(shutting(carrier.own68))
        ring = Place.of(points).pixels(Place.of(points).own)[INNER_LIPS, :2]
        low, high = ring.min(0).astype(int) - 4, ring.max(0).astype(int) + 4
        return int((np.abs(frame[low[1]:high[1], low[0]:high[0]].astype(int) - TOOTH).max(-1) < 12).sum())

    assert bright(made) < .2 * bright(mesh)


@pytest.mark.parametrize("channels", [3, 4])
def test_with_alpha_or_without(portrait, channels):
    image, mesh = portrait
    image = painted(image, mesh)
    whole = image if channels == 3 else np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
    assert moved(mesh, without_teeth(whole, mesh)).max() > 1


def test_lip_and_jaw_go_along(portrait):
    image, mesh = portrait
    along = goes_along(mesh, without_teeth(painted(image, mesh), mesh))
    assert along[57, 1] < -.5 and along[57, 1] < along[8, 1] < 0  # up, the lip further than the jaw
    assert not along[17:54].any() and not along[60:].any() and not along[:, [0, 2]].any()
    assert not goes_along(mesh, mesh).any()
