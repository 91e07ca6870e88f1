"""Pictures of motion data sets and windows of them: written as seen, the mouth hidden in pose frames, every draw a function."""
from __future__ import annotations

import shutil
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from talking_heads.media_core.errors import Cancelled, FileFormatError, TalkingHeadsError
from talking_heads.media_core.subject import render
from talking_heads.moditalker_core.data import dataset as motion_dataset
from talking_heads.moditalker_core.data.dataset import MotionDataset
from talking_heads.moditalker_core.data.from_subject import SubjectPlan, build_from_subject
from talking_heads.moditalker_core.data.images import CLASSES, PictureSettings
from talking_heads.moditalker_core.mtov.dataset import PARTS, VideoWindows, WindowSettings, unchanged
from talking_heads.moditalker_core.mtov.model import RasterSettings
from talking_heads.moditalker_core.mtov.rasters import fine_rasters, landmark_clip, lower_face_hidden
from talking_heads.moditalker_core.mtov.video_batch import StoredBatch, mouth_weights

SIZE, T = 64, 6
PLAN = SubjectPlan(identities=(3, 4), seconds=0.8, engine="formant", seed=7, val=1, size=128,
                   pictures=PictureSettings(SIZE, masks=True))
PLAIN = replace(PLAN, pictures=None)
SETTINGS = WindowSettings(T, SIZE, RasterSettings(SIZE, 1, 1), "any", still=0.5, parts=PARTS)
MOUTH = CLASSES.index("mouth")


@pytest.fixture(scope="module", autouse=True)
def invented_once():
    """Every person's textures are painted once for all tests here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(render.assets, "build", lru_cache(render.assets.build))
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    return build_from_subject(tmp_path_factory.mktemp("pictures") / "d", PLAN)


@pytest.fixture(scope="module")
def captured(tmp_path_factory) -> Path:
    plan = replace(PLAN, identities=(3,), val=0, size=256, captured=True)
    return build_from_subject(tmp_path_factory.mktemp("captured") / "d", plan)


@pytest.fixture
def folder(made, tmp_path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(made, tmp_path / "copy"))


@pytest.fixture(scope="module")
def windows(made) -> VideoWindows:
    return VideoWindows(MotionDataset.open(made), "train", SETTINGS, seed=11)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def same(a, b) -> bool:
    return all(x is y is None or torch.equal(x, y) for x, y in zip(vars(a).values(), vars(b).values()))


# what is written ----------------------------------------------------------------------------------------------------------------

def test_every_frame_has_a_picture_its_landmarks_and_its_parts(made):
    dataset = MotionDataset.open(made)
    dataset.verify()
    assert CLASSES == render.CLASSES
    for index, clip in enumerate(dataset.clips):
        frames, masks, pixels = dataset.frames_of(index), dataset.masks(index), dataset.pixels(index)
        assert frames.shape == (20, SIZE, SIZE, 3) and masks.shape == (20, SIZE, SIZE) and pixels.shape == (20, 68, 2)
        assert frames.dtype == masks.dtype == np.uint8 and pixels.dtype == torch.float32
        assert clip.picture_size == SIZE and clip.facts["pictures"]["margin"] == 1.6
        x, y = pixels.round().long().unbind(-1)
        inside = masks[np.arange(20)[:, None], y, x]
        assert (inside[:, 28:36] == CLASSES.index("face")).all(), "the nose is on the face"
        assert (masks[:, 0, 0] != CLASSES.index("face")).all()
        for mask, points in zip(masks, pixels.numpy()):
            rows, columns = np.nonzero(mask == MOUTH)
            if len(rows) > 8:
                assert np.abs([columns.mean(), rows.mean()] - points[60:68].mean(0)).max() < 2


def test_pictures_are_the_rendered_ones(made):
    from talking_heads.media_core.face.crop import still_crop
    from talking_heads.media_core.subject import Subject, perform

    dataset = MotionDataset.open(made)
    performance, subject = perform(0.8, 7, engine="formant"), Subject(128, 3, oversampling=1)
    rendered = [subject.render(params, subject.pose(turn, shift), sway) for params, turn, shift, sway in
                zip(performance.params, performance.euler, performance.translation, performance.sway)]
    points = np.stack([frame.landmarks2d for frame in rendered])
    crop = still_crop(points, (128, 128), SIZE, margin=1.6)
    for i in (0, 13):
        assert np.abs(dataset.frames_of(0, i, i + 1)[0].astype(float) - crop.crop(rendered[i].rgb)).mean() < 2.5, "JPEG's loss"
        assert np.abs(dataset.pixels(0, i, i + 1)[0].numpy() - crop.to_crop(points[i])).max() < 1e-3


def test_rows_are_read_where_they_are_wanted(made):
    dataset = MotionDataset.open(made)
    assert np.array_equal(dataset.frames_of(1, 5, 9), dataset.frames_of(1)[5:9])
    assert np.array_equal(dataset.masks(1, 5, 9), dataset.masks(1)[5:9])
    assert len(dataset.frames_of(1, 18, 99)) == 2


def test_the_motion_is_the_same_without_pictures_and_says_how_to_get_them(made, tmp_path):
    with_pictures, plain = MotionDataset.open(made), MotionDataset.open(build_from_subject(tmp_path / "d", PLAIN))
    assert torch.equal(with_pictures.landmarks(0).points, plain.landmarks(0).points)
    assert torch.equal(with_pictures.speech(1).features, plain.speech(1).features)
    assert "pictures" not in (tmp_path / "d" / "index.json").read_text(), "folders without pictures are as they were"
    for wanted in (lambda: plain.frames_of(0), lambda: plain.pixels(0), lambda: VideoWindows(plain, "train", SETTINGS)):
        with pytest.raises(TalkingHeadsError, match="dataset motion OUT ... --frames 128"):
            wanted()


def test_a_following_square_goes_along(tmp_path):
    plan = replace(PLAN, identities=(3,), val=0, pictures=PictureSettings(SIZE, 1.3, "following", masks=True))
    dataset = MotionDataset.open(build_from_subject(tmp_path / "d", plan))
    crops = load_file(next((tmp_path / "d" / "shards").iterdir()))["c00000.crops"]
    assert crops.shape == (20, 2, 3) and crops[:, :, 2].std(0).max() > 0.01
    x, y = dataset.pixels(0).round().long().unbind(-1)
    assert (dataset.masks(0)[np.arange(20)[:, None], y[:, 28:36], x[:, 28:36]] == CLASSES.index("face")).all()


def test_a_stopped_build_goes_on_to_the_same_bits_and_leaves_nothing_behind(made, tmp_path):
    def stop(done, total, info, preview=None):
        if done >= 30:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        build_from_subject(tmp_path / "d", PLAN, report=stop)
    assert (tmp_path / "d" / "unfinished").is_dir()
    first = next((tmp_path / "d" / "shards").glob("*.safetensors"))
    written = first.stat().st_mtime_ns
    build_from_subject(tmp_path / "d", PLAN)
    assert first.stat().st_mtime_ns == written, "a finished shard was made again"
    assert contents(tmp_path / "d") == contents(made)


def test_pictures_come_to_an_older_folder_and_go_again(made, tmp_path):
    alone = {"identities": (3,), "val": 0}
    folder = build_from_subject(tmp_path / "d", replace(PLAIN, **alone))
    plain = contents(folder)
    build_from_subject(folder, replace(PLAN, **alone))
    assert np.array_equal(MotionDataset.open(folder).frames_of(0), MotionDataset.open(made).frames_of(0))
    build_from_subject(folder, replace(PLAIN, **alone))
    assert contents(folder) == plain


def test_previews_are_the_pictures(tmp_path):
    seen = []
    build_from_subject(tmp_path / "d", replace(PLAN, identities=(3,), val=0),
                       report=lambda done, total, info, preview=None: seen.append((done, total, preview)))
    assert all(total == 20 for _, total, _ in seen) and [done for done, *_ in seen] == sorted(done for done, *_ in seen)
    pictures = [preview for *_, preview in seen if preview is not None]
    assert pictures and all(picture.shape == (SIZE, SIZE, 3) and picture.dtype == np.uint8 for picture in pictures)


@pytest.mark.parametrize("given", [{"size": 8}, {"size": 4096}, {"size": 64, "margin": 0.5}, {"size": 64, "crop": "wild"}])
def test_pictures_that_cannot_be_are_refused(given):
    with pytest.raises(TalkingHeadsError):
        PictureSettings(**given)


def test_spoilt_pictures_are_told(folder):
    dataset = MotionDataset.open(folder)
    path = folder / "shards" / dataset.clips[0].shard
    tensors, name = load_file(path), dataset.clips[0].name
    begin, end = tensors[f"{name}.frame_offsets"][3:5].tolist()
    garbled = {**tensors, f"{name}.frames": tensors[f"{name}.frames"].index_fill(0, torch.arange(begin, end), 7)}
    short = {**tensors, f"{name}.frames": tensors[f"{name}.frames"][:begin + 9]}
    for spoilt, match in ((garbled, "readable"), (short, "one after the other"),
                          ({**tensors, f"{name}.frame_offsets": tensors[f"{name}.frame_offsets"][:-1]}, "20 frames"),
                          ({k: v for k, v in tensors.items() if k != f"{name}.frames"}, f"{name}.frames")):
        save_file(spoilt, path)
        with pytest.raises(FileFormatError, match=match):
            dataset.frames_of(0)
    assert len(dataset.frames_of(1)) == 20, "the other clip is whole"


# pose frames -------------------------------------------------------------------------------------------------------------------

def pictured(folder: Path) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """Pictures [T, 3, S, S], landmarks and mouths (of the parts; where it is shut, the lips' inner points)."""
    dataset = MotionDataset.open(folder)
    pixels, mouths = dataset.pixels(0), dataset.masks(0) == MOUTH
    for mouth, points in zip(mouths, pixels[:, 60:68].round().long().tolist()):
        for x, y in points:
            mouth[y, x] = True
    return torch.from_numpy(dataset.frames_of(0)).permute(0, 3, 1, 2), pixels, mouths


@pytest.mark.parametrize("source", ["made", "captured"])
def test_a_pose_frame_hides_the_mouth(source, request):
    pictures, pixels, mouths = pictured(request.getfixturevalue(source))
    mouth = torch.from_numpy(mouths)[:, None].expand_as(pictures)
    assert mouth.sum() > 500 and pictures[mouth].float().mean() > 30
    hidden = lower_face_hidden(pictures, pixels)
    assert (hidden[mouth] == 0).all()
    assert (hidden[:, :, :SIZE // 4] == pictures[:, :, :SIZE // 4]).all(), "eyes and brows stay"


@pytest.mark.parametrize("source", ["made", "captured"])
def test_landmarks_flipped_about_another_row_would_show_it(source, request):
    """The released preparation took a wrong height: everything lies height - 3 px too low (docs/moditalker.md#image-height)."""
    pictures, pixels, mouths = pictured(request.getfixturevalue(source))
    shown = lower_face_hidden(pictures, pixels + torch.tensor([0, SIZE - 3]))
    assert torch.equal(shown, pictures)


def test_the_mouth_is_hidden_in_every_window(windows):
    batch = windows.batch(0, range(12))
    mouth = (batch.weights > 1).expand_as(batch.pose)
    below = torch.arange(SIZE)[:, None] >= batch.pixels[:, :, 33, 1].trunc().amax(1)[:, None, None, None, None]
    assert (batch.pose[mouth & below] == -1).all() and (batch.pose[mouth & below]).numel() > 1000
    assert (batch.frames[mouth & below] > -0.9).float().mean() > 0.8


# windows ------------------------------------------------------------------------------------------------------------------------

def test_a_batch_has_all_parts_at_one_size(windows):
    batch = windows.batch(3, range(2))
    clip = (2, 3, T, SIZE, SIZE)
    assert batch.frames.shape == batch.landmarks.shape == batch.pose.shape == clip
    assert batch.identity.shape == (2, 3, SIZE, SIZE) and batch.pixels.shape == (2, T, 68, 2)
    assert batch.weights.shape == (2, 1, T, SIZE, SIZE) and batch.masks.shape == (2, T, SIZE, SIZE)
    assert set(batch.landmarks.unique().tolist()) == {-1.0, 1.0}
    for part in (batch.frames, batch.pose, batch.identity):
        assert part.dtype == torch.float32 and part.min() >= -1 and 0.3 < part.max() <= 1
    x, y = batch.pixels.trunc().long().unbind(-1)
    discs = batch.landmarks[torch.arange(2)[:, None, None], 0, torch.arange(T)[:, None], y, x]
    assert (discs == 1).all(), "a disc at every point"


def test_windows_depend_on_seed_step_and_index_alone(windows, made):
    again = VideoWindows(MotionDataset.open(made), "train", SETTINGS, seed=11)
    whole = windows.batch(5, range(4))
    again.batch(9, [0])
    assert same(whole, type(whole).of([again.batch(5, [0, 1]), again.batch(5, [2]), again.batch(5, [3])]))
    other = VideoWindows(MotionDataset.open(made), "train", SETTINGS, seed=12)
    drawn = {sample for source in (windows, other) for step in (5, 6) for sample in [source.sample(step, i) for i in range(4)]}
    assert len(drawn) == 16


@pytest.mark.parametrize("finer", [1, 3, 4, 16])
def test_windows_wait_as_bytes_and_are_the_same_afterwards(windows, finer):
    raster = RasterSettings(SIZE, 2, finer)
    source = VideoWindows(windows.dataset, "train", replace(SETTINGS, raster=raster), seed=11)
    sample = source.sample(4, 1)
    stored = source.stored(sample)
    assert all(part.dtype in (torch.uint8, torch.int16) for part in (stored.frames, stored.discs, stored.reference, stored.masks))
    assert (stored.discs.dtype == torch.uint8) == (finer < 16)
    made, drawn = stored.on("cpu"), fine_rasters(stored.pixels[0], SIZE, **vars(raster))
    assert torch.equal(made.landmarks[0], landmark_clip(drawn)), "not a level is lost"
    assert torch.equal(StoredBatch.of([stored, stored]).on("cpu").pose[1], made.pose[0])


def test_every_frame_and_reference_is_drawn(windows):
    samples = [windows.sample(0, i) for i in range(400)]
    assert {sample.start for sample in samples} == set(range(20 - T + 1))
    assert {sample.reference for sample in samples} == set(range(20))
    assert {sample.mirrored for sample in samples} == {sample.still for sample in samples} == {False, True}
    gains = np.array([sample.gains for sample in samples])
    assert gains.min() > 0.85 and gains.max() < 1.15 and np.ptp(gains) > 0.25
    first = VideoWindows(windows.dataset, "train", replace(SETTINGS, reference="first"), seed=11)
    assert all(first.sample(0, i).reference == first.sample(0, i).start for i in range(9))


def test_clips_count_by_their_length(made):
    dataset = MotionDataset.open(made)
    dataset.clips = tuple(replace(clip, split="train", frames=frames) for clip, frames in zip(dataset.clips, (6, 20)))
    source = VideoWindows(dataset, "train", SETTINGS)
    share = np.mean([source.sample(0, i).clip for i in range(1000)])
    assert abs(share - 20 / 26) < 0.05


def test_a_mirrored_window_is_mirrored_throughout(windows):
    sample = replace(windows.sample(1, 0), mirrored=False, still=False)
    plain, turned = (windows.windows([replace(sample, mirrored=mirrored)]) for mirrored in (False, True))
    for part in ("frames", "pose", "identity", "masks"):
        assert torch.equal(getattr(turned, part), getattr(plain, part).flip(-1)), part
    assert not torch.equal(turned.frames, plain.frames)
    right, left = turned.pixels[..., 36, 0], turned.pixels[..., 45, 0]
    assert (right < left).all(), "the right eye's number goes to what is now the right eye"
    assert torch.allclose(right, SIZE - 1 - plain.pixels[..., 45, 0], atol=1e-4)
    shared = (turned.landmarks == plain.landmarks.flip(-1)).float().mean()
    assert shared > 0.9, "the discs go along (cut to whole px)"


def test_colours_change_alike_and_black_stays_black(windows):
    sample = replace(windows.sample(1, 1), gains=(1.0, 1.0, 1.0), still=False)
    plain, coloured = (windows.windows([replace(sample, gains=gains)]) for gains in (sample.gains, (0.9, 1.0, 1.1)))
    for part in ("frames", "identity"):
        a, b = ((getattr(batch, part) + 1) * 127.5 for batch in (plain, coloured))
        wanted = (a * torch.tensor([0.9, 1.0, 1.1]).view(1, 3, *[1] * (a.ndim - 2))).clamp(0, 255)
        assert torch.allclose(b, wanted, atol=1e-2)
    assert torch.equal(plain.pose == -1, coloured.pose == -1) and torch.equal(plain.landmarks, coloured.landmarks)


def test_a_still_pose_is_the_identity_without_its_lower_face(windows):
    batch = windows.windows([replace(windows.sample(2, 0), still=True), replace(windows.sample(2, 0), still=False)])
    still, moving = batch.pose
    assert torch.equal(still, still[:, :1].expand_as(still)) and not torch.equal(moving, moving[:, :1].expand_as(moving))
    rows = (still[:, 0] > -1).any(0).any(-1)
    seen = int(rows.nonzero().max()) + 1
    assert torch.equal(still[:, 0, :seen], batch.identity[0, :, :seen]) and seen < SIZE * 3 // 4


def test_only_what_is_wanted_is_read(windows, monkeypatch):
    read = []
    whole = motion_dataset.decoded
    monkeypatch.setattr(motion_dataset, "decoded", lambda blobs, offsets, colour: read.append((len(offsets) - 1, colour))
                        or whole(blobs, offsets, colour))
    bare = VideoWindows(windows.dataset, "train", replace(SETTINGS, parts=()), seed=11).batch(0, [0])
    assert bare.landmarks is bare.pose is bare.identity is bare.masks is None and read == [(T, True)]
    blind = VideoWindows(windows.dataset, "train", replace(SETTINGS, parts=("landmarks",), pictures=False), seed=11).batch(0, [0])
    assert blind.frames is None and torch.equal(blind.landmarks, windows.batch(0, [0]).landmarks)
    assert read[1:] == [(T, True), (1, True), (T, False)], "nothing beyond the window's own pictures"


def test_the_mouths_box_weighs_more():
    points = torch.zeros(2, 68, 2)
    points[:, 48:68] = torch.tensor([20.0, 40.0])
    points[1, 48, 0], points[1, 57, 1] = 10.0, 50.5
    weights = mouth_weights(points, SIZE, 5.0)
    assert weights.shape == (1, 2, SIZE, SIZE) and set(weights.unique().tolist()) == {1.0, 5.0}
    for frame, (left, top, right, bottom) in ((0, (18, 38, 22, 42)), (1, (8, 38, 22, 52))):
        rows, columns = (weights[0, frame] == 5).nonzero().unbind(1)
        assert (columns.min(), rows.min(), columns.max(), rows.max()) == (left, top, right, bottom)


def test_smaller_windows_are_the_same_seen_smaller(windows):
    small = VideoWindows(windows.dataset, "train", replace(SETTINGS, size=32, raster=RasterSettings(32, 1, 1)), seed=11)
    a, b = windows.batch(0, [0]), small.batch(0, [0])
    assert b.frames.shape[-1] == b.masks.shape[-1] == 32
    assert torch.allclose(b.pixels + 0.5, (a.pixels + 0.5) / 2, atol=1e-4)
    assert (torch.nn.functional.avg_pool3d(a.frames, (1, 2, 2)) - b.frames).abs().mean() < 0.01


def test_windows_to_validate_on_are_spread_and_unchanged(made):
    dataset = MotionDataset.open(made)
    dataset.clips = tuple(replace(clip, split="val") for clip in dataset.clips)
    source = VideoWindows(dataset, "val", unchanged(SETTINGS))
    samples = source.spread(6)
    assert [sample.clip for sample in samples] == [0, 0, 0, 1, 1, 1] and len(set(samples)) == 6
    assert all(sample.start + T <= 20 and sample.reference == 0 for sample in samples)
    assert not any(sample.mirrored or sample.still or sample.gains != (1, 1, 1) for sample in samples)
    assert source.windows(samples).frames.shape == (6, 3, T, SIZE, SIZE)


def test_sets_that_do_not_fit_are_refused(made):
    dataset = MotionDataset.open(made)
    with pytest.raises(TalkingHeadsError, match="--frames 128"):
        VideoWindows(dataset, "train", replace(SETTINGS, size=128, raster=RasterSettings(128)))
    with pytest.raises(TalkingHeadsError, match="30 frames or more"):
        VideoWindows(dataset, "train", replace(SETTINGS, frames=30))
    dataset.clips = dataset.clips[:1]
    with pytest.raises(TalkingHeadsError, match="to test on"):
        VideoWindows(dataset, "val", SETTINGS)


@pytest.mark.parametrize("changes", [{"reference": "last"}, {"still": 1.5}, {"parts": ("sound",)}, {"frames": 0}, {"mouth": -1.0},
                                     {"pictures": False}, {"raster": RasterSettings(32)}])
def test_settings_that_cannot_be_are_refused(changes):
    with pytest.raises(TalkingHeadsError):
        replace(SETTINGS, **changes)
