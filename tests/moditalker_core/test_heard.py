"""The mouth of a user's audio for the rig."""
from __future__ import annotations

import numpy as np
import pytest
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.subject import perform
from talking_heads.media_core.subject.articulation import CURVES
from talking_heads.media_core.subject.layout import to_68
from talking_heads.media_core.subject.parameters import INDEX, PARAMS
from talking_heads.media_core.subject.performance import Heard
from talking_heads.moditalker_core.data.from_subject import rig_of
from talking_heads.moditalker_core.heard import IDENTITY, curves_of


@pytest.fixture(scope="module")
def spoken():
    return perform(2.0, 5, engine="formant")


def test_the_points_of_the_rig_give_its_curves_back(spoken):
    rig, places = rig_of(IDENTITY), [INDEX[name] for name in CURVES]
    params = np.zeros((30, len(PARAMS)))
    params[:, places] = spoken.params[10:40, places]
    found = curves_of(rig, np.array([to_68(rig.mesh(one)) for one in params]))
    for name in ("jaw", "la", "prot", "press"):
        wanted, got = params[:, INDEX[name]], found[:, CURVES.index(name)]
        assert np.corrcoef(wanted, got)[0, 1] > .98 and abs(np.std(got) / np.std(wanted) - 1) < .2, name


def test_a_performance_to_audio(spoken):
    mouth = np.tile(np.linspace(0, 1, 50)[:, None], (1, len(CURVES)))
    heard = Heard(spoken.sound, mouth, 25.0, "0")
    whole, part = perform(None, 1, heard=heard), perform(1.0, 1, heard=heard)
    assert len(whole) == 50 and len(part) == 25 and whole.engine == "audio" and whole.text == () and whole.phonemes == ()
    np.testing.assert_array_equal(whole.params[:, INDEX["jaw"]], mouth[:, 0])
    assert whole.params[:, INDEX["blink"]].max() > .5 and abs(part.sound.duration - 1) < 1e-3
    with pytest.raises(TalkingHeadsError, match="a text or an audio"):
        perform(None, 1, heard=heard, text="Hello there")
