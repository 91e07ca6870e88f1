"""Head movement made for avatars."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.head_pose import (
    camera_pose,
    moved_pose,
    scaled_pose,
    still_pose,
    sway_frames,
    swaying_pose,
    transferred_pose,
)
from talking_heads.media_core.motion import PoseTrack


def recorded(frames: int = 41) -> PoseTrack:
    """A head that turns 10 degrees to either side, 60 cm away."""
    angle = np.radians(10) * np.sin(np.linspace(-np.pi, np.pi, frames))
    pose = np.tile(np.eye(4), (frames, 1, 1))
    pose[:, :3, :3] = Rotation.from_euler("y", angle[:, None]).as_matrix()
    pose[:, :3, 3] = pose[:, :3, :3] @ [0, 0, 0.6]
    return PoseTrack(torch.from_numpy(pose).float(), 600.0, (256, 256))


def turns(track: PoseTrack) -> np.ndarray:  # degrees about y
    return Rotation.from_matrix(track.camera_to_head[:, :3, :3].numpy()).as_euler("yxz", degrees=True)[:, 0]


def test_a_still_head_is_the_recordings_middle():
    still = still_pose(recorded())
    assert len(still) == 1 and abs(turns(still)[0]) < 0.6 and still.focal == 600.0


@pytest.mark.parametrize("amount", [0.0, 0.5, 2.0])
def test_a_recorded_movement_is_scaled_about_its_middle(amount):
    track = recorded()
    assert np.allclose(turns(scaled_pose(track, amount)), amount * turns(track), atol=0.01)
    assert scaled_pose(track, 1.0) is track
    with pytest.raises(TalkingHeadsError, match="0..3"):
        scaled_pose(track, 4.0)


def test_a_generated_movement_is_small_slow_and_repeatable():
    track = recorded()
    sway = swaying_pose(track, 500, 7)
    assert len(sway) == 500 and sway.image_size == track.image_size
    assert np.ptp(turns(sway)) > 2 and np.ptp(turns(sway)) < 30 and np.abs(np.diff(turns(sway))).max() < 1.5
    distance = sway.camera_to_head[:, :3, 3].norm(dim=1)
    assert float(distance.min()) > 0.55 and float(distance.max()) < 0.65
    assert torch.equal(sway.camera_to_head, swaying_pose(track, 500, 7).camera_to_head)
    assert not torch.equal(sway.camera_to_head, swaying_pose(track, 500, 8).camera_to_head)
    held = still_pose(track).camera_to_head.expand(5, -1, -1)
    assert torch.allclose(swaying_pose(track, 5, 7, 0.0).camera_to_head, held, atol=1e-6)


def test_another_heads_movement_keeps_the_avatars_camera():
    near = recorded()
    turned = Rotation.from_euler("y", 5, degrees=True).as_matrix()
    pose = np.tile(np.eye(4), (3, 1, 1))
    pose[:, :3, :3], pose[:, :3, 3] = turned, turned @ [0, 0, 1.5]
    out = transferred_pose(near, PoseTrack(torch.from_numpy(pose).float(), 900.0, (512, 512)))
    assert np.allclose(turns(out), turns(near) + 5, atol=0.6) and (out.focal, out.image_size) == (900.0, (512, 512))
    assert torch.allclose(out.camera_to_head[:, :3, 3].norm(dim=1), torch.tensor(1.5), atol=1e-5)


def test_core_camera_looks_as_it_says():
    quaternion = Rotation.from_euler("y", 20, degrees=True)
    eye = quaternion.apply([0, 0, 0.5])
    camera = {"position": dict(zip("xyz", eye)), "target": {"x": 0, "y": 0, "z": 0}, "fov": 30, "zoom": 2}
    looked = camera_pose(camera, (200, 100), 25.0)
    turned = camera_pose({**camera, "quaternion": dict(zip("xyzw", quaternion.as_quat()))}, (200, 100), 25.0)
    assert torch.allclose(looked.camera_to_head, turned.camera_to_head, atol=1e-6)
    assert np.allclose(turns(looked), 20) and np.allclose(looked.camera_to_head[0, :3, 3], eye)
    assert looked.focal == pytest.approx(100 / np.tan(np.radians(15)) * 2) and looked.image_size == (200, 100)
    above = camera_pose({"position": {"x": 0, "y": 1, "z": 0}, "target": {"x": 0, "y": 0, "z": 0}}, (100, 100), 25.0)
    assert np.allclose(above.camera_to_head[0, :3, 2], [0, 1, 0])


@pytest.mark.parametrize("camera", [{}, {"position": {"x": 0.01}}, {"position": {"z": 1}, "target": {"z": 1}},
                                    {"position": {"z": float("nan")}, "target": {}}, {"position": 3, "target": {}},
                                    {"position": {"z": 1}, "target": {}, "cameraType": "orthographic"},
                                    {"position": {"z": 1}, "target": {}, "fov": 500}])
def test_what_is_no_such_camera_is_told(camera):
    with pytest.raises(TalkingHeadsError):
        camera_pose(camera, (100, 100), 25.0)


def test_movements_have_names():
    track = recorded()
    assert torch.equal(moved_pose("sway", track, 9, 7, 1.0).camera_to_head, swaying_pose(track, 9, 7).camera_to_head)
    assert moved_pose("recorded", track, 9, 7, 1.0) is track and len(moved_pose("still", track, 9, 7, 1.0)) == 1
    with pytest.raises(TalkingHeadsError, match="'nod'"):
        moved_pose("nod", track, 9, 7, 1.0)


def test_a_length_in_seconds():
    assert sway_frames(2.0, 25.0) == 50 and sway_frames(0.0, 25.0) == 1
    with pytest.raises(TalkingHeadsError):
        sway_frames(-1.0, 25.0)
