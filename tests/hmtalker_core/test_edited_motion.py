"""An avatar's motion edited between Drive Avatar and the rendering."""
from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from talking_heads.hmtalker_core.checkpoints import load_avatar
from talking_heads.hmtalker_core.edited_motion import edit_motion
from talking_heads.media_core.edit_curves import parsed_edits
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.expression_edits import LANES
from talking_heads.media_core.motion import AU_NAMES
from talking_heads.media_core.speech import encode_speech
from voices import voice

DEMO = Path(__file__).parents[2] / "weights" / "demo_avatar.safetensors"
WINDOW = {"points": [[0.4, 4], [0.6, 4]], "fade": 0.05}  # frames 9 to 15 at most


def edits(**lanes):
    return parsed_edits(json.dumps({"version": 1, "lanes": {name: {"curves": [one]} for name, one in lanes.items()}}), LANES)


@pytest.fixture
def speech():
    return encode_speech(voice(1.0))


@pytest.fixture
def motion(tiny_avatar, speech):
    return tiny_avatar.drive(speech)


def test_no_edits_are_the_same_motion(motion):
    assert edit_motion(motion, parsed_edits("", LANES)) is motion


def test_the_upper_face_and_the_head_need_no_avatar(motion):
    new = edit_motion(motion, edits(AU04=WINDOW, yaw={"points": [[0.5, 10]]}))
    assert torch.equal(new.codes, motion.codes) and (new.poses.camera_to_head != motion.poses.camera_to_head).any()
    brow = AU_NAMES.index("AU04")
    assert (new.au[11:14, brow] >= motion.au[11:14, brow] + 1).all() and torch.equal(new.au[16:], motion.au[16:])


def test_the_lower_face_acts_through_the_codes(speech):
    avatar = load_avatar(DEMO)
    motion = avatar.drive(speech)
    new = edit_motion(motion, edits(AU26={**WINDOW, "mode": "replace"}), avatar, speech)
    changed = (new.codes != motion.codes).any(dim=1)
    assert changed[10:15].all() and not changed[:8].any() and not changed[17:].any()
    before, after = (torch.cat([rgb for rgb, _ in avatar.render(one, start=12, stop=13, size=(64, 64))]) for one in (motion, new))
    assert (after - before).abs().max() > 0.1, "the mouth opens"


def test_what_the_avatar_cannot_do_is_left_out(tiny_avatar, motion, speech):
    deaf = tiny_avatar.with_config(au_known=[name != "AU12" for name in AU_NAMES], blink_ceiling=1.0)
    new = edit_motion(motion, edits(AU12=WINDOW, AU45={"points": [[0, 5], [9, 5]]}), deaf, speech)
    assert torch.equal(new.au[:, AU_NAMES.index("AU12")], motion.au[:, AU_NAMES.index("AU12")])
    assert new.au[:, -1].max() <= max(1.0, float(motion.au[:, -1].max()))


def test_the_lower_face_asks_for_what_it_needs(tiny_avatar, motion, speech):
    smile = edits(AU12=WINDOW)
    for given in ((), (tiny_avatar,), (None, speech)):
        with pytest.raises(TalkingHeadsError, match="AU12.*need the avatar and the speech.*mute"):
            edit_motion(motion, smile, *given)
    with pytest.raises(TalkingHeadsError, match="frames for"):
        edit_motion(motion, smile, tiny_avatar, encode_speech(voice(2.0)))
