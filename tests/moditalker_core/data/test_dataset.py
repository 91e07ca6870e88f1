"""Motion data sets: what is written is read again, a stopped build goes on to the same bits, broken folders say what is wrong."""
from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from talking_heads.media_core.audio import Sound
from talking_heads.media_core.errors import Cancelled, FileFormatError, TalkingHeadsError
from talking_heads.media_core.metrics import correlation, lip_aperture
from talking_heads.media_core.motion import LandmarkTrack, PoseTrack
from talking_heads.media_core.speech import encode_speech
from talking_heads.moditalker_core.data.dataset import MotionDataset
from talking_heads.moditalker_core.data.dataset_writer import Recorded, ShardWriter
from talking_heads.moditalker_core.data.from_subject import SubjectPlan, build_from_subject

PLAN = SubjectPlan(identities=(3, 4, 5), seconds=1.2, engine="formant", seed=7, val=1)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    return build_from_subject(tmp_path_factory.mktemp("motion") / "exact", PLAN)


@pytest.fixture
def folder(made, tmp_path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(made, tmp_path / "copy"))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def spoilt(folder: Path, index: int, part: str, change) -> None:
    """Changes one tensor of a clip in its shard."""
    clip = MotionDataset.open(folder).clips[index]
    path = folder / "shards" / clip.shard
    tensors = load_file(path)
    tensors[f"{clip.name}.{part}"] = change(tensors[f"{clip.name}.{part}"])
    save_file(tensors, path)


def test_a_clip_has_everything_at_one_length(made):
    dataset = MotionDataset.open(made)
    dataset.verify()
    assert len(dataset) == 3 and dataset.frames == 90 and dataset.seconds == pytest.approx(3.6)
    assert dataset.indices("train") == (0, 1) and dataset.indices("val") == (2,)
    assert [clip.identity for clip in dataset.clips] == ["3", "4", "5"]
    for index in range(3):
        speech, track, pose = dataset.speech(index), dataset.landmarks(index), dataset.poses(index)
        assert speech.frame_count(dataset.fps) == len(track) == len(pose) == 30
        assert speech.encoder == "mel" and speech.silence.shape == speech.features.shape[:1]
        assert track.space == "canonical" and pose.image_size == (256, 256)


def test_exact_landmarks_are_decimetres_and_open_with_the_sound(made):
    dataset = MotionDataset.open(made)
    points = dataset.landmarks(0).points
    span = (points[:, 45] - points[:, 36]).norm(dim=1)
    assert torch.allclose(span, torch.full_like(span, 0.9), atol=0.01)
    assert points[:, 8, 1].max() < points[:, 27, 1].min(), "y points up"
    assert points[:, 30, 2].min() > points[:, 0, 2].max(), "the nose is nearer than the ear"
    assert lip_aperture(points).max() > 3 * lip_aperture(points).min().clamp(min=0.005)


def test_exact_poses_project_onto_the_rendered_picture(made):
    from talking_heads.media_core.subject import Subject, perform

    dataset = MotionDataset.open(made)
    performance, subject = perform(1.2, 7, engine="formant"), Subject(256, 3)
    flat, _ = subject.landmarks(performance.params[9], subject.pose(performance.euler[9], performance.translation[9]))
    pose, solid = dataset.poses(0), dataset.landmarks(0).points[9].double() / 10
    camera = (solid - pose.camera_to_head[9, :3, 3]) @ pose.camera_to_head[9, :3, :3].double()
    seen = camera[:, :2] / -camera[:, 2:] * pose.focal * torch.tensor([1.0, -1.0]) + 128
    assert float((seen - torch.from_numpy(flat)).abs().max()) < 0.05


def test_rows_are_read_where_they_are_wanted(made):
    dataset = MotionDataset.open(made)
    assert torch.equal(dataset.landmarks(1, 5, 12).points, dataset.landmarks(1).points[5:12])
    assert torch.equal(dataset.poses(1, 5, 12).camera_to_head, dataset.poses(1).camera_to_head[5:12])


def test_a_finished_folder_is_left_as_it_is(folder):
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    build_from_subject(folder, PLAN, report=lambda *_: pytest.fail("works again"))
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_a_stopped_build_is_unfinished_and_goes_on_to_the_same_bits(made, tmp_path):
    def stop(done, total, info, preview=None):
        if done > 40:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        build_from_subject(tmp_path / "d", PLAN, report=stop)
    with pytest.raises(FileFormatError, match="finished"):
        MotionDataset.open(tmp_path / "d")
    first = next((tmp_path / "d" / "shards").glob("*.safetensors"))
    written = first.stat().st_mtime_ns
    assert len(list((tmp_path / "d" / "shards").iterdir())) == 1
    build_from_subject(tmp_path / "d", PLAN)
    assert first.stat().st_mtime_ns == written, "a finished shard was made again"
    assert contents(tmp_path / "d") == contents(made)


def test_a_truncated_shard_is_told_and_made_again(folder, made):
    shard = next((folder / "shards").iterdir())
    shard.write_bytes(shard.read_bytes()[:-100])
    dataset = MotionDataset.open(folder)
    broken = next(i for i, clip in enumerate(dataset.clips) if clip.shard == shard.name)
    for read in (dataset.landmarks, dataset.speech, lambda _: dataset.verify()):
        with pytest.raises(FileFormatError, match=shard.name):
            read(broken)
    (folder / "index.json").unlink()
    build_from_subject(folder, PLAN)
    assert contents(folder) == contents(made)


def test_more_clips_keep_those_that_are_there(folder):
    kept = {path.name: path.stat().st_mtime_ns for path in (folder / "shards").iterdir()}
    build_from_subject(folder, replace(PLAN, identities=(3, 4, 5, 6)))
    now = {path.name: path.stat().st_mtime_ns for path in (folder / "shards").iterdir()}
    assert len(now) == 4 and kept.items() <= now.items()
    assert MotionDataset.open(folder).indices("val") == (3,)


def test_fewer_clips_remove_the_others(folder):
    build_from_subject(folder, replace(PLAN, identities=(3, 4)))
    assert len(MotionDataset.open(folder)) == len(list((folder / "shards").iterdir())) == 2


def test_wrong_folders_are_told_apart(folder, tmp_path):
    with pytest.raises(FileFormatError, match="no folder"):
        MotionDataset.open(tmp_path / "none")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("dear")
    with pytest.raises(FileFormatError, match="no index.json"):
        MotionDataset.open(tmp_path / "other")
    with pytest.raises(TalkingHeadsError, match="other files"):
        build_from_subject(tmp_path / "other", PLAN)
    with pytest.raises(TalkingHeadsError, match="is a file"):
        build_from_subject(tmp_path / "other" / "letter.txt", PLAN)
    index = json.loads((folder / "index.json").read_text())
    for change, match in (({"kind": "dataset"}, "kind 'dataset'"), ({"version": 99}, "99"), ({"clips": []}, "at least one"),
                          ({"clips": [{"name": "x"}]}, "garbles")):
        (folder / "index.json").write_text(json.dumps({**index, **change}))
        with pytest.raises(FileFormatError, match=match):
            MotionDataset.open(folder)


def test_a_missing_shard_and_a_missing_clip_are_named(folder):
    dataset = MotionDataset.open(folder)
    path = folder / "shards" / dataset.clips[1].shard
    tensors = load_file(path)
    del tensors[f"{dataset.clips[1].name}.landmarks"]
    save_file(tensors, path)
    with pytest.raises(FileFormatError, match=f"{dataset.clips[1].name}.landmarks"):
        dataset.landmarks(1)
    path.unlink()
    with pytest.raises(FileFormatError, match=path.name):
        MotionDataset.open(folder)


def test_altered_shards_are_found_out(folder):
    dataset = MotionDataset.open(folder)
    spoilt(folder, 0, "landmarks", lambda points: points + 0.001)
    with pytest.raises(FileFormatError, match="differs"):
        dataset.verify()
    spoilt(folder, 0, "landmarks", lambda points: points[:-1])
    with pytest.raises(FileFormatError, match="30 frames"):
        dataset.landmarks(0)
    spoilt(folder, 1, "landmarks", lambda points: points * torch.nan)
    with pytest.raises(TalkingHeadsError, match="NaN"):
        dataset.landmarks(1)


def test_another_encoder_is_refused_with_both_names(made):
    dataset = MotionDataset.open(made)
    dataset.expect("mel", "last", 80.0)
    with pytest.raises(TalkingHeadsError, match="hubert-large-ls960-ft.*mel"):
        dataset.expect("hubert-large-ls960-ft", rate=50.0)
    with pytest.raises(TalkingHeadsError, match="layer 9"):
        dataset.expect("mel", "9")


def recorded(**changes) -> Recorded:
    """A clip of 10 frames around the rest face, to be spoilt."""
    from talking_heads.media_core.face.pose.canonical import mean_face

    speech = encode_speech(Sound(torch.linspace(-1, 1, 6400).sin()[None].numpy(), 16000))
    points = torch.from_numpy(mean_face()).repeat(10, 1, 1)
    given = {"name": "a", "speech": speech, "landmarks": LandmarkTrack(points), "source": "test", "identity": "x",
             "poses": PoseTrack(torch.eye(4).repeat(10, 1, 1), 500.0, (256, 256))}
    return Recorded(**{**given, **changes})


@pytest.mark.parametrize("changes,match", [
    ({"landmarks": LandmarkTrack(torch.zeros(10, 68, 3))}, "dm wide"),
    ({"landmarks": LandmarkTrack(torch.rand(9, 68, 3))}, "equally long"),
    ({"landmarks": LandmarkTrack(torch.rand(10, 68, 3), 25.0, "pixels", (64, 64))}, "canonical"),
    ({"name": "a.b"}, "points"),
])
def test_clips_that_are_none_are_not_written(tmp_path, changes, match):
    writer = ShardWriter(tmp_path / "d", {"kind": "test"})
    with pytest.raises(TalkingHeadsError, match=match):
        writer.write("a.safetensors", {}, [recorded(**changes)])
    with pytest.raises(TalkingHeadsError, match="NaN"):
        bad = recorded()
        bad.landmarks.points[3, 4, 0] = torch.nan
        writer.write("a.safetensors", {}, [recorded(landmarks=LandmarkTrack(bad.landmarks.points))])
    with pytest.raises(TalkingHeadsError, match="at least one clip"):
        writer.finish(lambda clips: ())


def test_two_encoders_do_not_mix(tmp_path):
    writer, clip = ShardWriter(tmp_path / "d", {"kind": "test"}), recorded()
    writer.write("a.safetensors", {}, [clip])
    other = replace(clip, name="b", speech=replace(clip.speech, encoder="wav2vec2-base"))
    with pytest.raises(TalkingHeadsError, match="mel.*wav2vec2-base"):
        writer.write("b.safetensors", {}, [other])


def test_wide_features_are_halves_and_come_back_with_their_silence(tmp_path):
    clip = recorded()
    speech = replace(clip.speech, features=torch.randn(len(clip.speech.features), 512), encoder="wav2vec2-base", layer="9",
                     silence_features=torch.randn(512))
    writer = ShardWriter(tmp_path / "d", {"kind": "test"})
    writer.write("a.safetensors", {}, [replace(clip, speech=speech)])
    dataset = MotionDataset.open(writer.finish(lambda clips: ()))
    back = dataset.speech(0)
    assert back.features.dtype == torch.float32 and torch.equal(back.features, speech.features.half().float())
    assert torch.equal(back.silence_features, speech.silence_features) and back.layer == dataset.format.layer == "9"
    assert load_file(tmp_path / "d" / "shards" / "a.safetensors")["a.speech"].dtype == torch.float16


def test_a_loaded_encoder_is_named_and_another_makes_the_clips_anew(folder):
    from talking_heads.media_core.speech import PlainEncoder, get_encoder

    facts = replace(get_encoder("hubert-large-ls960-ft"), id="tiny", dim=6)
    loaded = PlainEncoder(facts, lambda mono, report: torch.ones(len(mono) // 320, 6).numpy(), layer="3",
                          silence_features=torch.zeros(6))
    build_from_subject(folder, PLAN, encoder=loaded)
    dataset = MotionDataset.open(folder)
    dataset.expect("tiny", "3", 50.0)
    assert dataset.speech(0).features.shape == (60, 6) and dataset.speech(0).layer == "3"
    with pytest.raises(TalkingHeadsError, match="weights"):
        build_from_subject(folder, PLAN, encoder="hubert-large-ls960-ft")
    assert len(MotionDataset.open(folder)) == 3, "an encoder that cannot be used spoilt the folder"


def test_captured_lips_follow_the_exact_ones(tmp_path):
    plan = SubjectPlan(identities=(3,), seconds=3.0, take=1.6, engine="formant", seed=11)
    both = [MotionDataset.open(build_from_subject(tmp_path / name, replace(plan, captured=captured)))
            for name, captured in (("exact", False), ("captured", True))]
    exact, captured = (dataset.landmarks(0).points for dataset in both)
    assert len(exact) == len(captured) == 40 == both[1].speech(0).frame_count()
    assert correlation(lip_aperture(exact), lip_aperture(captured)) > 0.9
    assert float((exact - captured)[..., :2].norm(dim=-1).mean()) < 0.05, "dm, seen from the front"


@pytest.mark.parametrize("changes", [{"identities": ()}, {"voices": ()}, {"val": 3}, {"take": 2.0}, {"clips": 0}])
def test_plans_that_cannot_be_are_refused(changes):
    with pytest.raises(TalkingHeadsError):
        replace(PLAN, **changes)


def test_an_order_of_which_nothing_was_made_does_not_bind_the_folder(tmp_path):
    ShardWriter(tmp_path / "d", {"kind": "videos", "clips": []})
    build_from_subject(tmp_path / "d", replace(PLAN, identities=(3,), val=0))
    assert len(MotionDataset.open(tmp_path / "d")) == 1


def test_clips_without_a_voice_are_spread_and_at_rest(tmp_path):
    plan = SubjectPlan(identities=(3, 4, 5, 6), seconds=1.2, engine="formant", seed=7, val=1, nobody=.34)
    assert [plan.silent(i) for i in range(4)] == [False, False, True, False]
    dataset = MotionDataset.open(build_from_subject(tmp_path / "quiet", plan))
    assert [clip.facts["voice"] for clip in dataset.clips] == ["formant", "formant", "nobody", "formant"]
    still, speaking = (lip_aperture(dataset.landmarks(i).points) for i in (2, 1))
    assert float(still.max()) < .02 < float(speaking.max()) and float(dataset.speech(2).features.std()) > .05


def test_voices_are_not_lost_to_clips_without_one():
    plan = SubjectPlan(identities=(3,), voices=("a", "b", "c", "d"), clips=6, engine="espeak", val=1, nobody=.2)
    assert [plan.voice(i) for i in range(6)] == ["a", "b", "c", "d", "nobody", "a"]


def test_damage_changes_what_is_heard_and_not_what_is_seen(made, tmp_path):
    damaged = MotionDataset.open(build_from_subject(tmp_path / "damaged", replace(PLAN, damage=1.0)))
    whole = MotionDataset.open(made)
    assert torch.equal(whole.landmarks(0).points, damaged.landmarks(0).points)
    assert not torch.equal(whole.speech(0).features, damaged.speech(0).features)
    assert whole.speech(0).features.shape == damaged.speech(0).features.shape


@pytest.mark.parametrize("wrong", [{"nobody": 1.0}, {"nobody": -.1}, {"damage": 1.1}, {"damage": float("nan")}])
def test_fractions_are_fractions(wrong):
    with pytest.raises(TalkingHeadsError, match="damaged"):
        replace(PLAN, **wrong)
