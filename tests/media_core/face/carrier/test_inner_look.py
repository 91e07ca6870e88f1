"""The tones of the inside of a mouth come from skin, also where hair hangs over a cheek; teeth do not outshine their tone."""
from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from talking_heads.media_core.face.carrier.carrier import Carrier
from talking_heads.media_core.face.carrier.inner_look import Mouth, OwnInside, cheek_colour
from talking_heads.media_core.face.carrier.inner_mouth import _set_tone
from talking_heads.media_core.subject.layout import SKIN_SAMPLE

LEFT = [346, 347, 330, 266, 425, 411]


def haired(image, mesh, *cheeks):
    out = image.copy()
    for cheek in cheeks:
        cv2.fillPoly(out, [cv2.convexHull(np.round(mesh[cheek, :2]).astype(np.int32))], (48, 34, 26))
        cv2.polylines(out, [np.round(mesh[cheek, :2]).astype(np.int32)], True, (48, 34, 26), 5)
    return out


@pytest.mark.parametrize("cheeks", [(SKIN_SAMPLE,), (SKIN_SAMPLE, LEFT)])
def test_hair_over_the_cheeks_is_not_taken_for_skin(portrait, cheeks):
    image, mesh = portrait
    bare, covered = (cheek_colour(one, mesh).mean() for one in (image, haired(image, mesh, *cheeks)))
    assert 0.75 < covered / bare < 1.35
    assert 0.8 < Mouth.of(haired(image, mesh, *cheeks), mesh).tone.mean() / Mouth.of(image, mesh).tone.mean() < 1.25


def test_the_bare_cheek_is_the_right_one(portrait):
    image, mesh = portrait
    assert np.array_equal(cheek_colour(image, mesh), cheek_colour(haired(image, mesh, LEFT), mesh))


def test_in_a_grin_teeth_do_not_outshine_their_tone():
    """Most teeth of a wide and low opening lie in the dark near its corners."""
    tone, patch = np.array([228.0, 202, 198]), np.full((20, 40, 3), 140, np.float32)
    patch[:, 18:22] = 210
    _set_tone(patch, np.ones((20, 40), np.float32), SimpleNamespace(opening=np.ones((20, 40))), tone)
    assert (patch <= 1.13 * tone).all() and patch[:, :10].mean() > 140


@pytest.mark.parametrize("gap, kept", [(3.0, False), (9.0, True)])
def test_the_few_teeth_of_parted_lips_give_way_to_a_row_as_the_mouth_opens(portrait, opened, gap, kept):
    """They stood as fragments in the wide mouth, with the slit's rim; those of a wide mouth stay."""
    carrier = Carrier(*portrait)
    height, width = portrait[0].shape[:2]
    own = OwnInside(np.ones((height, width), np.float32), 0, 0, np.full((height, width, 3), (0, 255, 0), np.uint8), gap)
    carrier.mouth = replace(carrier.mouth, own=own)
    green = [np.count_nonzero(np.ptp(image, axis=2)[image.argmax(2) == 1] > 100)
             for image in (carrier.draw(opened * part) for part in (-.3, 1.0))]
    assert green[0] > 20
    assert (green[1] > green[0]) == kept and (kept or green[1] == 0)


def test_what_an_image_shows_stays_until_lips_open_further():
    own = OwnInside(np.ones((2, 2), np.float32), 0, 0, gap=3.0)
    assert own.kept(1.0) == own.kept(3.0) == 1 and own.kept(9.0) == 0
    assert OwnInside(own.weight, 0, 0).kept(20.0) == 1  # of other frames of a video
