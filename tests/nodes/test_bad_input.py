"""Bad input to nodes, as a user meets it: a clear error, nothing lost. What single parts do stands with those parts' tests."""
from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from talking_heads.media_core.audio import Sound, save_wav


def node(class_type: str, **inputs) -> dict:
    return {"class_type": class_type, "inputs": inputs}


SUBJECT = node("TalkingHead_SyntheticSubject", seconds=1.0, seed=0, size=64, identity=3, voice="formant", name="s", text="")
DATASET = node("TalkingHead_LoadDataset", place="input", folder="person")
TRAIN = node("HMTalker_TrainAvatar", dataset=["dataset", 0], preset="preview", steps=0.001, seed=0, name="me", resume=True)


def film(avatar: str = "tiny", sound: str = "speech") -> dict:
    """A prompt from input/<sound>.wav to output/film*.mp4."""
    return {
        "sound": node("LoadAudio", audio=f"{sound}.wav"),
        "speech": node("TalkingHead_EncodeSpeech", audio=["sound", 0], encoder="mel"),
        "avatar": node("HMTalker_LoadAvatar", avatar_name=f"{avatar}.safetensors"),
        "motion": node("HMTalker_DriveAvatar", avatar=["avatar", 0], speech=["speech", 0], blinks="track", smoothing=0.0,
                       lip_gain=1.0, seed=0),
        "video": node("HMTalker_RenderAvatarVideo", avatar=["avatar", 0], motion=["motion", 0], background="plate",
                      backend="auto", crf=18, audio=["sound", 0]),
        "save": node("SaveVideo", video=["video", 0], filename_prefix="film", format="auto", codec="auto"),
    }


def buzz(seconds: float, rate: int = 16000, channels: int = 1) -> Sound:
    time = np.arange(round(seconds * rate)) / rate
    wave = 0.3 * np.sign(np.sin(2 * np.pi * 120 * time)) * (np.sin(2 * np.pi * 3 * time) > 0)
    return Sound(np.repeat(wave[None].astype(np.float32), channels, axis=0), rate)


def failure(result) -> str:
    assert result.status == "error"
    return result.error["exception_message"]


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """A full disk, as far as this process can tell: the system refuses every write beyond `size` bytes."""
    resource = pytest.importorskip("resource")
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.fixture
def base(host_with_avatar, tiny_dataset, tmp_path) -> Path:
    """The host's folder, with a recording in input/person."""
    shutil.copytree(tiny_dataset, tmp_path / "base" / "input" / "person")
    return tmp_path / "base"


# ------------------------------------------------------------------------------------------------------------------ sounds

@pytest.mark.parametrize("name, content", [("text", b"no sound at all"), ("empty", b"")])
def test_files_that_are_no_sound(host_with_avatar, base, name, content):
    (base / "input" / f"{name}.wav").write_bytes(content)
    message = failure(host_with_avatar.run(film(sound=name)))
    assert f"{name}.wav" in message and "Got:" in message


def test_a_sound_file_with_nan_samples(host_with_avatar, base):
    save_wav(base / "input" / "nan.wav", buzz(1.0))
    content = bytearray((base / "input" / "nan.wav").read_bytes())
    content[-4000:] = np.full(1000, np.nan, "<f4").tobytes()
    (base / "input" / "nan.wav").write_bytes(content)
    assert "1000 of 16000 are NaN" in failure(host_with_avatar.run(film(sound="nan")))
    assert not files(base / "output")


def test_speech_many_times_longer_than_the_track(host_with_avatar, base):
    from talking_heads.media_core.video import probe

    save_wav(base / "input" / "speech.wav", buzz(4.31, 8000, 2))  # the track lasts 1.2 s
    assert host_with_avatar.run(film()).status == "success"
    facts = probe(base / "output" / "film_00001_.mp4")
    assert facts.frames == 108 and facts.has_sound


# ----------------------------------------------------------------------------------------------------------------- avatars

def rewritten(source: Path, target: Path, **header: str) -> None:
    """A copy of an avatar file with other header fields; None takes one away."""
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    with safe_open(source, "pt") as file:
        fields = dict(file.metadata()) | {f"talking_heads.{name}": value for name, value in header.items()}
    save_file(load_file(source), target, metadata={name: value for name, value in fields.items() if value is not None})


@pytest.mark.parametrize("header, word", [
    ({"version": "2"}, "Update"), ({"version": "two"}, "Update"), ({"config": None}, "description"),
    ({"config": "[]"}, "description"), ({"config": "{}"}, "garbles"),
    ({"kind": None}, "made by Talking Heads")])
def test_avatar_files_of_other_versions_and_kinds(host_with_avatar, base, header, word):
    models = base / "models" / "talking_heads"
    rewritten(models / "tiny.safetensors", models / "odd.safetensors", **header)
    save_wav(base / "input" / "speech.wav", buzz(0.2))
    message = failure(host_with_avatar.run(film("odd")))
    assert word in message and "odd.safetensors" in message and "Got:" in message


def test_motion_of_another_avatar_is_refused(host_with_avatar, base):
    """The lip codes of one avatar mean nothing to another: an error, not a garbled mouth."""
    from dataclasses import replace

    from talking_heads.hmtalker_core.checkpoints import load_avatar, save_avatar

    models = base / "models" / "talking_heads"
    other = load_avatar(models / "tiny.safetensors")
    next(other.face_net.parameters()).add_(0.01)
    save_avatar(other, models / "other.safetensors")
    save_wav(base / "input" / "speech.wav", buzz(0.2))
    prompt = film()
    prompt["second"] = node("HMTalker_LoadAvatar", avatar_name="other.safetensors")
    prompt["video"]["inputs"]["avatar"] = ["second", 0]
    assert "same avatar" in failure(host_with_avatar.run(prompt))
    assert host_with_avatar.run(film("other")).status == "success"
    sound = encoded(base / "input" / "speech.wav")
    motion = replace(other.drive(sound), avatar="")  # an older motion, without the name of its avatar
    assert len(list(other.render(motion))) == 1


def encoded(path: Path):
    from talking_heads.media_core.audio import load_sound
    from talking_heads.media_core.speech import encode_speech

    return encode_speech(load_sound(path))


# ---------------------------------------------------------------------------------------------------------------- datasets

def test_a_recording_of_another_shape_goes_all_the_way(host_with_avatar, base):
    """100 x 75 pixels: neither square, nor even, nor a multiple of anything."""
    from talking_heads.media_core.video import probe

    reshape(base / "input" / "person", 100, 75)
    save_wav(base / "input" / "speech.wav", buzz(0.2))
    assert host_with_avatar.run({"dataset": DATASET, "train": TRAIN}).status == "success"
    assert host_with_avatar.run(film("me")).status == "success"
    facts = probe(base / "output" / "film_00001_.mp4")
    assert (facts.width, facts.height, facts.frames) == (100, 76, 5), "an odd side is made even by its last row"


def reshape(folder: Path, width: int, height: int) -> None:
    """Resizes every picture, mask and landmark of a data set; it loses its manifest, as a foreign one has none."""
    import json

    from PIL import Image

    def resized(picture):
        return picture.resize((width, height), Image.Resampling.NEAREST)

    first = Image.open(folder / "bc.jpg")
    scale = np.array([width, height]) / first.size
    pictures = [path for name in ("ori_imgs", "gt_imgs", "torso_imgs", "parsing") for path in (folder / name).iterdir()]
    for path in [folder / "bc.jpg", *pictures]:
        if path.suffix == ".lms":
            np.savetxt(path, np.loadtxt(path) * scale, fmt="%.3f")
        else:
            resized(Image.open(path)).save(path)
    for path in (folder / "teeth_mask").iterdir():
        np.save(path, np.array(resized(Image.fromarray(np.load(path).astype(np.uint8)))).astype(bool))
    for path in folder.glob("transforms_*.json"):
        table = json.loads(path.read_text())
        path.write_text(json.dumps(table | {"focal_len": table["focal_len"] * scale[1]}))
    (folder / "manifest.json").unlink()


@pytest.mark.parametrize("damage", ["frame", "csv", "sound", "nan", "folder"])
def test_training_on_a_damaged_recording_names_the_fault_and_keeps_the_old_avatar(host_with_avatar, base, damage):
    """The dataset node ran while all was well; the folder is damaged before training reads it."""
    from talking_heads.host.graph import Host

    assert isinstance(host_with_avatar, Host)
    folder, models = base / "input" / "person", base / "models" / "talking_heads"
    (models / "me.safetensors").write_bytes(b"earlier")
    assert host_with_avatar.run({"dataset": DATASET, "show": node("PreviewImage", images=["dataset", 1])}).status == "success"
    if damage == "frame":
        (folder / "parsing" / "7.png").unlink()
    elif damage == "sound":
        (folder / "aud.wav").write_bytes(b"RIFF")
    elif damage == "nan":
        content = (folder / "aud.wav").read_bytes()
        (folder / "aud.wav").write_bytes(content[:-400] + np.full(100, np.nan, "<f4").tobytes())
    elif damage == "folder":
        shutil.rmtree(folder / "parsing")
        (folder / "parsing").write_text("no folder")
    else:
        rows = (folder / "au.csv").read_text().splitlines()
        (folder / "au.csv").write_text("\n".join([*rows, rows[-1]]) + "\n")
    message = failure(host_with_avatar.run({"dataset": DATASET, "train": TRAIN}))
    named = {"frame": "7", "csv": "au.csv", "sound": "aud.wav", "nan": "aud.wav", "folder": "parsing"}
    assert named[damage] in message and "Got:" in message
    assert (models / "me.safetensors").read_bytes() == b"earlier"


def test_a_recording_without_a_mouth_in_some_frames(host_with_avatar, base):
    from PIL import Image

    for index in range(0, 30, 2):
        path = base / "input" / "person" / "parsing" / f"{index}.png"
        labels = np.array(Image.open(path))
        labels[(labels == 100).all(-1)] = (0, 0, 255)
        Image.fromarray(labels).save(path)
        np.save(base / "input" / "person" / "teeth_mask" / f"{index}.npy", np.zeros(labels.shape[:2], bool))
    assert host_with_avatar.run({"dataset": DATASET, "train": TRAIN}).status == "success"
    assert "me.safetensors" in files(base / "models")


# ------------------------------------------------------------------------------------------------------------- full disks

@pytest.mark.skipif(os.name != "posix", reason="a limit of POSIX")
class TestFullDisk:
    def test_a_training_says_so_at_once_and_keeps_the_old_avatar(self, host_with_avatar, base):
        path = base / "models" / "talking_heads" / "me.safetensors"
        path.write_bytes(b"earlier")
        with no_file_beyond(100_000):
            message = failure(host_with_avatar.run({"dataset": DATASET, "train": TRAIN}))
        assert "training file must fit" in message and "Free some space" in message
        assert path.read_bytes() == b"earlier" and files(base / "models") == {"tiny.safetensors", "me.safetensors"}

    def test_a_film_leaves_nothing_and_is_made_afterwards(self, host_with_avatar, base):
        save_wav(base / "input" / "speech.wav", buzz(2.0))
        with no_file_beyond(4_000):
            message = failure(host_with_avatar.run(film()))
        assert "must have room" in message and not files(base / "temp") and not files(base / "output")
        assert host_with_avatar.run(film()).status == "success" and "film_00001_.mp4" in files(base / "output")

    def test_saving_the_film_leaves_no_half_of_it(self, host_with_avatar, base):
        save_wav(base / "input" / "speech.wav", buzz(2.0))
        unsaved = {name: entry for name, entry in film().items() if name != "save"}
        probe = node("GetVideoComponents", video=["video", 0])
        unsaved |= {"parts": probe, "show": node("PreviewImage", images=["parts", 0])}
        assert host_with_avatar.run(unsaved).status == "success"
        with no_file_beyond(20_000):
            message = failure(host_with_avatar.run(film()))
        assert "must have room" in message and not files(base / "output")
        result = host_with_avatar.run(film())
        assert result.status == "success" and result.executed == ["save"], "the film itself was not lost"

    def test_a_subject_goes_on_when_there_is_room(self, host_with_avatar, base):
        prompt = {"subject": SUBJECT, "show": node("PreviewImage", images=["subject", 1])}
        with no_file_beyond(2048):
            assert "it continues" in failure(host_with_avatar.run(prompt))
        assert host_with_avatar.run(prompt).status == "success"
        assert not [name for name in files(base) if ".part" in name]


# ------------------------------------------------------------------------------------------------------------------- names

def test_two_trainings_of_one_name_follow_each_other(host_with_avatar, base):
    """Other settings under a finished name: it is trained anew, and the old file stays until the new one is whole."""
    path = base / "models" / "talking_heads" / "me.safetensors"
    assert host_with_avatar.run({"dataset": DATASET, "train": TRAIN}).status == "success"
    first = path.read_bytes()
    other = {**TRAIN, "inputs": {**TRAIN["inputs"], "seed": 1}}
    assert host_with_avatar.run({"dataset": DATASET, "train": other}).status == "success"
    assert path.read_bytes() != first and not [name for name in files(base / "models") if ".training." in name]


def test_two_films_of_one_name_stand_beside_each_other(host_with_avatar, base):
    save_wav(base / "input" / "speech.wav", buzz(0.2))
    for seed in (0, 1):
        prompt = film()
        prompt["motion"]["inputs"] |= {"seed": seed, "blinks": "generated"}
        assert host_with_avatar.run(prompt).status == "success"
    assert files(base / "output") == {"film_00001_.mp4", "film_00002_.mp4"}


@pytest.mark.parametrize("prefix", ["../outside/film", "/tmp/talking_heads_outside"])
def test_a_film_cannot_be_saved_outside(host_with_avatar, base, prefix):
    save_wav(base / "input" / "speech.wav", buzz(0.2))
    prompt = film()
    prompt["save"]["inputs"]["filename_prefix"] = prefix
    assert "outside" in failure(host_with_avatar.run(prompt)).lower()
    assert not list(base.parent.rglob("*outside*"))


@pytest.mark.parametrize("name", ["../up", "a/b", "", "con"])
def test_a_subject_cannot_be_written_outside(host_with_avatar, base, name):
    subject = {**SUBJECT, "inputs": {**SUBJECT["inputs"], "name": name}}
    message = failure(host_with_avatar.run({"subject": subject, "show": node("PreviewImage", images=["subject", 1])}))
    assert "file name" in message and not files(base / "output")
