"""Motion data sets of films: shots are split, what cannot be used is listed, a stopped build goes on in the middle of a film."""
from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from talking_heads.media_core.audio import Sound
from talking_heads.media_core.errors import Cancelled, FileFormatError, TalkingHeadsError
from talking_heads.media_core.face.landmarks.landmarks import FaceFrame
from talking_heads.media_core.face.landmarks.raw_track import RawTrack
from talking_heads.media_core.metrics import lip_aperture
from talking_heads.media_core.video import VideoWriter
from talking_heads.moditalker_core.data import from_videos, video_images
from talking_heads.moditalker_core.data.captured import bridged, pieces
from talking_heads.moditalker_core.data.dataset import MotionDataset
from talking_heads.moditalker_core.data.from_videos import FilmPlan, build_from_videos
from talking_heads.moditalker_core.data.images import CLASSES, PictureSettings
from talking_heads.moditalker_core.mtov.rasters import lower_face_hidden
from voices import voice

SIDE, FRAMES = 64, 130
LIGHT, DARK = 200, 40  # of two shots' backgrounds
FIRST = 60  # brightness of frame 0's corner; each frame's is one more


class KnownFace:
    """A tracker that knows where the face is: the row of an exact film that the picture's corner tells; black below: none."""
    kind = "exact"

    def __init__(self, points: np.ndarray):
        self.points, self.state = points, None

    def reset(self) -> None:
        self.state = None

    def __call__(self, frame: np.ndarray, region=None) -> FaceFrame | None:
        number = round(float(frame[2:14, 2:14].mean())) - FIRST
        self.state = self.points[min(max(number, 0), len(self.points) - 1)]
        return None if frame[-8, -8, 0] < 10 else FaceFrame(self.state, 0.9)


class Unused(KnownFace):
    """One that must not be asked."""

    def __call__(self, frame: np.ndarray, region=None) -> FaceFrame | None:
        pytest.fail("tracks again")


@pytest.fixture(scope="module")
def points() -> np.ndarray:  # [130, 68, 2] px of a picture 64 px wide
    from face_video import film

    return ((film(3, FRAMES / 25).points + 0.5) * SIDE / 512 - 0.5).astype(np.float32)


def write_film(path: Path, frames: int = 60, cut: int | None = None, sound: float | None = 1.0, hidden=()) -> Path:
    """Grey pictures with their number as brightness of a corner; from `cut` on another shot; black where the face is hidden."""
    path.parent.mkdir(parents=True, exist_ok=True)
    heard = None if sound is None else Sound(np.float32(sound) * voice(frames / 25).waveform, 16000)
    with VideoWriter(path, SIDE, SIDE, 25, heard, crf=5) as film:
        for i in range(frames):
            picture = np.full((SIDE, SIDE, 3), LIGHT if cut is None or i < cut else DARK, np.uint8)
            picture[SIDE // 2:], picture[:16, :16] = 0 if i in hidden else 120, FIRST + i
            film.write(picture)
    return path


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    write_film(folder / "ann" / "cut.mp4", 70, cut=40)
    write_film(folder / "ann" / "plain.mp4", 50)
    write_film(folder / "mute.mp4", 40, sound=None)
    write_film(folder / "still.mp4", 40, sound=0.0)
    write_film(folder / "nobody.mp4", 40, hidden=range(40))
    (folder / "broken.mp4").write_bytes(b"no film" * 50)
    (folder / "notes.txt").write_text("not looked at")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def made(films, points, tmp_path_factory) -> Path:
    return build_from_videos(films, tmp_path_factory.mktemp("motion") / "d", FilmPlan(size=128), tracker=KnownFace(points))


def test_shots_become_clips_with_their_own_sound(made):
    dataset = MotionDataset.open(made)
    dataset.verify()
    assert [(clip.source, clip.frames, clip.identity) for clip in dataset.clips] == \
        [("ann/cut.mp4", 40, "ann"), ("ann/cut.mp4", 30, "ann"), ("ann/plain.mp4", 50, "ann")]
    for index, clip in enumerate(dataset.clips):
        assert dataset.speech(index).frame_count(25) == clip.frames == len(dataset.landmarks(index)) == len(dataset.poses(index))
    assert [clip.facts["first_frame"] for clip in dataset.clips] == [0, 40, 0]
    assert lip_aperture(dataset.landmarks(2).points).std() > 0.01, "the mouth moves"
    assert dataset.indices("val") == (2,)


def test_the_sound_of_a_clip_is_what_is_heard_in_it(made, films):
    from talking_heads.media_core.speech import encode_speech
    from talking_heads.media_core.video import load_film_sound

    whole = encode_speech(load_film_sound(films / "ann" / "cut.mp4")).features
    second = MotionDataset.open(made).speech(1).features
    assert float((second[4:90] - whole[128 + 4:128 + 90]).abs().max()) < 0.05  # 40 frames are 128 rows


def test_what_cannot_be_used_is_listed_with_its_reason(made):
    skipped = {entry["source"]: entry["reason"] for entry in MotionDataset.open(made).skipped}
    assert set(skipped) == {"broken.mp4", "mute.mp4", "nobody.mp4", "still.mp4"}
    assert "no audio" in skipped["mute.mp4"] and "no face" in skipped["nobody.mp4"] and "nobody speaks" in skipped["still.mp4"]
    assert "cannot be decoded" in skipped["broken.mp4"]


def test_a_stopped_build_goes_on_in_the_middle_of_a_film(made, films, points, tmp_path, monkeypatch):
    from talking_heads.media_core.capture import tracking

    monkeypatch.setattr(tracking, "CHUNK", 10)

    def stop(done, total, info, preview=None):
        if done > 55:
            raise Cancelled("enough")

    tracker, seen = KnownFace(points), []
    with pytest.raises(Cancelled):
        build_from_videos(films, tmp_path / "d", FilmPlan(size=128), tracker=tracker, report=stop)
    with pytest.raises(FileFormatError, match="finished"):
        MotionDataset.open(tmp_path / "d")
    build_from_videos(films, tmp_path / "d", FilmPlan(size=128), tracker=tracker,
                      report=lambda done, total, info, preview=None: seen.append(done))
    assert contents(tmp_path / "d") == contents(made)
    assert min(done for done in seen if done) > 50, "frames that had been tracked were tracked again"


def test_a_finished_folder_is_left_and_another_kind_of_it_kept(made, films, points):
    from talking_heads.moditalker_core.data.from_subject import SubjectPlan, build_from_subject

    before = contents(made)
    build_from_videos(films, made, FilmPlan(size=128), tracker=Unused(points))
    with pytest.raises(TalkingHeadsError, match="made from videos"):
        build_from_subject(made, SubjectPlan(identities=(3,), seconds=1.0, engine="formant"))
    assert contents(made) == before


def test_trackers_are_not_mixed(made, films, points, tmp_path):
    plain = films / "ann" / "plain.mp4"
    by_people = KnownFace(points)
    by_people.kind = "people"
    folder = build_from_videos(plain, tmp_path / "d", FilmPlan(size=128), tracker=by_people)
    assert MotionDataset.open(folder).tracker == "people" and MotionDataset.open(made).tracker == "exact"
    before = contents(folder)
    with pytest.raises(TalkingHeadsError, match="by the tracker 'exact'.*by 'people'. Choose another folder"):
        build_from_videos(films, folder, FilmPlan(size=128), tracker=Unused(points))
    assert contents(folder) == before


def test_a_dataset_of_before_grows_with_the_tracker_it_had(films, points, tmp_path):
    """Neither its index nor its shards name the tracker."""
    old = KnownFace(points)
    old.kind = "rendered"
    plan = FilmPlan(size=128, tracker="rendered")
    folder = build_from_videos(films / "ann" / "plain.mp4", tmp_path / "d", plan, tracker=old)
    for name in ("index.json", "request.json"):
        facts = json.loads((folder / name).read_text("utf8"))
        assert facts.pop("tracker") == "rendered" and "tracker" not in json.dumps(facts)
        (folder / name).write_text(json.dumps(facts), "utf8")
    assert MotionDataset.open(folder).tracker == "rendered"
    shard = next((folder / "shards").iterdir())
    before = shard.stat().st_mtime_ns
    build_from_videos([films / "ann" / "plain.mp4", films / "ann" / "cut.mp4"], folder, plan, tracker=old)
    assert shard.stat().st_mtime_ns == before and len(MotionDataset.open(folder)) == 3


def test_no_films_and_no_usable_film_are_told(films, tmp_path):
    with pytest.raises(FileFormatError, match="There must be videos"):
        build_from_videos(tmp_path, tmp_path / "d")
    with pytest.raises(TalkingHeadsError, match="mute.mp4: it has no audio"):
        build_from_videos([films / "mute.mp4", films / "broken.mp4"], tmp_path / "d")
    with pytest.raises(TalkingHeadsError, match="absent.mp4"):
        build_from_videos([tmp_path / "absent.mp4"], tmp_path / "e")


def test_sound_that_ends_early_ends_the_clips(points, tmp_path, monkeypatch):
    film, whole = write_film(tmp_path / "early.mp4", 80), from_videos.load_film_sound
    monkeypatch.setattr(from_videos, "load_film_sound", lambda path: whole(path).cut(0, 1.6))
    dataset = MotionDataset.open(build_from_videos(film, tmp_path / "d", FilmPlan(size=128), tracker=KnownFace(points)))
    assert dataset.frames == 40
    assert [(entry["reason"], entry["frames"]) for entry in dataset.skipped] == [("the audio has ended", [40, 80])]


def test_long_pieces_are_parted(points, tmp_path, monkeypatch):
    monkeypatch.setattr(from_videos, "LONGEST", 2.0)
    film = write_film(tmp_path / "long.mp4", 120)
    dataset = MotionDataset.open(build_from_videos(film, tmp_path / "d", FilmPlan(size=128), tracker=KnownFace(points)))
    assert [(clip.facts["first_frame"], clip.frames, clip.split) for clip in dataset.clips] == \
        [(0, 40, "train"), (40, 40, "train"), (80, 40, "val")]


def test_every_tenth_film_is_kept_for_validation():
    clips = [{"source": f"{film}"} for film in range(21) for _ in range(2)]
    assert from_videos._held_out(clips) == {18, 19, 38, 39}
    assert from_videos._held_out(clips[:1]) == set()
    assert from_videos._held_out(clips[:6]) == {5}


# pictures -----------------------------------------------------------------------------------------------------------------------

# the whole picture, with the corner that tells its number
WHOLE = FilmPlan(size=128, pictures=PictureSettings(SIDE, 2.5, masks=True))


def corners(dataset: MotionDataset, index: int) -> list[int]:
    """The film's frame numbers, as the pictures show them."""
    return [round(float(picture[2:14, 2:14].mean())) - FIRST for picture in dataset.frames_of(index)]


@pytest.fixture(scope="module", autouse=True)
def coarse_parts():
    """Parts are found in small pictures: these films show nothing that would be worth more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(video_images, "_WIDE", 48)
        yield


@pytest.fixture(scope="module")
def pictured(films, points, tmp_path_factory) -> Path:
    return build_from_videos(films / "ann", tmp_path_factory.mktemp("pictured") / "d", WHOLE, tracker=KnownFace(points))


def test_a_clips_pictures_are_the_films_frames(pictured, made, points):
    dataset, plain = MotionDataset.open(pictured), MotionDataset.open(made)
    dataset.verify()
    assert [clip.frames for clip in dataset.clips] == [clip.frames for clip in plain.clips] == [40, 30, 50]
    for index, clip in enumerate(dataset.clips):
        assert torch.equal(dataset.landmarks(index).points, plain.landmarks(index).points)
        first = clip.facts["first_frame"]
        assert np.abs(np.array(corners(dataset, index)) - range(first, first + clip.frames)).max() <= 1
        assert dataset.masks(index).shape == (clip.frames, SIDE, SIDE)
        away = np.abs(dataset.pixels(index).numpy() - points[first:first + clip.frames])
        assert away.mean() < 0.3 and away[:, 48:].max() < 1, "smoothed, lips are not; the square is the picture"


def test_a_build_stopped_among_the_pictures_goes_on_there(pictured, films, points, tmp_path, monkeypatch):
    def stop(done, total, info, preview=None):
        if done > 125:  # 70 tracked, then pictures of the first clip up to 110, and some of the second
            raise Cancelled("enough")

    tracker, cut, whole = KnownFace(points), [], video_images._cut
    with pytest.raises(Cancelled):
        build_from_videos(films / "ann", tmp_path / "d", WHOLE, tracker=tracker, report=stop)
    assert not list((tmp_path / "d" / "shards").iterdir())
    monkeypatch.setattr(video_images, "_cut", lambda frames, *others: cut.append(len(others[1])) or whole(frames, *others))
    build_from_videos(films / "ann", tmp_path / "d", WHOLE, tracker=tracker)
    assert cut == [30, 50], "pictures of a finished clip were cut again"
    assert contents(tmp_path / "d") == contents(pictured)


def test_what_another_tracker_found_before_a_stop_is_not_used(pictured, films, points, tmp_path):
    def stop(done, total, info, preview=None):
        if done > 100:  # all of the video is tracked, no shard is written
            raise Cancelled("enough")

    by_people = KnownFace(points + 3)
    by_people.kind = "people"
    with pytest.raises(Cancelled):
        build_from_videos(films / "ann", tmp_path / "d", WHOLE, tracker=by_people, report=stop)
    assert list((tmp_path / "d" / "unfinished").rglob("raw_track.safetensors"))
    build_from_videos(films / "ann", tmp_path / "d", WHOLE, tracker=KnownFace(points))
    assert contents(tmp_path / "d") == contents(pictured)


def test_a_film_that_has_become_shorter_is_told(films, points, tmp_path, monkeypatch):
    whole = video_images.read_frames
    monkeypatch.setattr(video_images, "read_frames", lambda *given: islice(whole(*given), 20))
    with pytest.raises(TalkingHeadsError, match="50 images.*20"):
        build_from_videos(films / "ann" / "plain.mp4", tmp_path / "d", WHOLE, tracker=KnownFace(points))


def test_the_parts_of_a_real_picture_are_where_the_landmarks_are(tiny_film, tmp_path, monkeypatch):
    monkeypatch.setattr(video_images, "_WIDE", 160)
    plan = FilmPlan(size=128, pictures=PictureSettings(SIDE, masks=True), tracker="rendered")
    dataset = MotionDataset.open(build_from_videos(tiny_film, tmp_path / "d", plan))
    masks, pixels = dataset.masks(0), dataset.pixels(0)
    x, y = pixels.round().long().clamp(0, SIDE - 1).unbind(-1)
    rows = np.arange(len(masks))[:, None]
    assert (masks[rows, y, x][:, 28:36] == CLASSES.index("face")).mean() > 0.95, "the nose"
    assert {CLASSES.index(name) for name in ("background", "face", "neck", "torso", "mouth")} <= set(np.unique(masks))
    pictures = torch.from_numpy(dataset.frames_of(0)).permute(0, 3, 1, 2)
    hidden, shown = (lower_face_hidden(pictures, pixels + torch.tensor([0, low])) for low in (0, SIDE - 3))
    mouth = torch.from_numpy(masks == CLASSES.index("mouth"))[:, None].expand_as(pictures)
    assert mouth.any() and (hidden[mouth] == 0).all() and torch.equal(shown, pictures), "docs/moditalker.md#image-height"


def test_faces_too_small_for_pictures_are_told_and_keep_their_motion(films, points, tmp_path):
    plan = FilmPlan(size=128, pictures=PictureSettings(256))
    dataset = MotionDataset.open(build_from_videos(films / "ann" / "plain.mp4", tmp_path / "d", plan, tracker=KnownFace(points)))
    assert len(dataset) == 1 and dataset.clips[0].picture_size == 0 and len(dataset.landmarks(0)) == 50
    assert "no images of 256 px" in dataset.skipped[0]["reason"] and dataset.skipped[0]["frames"] == [0, 50]
    with pytest.raises(TalkingHeadsError, match="--frames"):
        dataset.frames_of(0)


# pieces of a track --------------------------------------------------------------------------------------------------------------

def track(points: np.ndarray, unknown=(), cuts=()) -> RawTrack:
    points = points.copy()
    points[list(unknown)] = np.nan
    return RawTrack(points, np.isfinite(points).all((1, 2)).astype(np.float32), (SIDE, SIDE), 25.0, tuple(cuts))


def test_short_gaps_are_bridged_inside_a_shot_only(points):
    raw = track(points, unknown=[20, 21, 50, 51, 52, 53, 54, 55, 56, 80, 81], cuts=(81,))
    seen = bridged(raw).seen
    assert seen[20:22].all() and not seen[50:57].any() and not seen[80:82].any()
    assert np.abs(bridged(raw).points[20:22] - points[20:22]).max() < 1.5
    assert np.isnan(raw.points[20]).all(), "the given track was changed"


def test_pieces_cover_the_film_and_say_why_they_are_left_out(points):
    found = list(pieces(track(points, unknown=[*range(40, 60)], cuts=(75,)), 128))
    assert [(p.first, p.stop, p.landmarks is not None) for p in found] == \
        [(0, 40, True), (40, 60, False), (60, 75, False), (75, 130, True)]
    assert found[1].reason == "no face" and "0.60 s" in found[2].reason
    assert all(len(p.landmarks) == len(p.poses) == p.stop - p.first for p in found if p.landmarks is not None)


# several processes --------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("by_name", [True, False])
def test_any_number_of_processes_makes_the_same_folder(made, films, points, tmp_path, by_name, monkeypatch):
    """Also where the encoder has weights, which stay in this process."""
    if not by_name:
        monkeypatch.setattr(from_videos, "opens_by_name", lambda name: False)
    told = []
    build_from_videos(films, tmp_path / "d", FilmPlan(size=128), tracker=KnownFace(points), workers=2,
                      report=lambda done, total, info, preview=None: told.append((done, total)))
    assert contents(tmp_path / "d") == contents(made)
    assert told[-1][0] == told[-1][1]


def test_processes_stop_with_the_report_and_what_they_did_is_kept(made, films, points, tmp_path):
    def stop(done, total, info, preview=None):
        if done:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        build_from_videos(films, tmp_path / "d", FilmPlan(size=128), tracker=KnownFace(points), report=stop, workers=2)
    build_from_videos(films, tmp_path / "d", FilmPlan(size=128), tracker=KnownFace(points), workers=2)
    assert contents(tmp_path / "d") == contents(made)
