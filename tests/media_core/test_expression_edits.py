"""Action units and head poses edited by curves."""
from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from talking_heads.media_core.edit_curves import parsed_edits
from talking_heads.media_core.expression_edits import LANES, edited_pose, edited_units, head_angles, sketch
from talking_heads.media_core.head_pose import NECK
from talking_heads.media_core.motion import AU_NAMES, ExpressionTrack, PoseTrack


def edits(**lanes):
    return parsed_edits(json.dumps({"version": 1, "lanes": {name: {"curves": [one]} for name, one in lanes.items()}}), LANES)


@pytest.fixture
def units():
    au = torch.rand(50, 17, generator=torch.Generator().manual_seed(0)) * 3
    au[:5, 2] = torch.nan
    return ExpressionTrack(au, 25.0)


@pytest.fixture
def poses():
    from scipy.spatial.transform import Rotation

    out = torch.eye(4).repeat(50, 1, 1)
    turns = np.stack([np.linspace(-10, 10, 50), np.linspace(5, -5, 50), np.linspace(0, 8, 50)], 1)
    out[:, :3, :3] = torch.from_numpy(Rotation.from_euler("yxz", turns, degrees=True).as_matrix()).float()
    out[:, :3, 3] = torch.tensor([0.05, 0.02, 0.9])
    return PoseTrack(out, 600.0, (256, 256))


def test_no_edits_change_nothing(units, poses):
    none = parsed_edits("", LANES)
    assert edited_units(units, none) is units and edited_pose(poses, none) is poses
    elsewhere = edits(yaw={"points": [[30, 5]]}, AU12={"points": [[30, 2]]})
    same = edited_units(units, elsewhere).au
    assert torch.equal(same.nan_to_num(-1), units.au.nan_to_num(-1)) and edited_pose(poses, elsewhere) is poses


def test_units_within_their_range_and_unknown_ones_stay_unknown(units):
    new = edited_units(units, edits(AU04={"points": [[0, 9 / 2], [9, 9 / 2]]}, AU12={"points": [[1, 5]], "mode": "replace"})).au
    assert new[:5, 2].isnan().all() and (new[5:, 2] >= units.au[5:, 2]).all() and new[5:, 2].max() == 5
    smile = AU_NAMES.index("AU12")
    assert new[24, smile] > 4.5 and torch.equal(new[:15, smile], units.au[:15, smile])
    others = [i for i in range(17) if i not in (2, smile)]
    assert torch.equal(new[:, others], units.au[:, others])


def test_the_head_looks_where_it_is_told(poses):
    own, curve = head_angles(poses), {"points": [[0.6, 15], [1.2, 15]], "fade": 0.2}
    new = edited_pose(poses, edits(yaw=curve, pitch={**curve, "mode": "replace"}))
    angles, inside = head_angles(new), slice(15, 30)
    assert np.allclose(angles["yaw"][inside] - own["yaw"][inside], 15, atol=1e-3)
    assert np.allclose(angles["pitch"][inside], 15, atol=1e-3)
    assert torch.equal(new.camera_to_head[:9], poses.camera_to_head[:9])
    assert torch.equal(new.camera_to_head[36:], poses.camera_to_head[36:])


def test_the_head_turns_about_its_neck(poses):
    """Where the camera sees the neck does not change; the nose goes where the head looks."""
    def seen(track, point):
        homogeneous = torch.tensor([*point, 1.0], dtype=torch.float64)
        return torch.linalg.inv(track.camera_to_head.double()) @ homogeneous

    new = edited_pose(poses, edits(yaw={"points": [[0, 30], [9, 30]]}))
    assert torch.allclose(seen(new, NECK), seen(poses, NECK), atol=1e-5)
    nose = (0.0, 0.0, 0.1)
    assert (seen(new, nose)[:, 0] > seen(poses, nose)[:, 0] + 0.02).all(), "positive: to the image's right"
    up = edited_pose(poses, edits(pitch={"points": [[0, 20], [9, 20]]}))
    assert (seen(up, nose)[:, 1] > seen(poses, nose)[:, 1] + 0.02).all(), "positive: upwards"


def test_the_sketch_shows_every_unit_and_is_symmetric():
    from talking_heads.media_core.face.geometry import MIRROR

    table = sketch()
    assert (np.abs(table).max((1, 2)) > 1e-4).all(), "each unit moves something"
    mirrored = table[:, MIRROR] * np.array([-1, 1, 1])
    assert np.allclose(mirrored, table, atol=1e-3)
