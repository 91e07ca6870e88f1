"""A hand or a microphone before the mouth is warned of."""
import logging

import numpy as np
import pytest
from talking_heads.media_core.face.carrier.hidden import before_mouth
from talking_heads.media_core.face.carrier.inner_look import colour_of
from talking_heads.media_core.subject.layout import SKIN_SAMPLE
from talking_heads.moditalker_core.carrier_video import portrait_carrier


def covered(image, mesh, colour):
    import cv2

    out, (x, y) = image.copy(), mesh[14, :2]
    cv2.ellipse(out, (int(x), int(y) + 8), (26, 24), 0, 0, 360, [float(c) for c in colour], -1)
    return out


def test_a_free_mouth(portrait):
    assert before_mouth(*portrait) is None
    grey = np.repeat(portrait[0].mean(-1, keepdims=True), 3, -1).astype(np.uint8)
    assert before_mouth(grey, portrait[1]) is None


def test_a_microphone_and_a_hand(portrait):
    image, mesh = portrait
    assert "microphone" in before_mouth(covered(image, mesh, (35, 35, 38)), mesh)
    assert "hand" in before_mouth(covered(image, mesh, .95 * colour_of(image, mesh[SKIN_SAMPLE])), mesh)


@pytest.mark.parametrize("hidden", [False, True])
def test_the_carrier_warns(portrait, hidden, caplog):
    image, mesh = portrait
    with caplog.at_level(logging.WARNING):
        portrait_carrier(covered(image, mesh, (35, 35, 38)) if hidden else image, landmarks=mesh)
    assert ("seems to lie before the mouth" in caplog.text) == hidden
