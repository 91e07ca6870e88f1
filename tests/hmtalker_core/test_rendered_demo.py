"""Pictures of the shipped demo avatar: no holes at the lips, the same picture at any size, lids and lips as they are told."""
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage
from talking_heads.hmtalker_core.checkpoints import load_avatar
from talking_heads.hmtalker_core.drawing import draw_branch, drawn
from talking_heads.hmtalker_core.model.camera import film_cameras
from talking_heads.media_core.audio import Sound
from talking_heads.media_core.face.mesh.tracker import MeshTracker
from talking_heads.media_core.metrics import correlation, eye_aperture, lip_aperture
from talking_heads.media_core.motion import AU_NAMES, ExpressionTrack
from talking_heads.media_core.speech import encode_speech

DEMO = Path(__file__).parents[2] / "weights" / "demo_avatar.safetensors"
HELD = ("AU20", "AU25", "AU26")  # stretched and open


@pytest.fixture(scope="module")
def avatar():
    return load_avatar(DEMO)


@pytest.fixture(scope="module")
def motion(avatar):
    """Lips that open further from frame to frame."""
    au = torch.full((12, 17), torch.nan)
    for name in HELD:
        au[:, AU_NAMES.index(name)] = torch.linspace(0, 4, 12)
    wave = 0.3 * np.sin(np.arange(7680) / 16000 * 2 * np.pi * 180).astype(np.float32)
    return avatar.drive(encode_speech(Sound(wave[None], 16000)), expression=ExpressionTrack(au, 25.0, "test"))


def pictures(avatar, motion, **options):
    rgb, alpha = zip(*avatar.render(motion, **options))
    return torch.cat(rgb), torch.cat(alpha)


def holes(alpha):
    """Pixels of alpha at most .9 that the head encloses, over all frames."""
    solid = alpha.numpy() > 0.9
    return sum(int((ndimage.binary_fill_holes(frame) & ~frame).sum()) for frame in solid)


def test_nothing_shows_through_between_the_lips(avatar, motion, monkeypatch):
    assert holes(pictures(avatar, motion, torso=False)[1]) == 0
    monkeypatch.setattr("talking_heads.hmtalker_core.cpu_frames.dilation_at", lambda height: 1)
    assert holes(pictures(avatar, motion, torso=False)[1]) > 0, "what the filter is for"


@pytest.mark.parametrize("torso", [True, False])
def test_twice_the_size_is_the_same_picture(avatar, motion, torso):
    options = {"start": 6, "stop": 8, "torso": torso}
    (native, _), (large, alpha) = pictures(avatar, motion, **options), pictures(avatar, motion, size=(512, 512), **options)
    halved = torch.nn.functional.avg_pool2d(large.movedim(-1, 1), 2).movedim(1, -1)
    assert float(-10 * torch.log10((halved - native).square().mean())) > 42
    assert holes(alpha) < 10


@pytest.mark.parametrize("size", [None, (512, 512), (192, 320)])
@pytest.mark.parametrize("background, torso", [("plate", True), ("transparent", True), ((0.0, 1.0, 0.0), False)])
def test_kernels_draw_what_torch_draws(avatar, motion, size, background, torso):
    picture = avatar.picture(size=size, background=background, torso=torso)
    with torch.inference_mode():
        wanted = torch.cat([part.reshape(*part.shape[:3], -1) for part in drawn(avatar, motion, 7, 9, picture)], dim=-1)
    rgb, alpha = pictures(avatar, motion, start=7, stop=9, size=size, background=background, torso=torso)
    assert float((torch.cat([rgb, alpha[..., None]], dim=-1) - wanted).abs().max()) < 0.5 / 255
    channels = 4 if background == "transparent" else 3
    made = avatar.render_bytes(motion, 7, 9, picture)
    assert made.dtype == np.uint8 and np.abs(made - wanted[..., :channels].mul(255).round().numpy()).max() <= 1


def test_half_the_size_is_the_picture_averaged_down(avatar, motion):
    options = {"start": 6, "stop": 8}
    (native, _), (small, _) = pictures(avatar, motion, **options), pictures(avatar, motion, size=(128, 128), **options)
    halved = torch.nn.functional.avg_pool2d(native.movedim(-1, 1), 2).movedim(1, -1)
    assert float(-10 * torch.log10((halved - small).square().mean())) > 37


def test_without_the_scaled_blur_twice_the_size_has_holes(avatar, motion, monkeypatch):
    options = {"start": 6, "stop": 8, "torso": False, "size": (512, 512)}
    assert holes(pictures(avatar, motion, **options)[1]) == 0
    monkeypatch.setattr("talking_heads.hmtalker_core.model.camera.BLUR", 0.3 / 4)
    assert holes(pictures(avatar.with_config(), motion, **options)[1]) > 60, "what scaling is for; a copy keeps no cameras"


@pytest.mark.parametrize("size", [(512, 256), (256, 448), (192, 256)])
def test_another_shape_keeps_the_proportions(avatar, motion, size):
    """The frame is the enlarged image with the sides, or top and bottom, cut off."""
    options = {"start": 6, "stop": 7}
    window = avatar.window(size)
    assert window.whole[0] == window.whole[1] == max(size), "a square avatar fills the longer side"
    (whole, _), (cut, _) = pictures(avatar, motion, size=window.whole, **options), pictures(avatar, motion, size=size, **options)
    assert float((window.cut(whole) - cut).abs().max()) < 1 / 255


def test_the_edge_of_the_head_is_not_darker_than_the_head(avatar, motion):
    for size in (None, (512, 512)):
        rgb, alpha = pictures(avatar, motion, start=6, stop=8, size=size, torso=False, background="transparent")
        for image, cover in zip(rgb.mean(-1).numpy(), alpha.numpy()):
            away, (row, column) = ndimage.distance_transform_edt(cover < 0.98, return_indices=True)
            edge = (cover > 0.2) & (cover < 0.8) & (away < 6)
            assert (image[edge] - image[row[edge], column[edge]]).mean() > -1 / 255


def test_nothing_of_the_face_floats_between_the_lips(avatar, motion):
    """Face alone at twice the size: no spot of alpha inside the opening that does not reach its rim."""
    camera = film_cameras(motion.poses, 8, 12, (512, 512), avatar.size, avatar.device)
    with torch.inference_mode():
        _, alpha = draw_branch(avatar.face, camera, "cpu", *avatar.offsets(motion, 8, 12)[0])
    for frame in alpha[..., 0].numpy():
        spots, _ = ndimage.label(frame > 0.05)
        head = np.bincount(spots[frame > 0.5]).argmax()
        enclosed = ndimage.binary_fill_holes(frame > 0.5) & (frame < 0.5)
        assert enclosed.sum() > 100 and not (enclosed & (spots != head) & (spots > 0)).any()


def seen(avatar, told, measure):
    """What the tracker of people reads in frames in which units are told, by name -> [T]; the head keeps still."""
    count = len(next(iter(told.values())))
    au = torch.full((count, 17), torch.nan)
    for name, curve in told.items():
        au[:, AU_NAMES.index(name)] = torch.as_tensor(curve, dtype=torch.float32)
    speech = encode_speech(Sound(np.zeros((1, count * 640), np.float32), 16000))
    still = avatar.poses.selected(torch.zeros(1, dtype=torch.long))
    frames, _ = pictures(avatar, avatar.drive(speech, expression=ExpressionTrack(au, 25.0, "test"), pose=still, blinks="none"))
    tracker = MeshTracker()
    points = np.stack([tracker((frame.numpy() * 255).round().astype(np.uint8)).points for frame in frames])
    return np.asarray(measure(points))


def test_lids_close_as_they_are_told(avatar):
    lids = np.concatenate([np.zeros(4), np.linspace(0, avatar.config["blink_ceiling"], 6), np.zeros(4)])
    opened = seen(avatar, {"AU45": lids}, eye_aperture)
    assert correlation(-opened, lids) > .9
    assert opened[9] < .5 * opened[:4].mean() and opened[-4:].mean() > .9 * opened[:4].mean()


def test_lips_open_as_they_are_told(avatar):
    parted = np.linspace(0, 4, 12)
    opened = seen(avatar, {"AU25": parted, "AU26": parted * .8}, lip_aperture)
    assert correlation(opened, parted) > .95
    assert opened[0] < .03 and opened[-1] > .15  # of the distance of the eyes
