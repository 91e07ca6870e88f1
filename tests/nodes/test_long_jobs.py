"""Long nodes: the subject, training and rendering run, stop when told, leave nothing half-written, and go on where they "
  "stopped."""
from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from pack import make_host


def node(class_type: str, **inputs) -> dict:
    return {"class_type": class_type, "inputs": inputs}


SUBJECT = node("TalkingHead_SyntheticSubject", seconds=1.0, seed=0, size=64, identity=3, voice="formant", name="subject", text="")
DATASET = node("TalkingHead_LoadDataset", place="input", folder="person")
TRAIN = node("HMTalker_TrainAvatar", dataset=["dataset", 0], preset="preview", steps=0.001, seed=0, name="me", resume=True)
MOTION = {
    "speech": node("TalkingHead_EncodeSpeech", audio=["dataset", 2], encoder="mel"),
    "avatar": node("HMTalker_LoadAvatar", avatar_name="tiny.safetensors"),
    "motion": node("HMTalker_DriveAvatar", avatar=["avatar", 0], speech=["speech", 0], blinks="generated", smoothing=1.0,
                   lip_gain=1.0, seed=5),
}
FILM = {
    **MOTION,
    "video": node("HMTalker_RenderAvatarVideo", avatar=["avatar", 0], motion=["motion", 0], background="green", backend="cpu",
                  crf=30, audio=["dataset", 2]),
    "save": node("SaveVideo", video=["video", 0], filename_prefix="film", format="auto", codec="auto"),
}


class Watch:
    """Listens to a host; interrupts it after some progress of one node."""

    def __init__(self) -> None:
        self.host, self.stop_at, self.progress, self.previews = None, None, [], 0

    def __call__(self, name, data) -> None:
        if name == "preview":
            self.previews += 1
        if name == "progress":
            self.progress.append((str(data["node"]), data["value"], data["max"]))
            if self.stop_at and str(data["node"]) == self.stop_at[0] and data["value"] >= self.stop_at[1]:
                self.host.interrupt()


@pytest.fixture
def watched(tmp_path, tiny_dataset, tiny_avatar):
    """(host, watch, base folder) with a dataset in input/person and an avatar tiny."""
    base, watch = tmp_path / "base", Watch()
    host = watch.host = make_host(base, on_event=watch)
    shutil.copytree(tiny_dataset, base / "input" / "person")
    (base / "models" / "talking_heads").mkdir(parents=True, exist_ok=True)
    shutil.copy(tiny_avatar, base / "models" / "talking_heads" / "tiny.safetensors")
    return host, watch, base


def leftovers(base: Path) -> list[Path]:
    made = [path for path in base.rglob("*") if base / "input" not in path.parents]
    return [path for path in made if ".part" in path.name or path.suffix == ".mp4"]


def test_the_subject_shows_its_progress_and_is_made_once(watched):
    host, watch, base = watched
    nodes = {"subject": SUBJECT, "show": node("PreviewImage", images=["subject", 1])}
    assert host.run(nodes).status == "success"
    assert [value for node, value, _ in watch.progress if node == "subject"][-1] == 25 and watch.previews >= 1
    (folder,) = (base / "output" / "talking_heads" / "datasets").iterdir()
    made = {path: path.stat().st_mtime_ns for path in folder.rglob("*.jpg")}
    other = make_host(base)  # a new session: nothing cached, the finished folder is used as it is
    assert other.run(nodes).status == "success"
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.jpg")} == made


def test_an_interrupted_subject_goes_on(watched):
    host, watch, base = watched
    watch.stop_at = ("subject", 10)
    nodes = {"subject": SUBJECT, "show": node("PreviewImage", images=["subject", 1])}
    assert host.run(nodes).status == "interrupted"
    (folder,) = (base / "output" / "talking_heads" / "datasets").iterdir()
    assert not (folder / "manifest.json").exists() and 5 <= len(list(folder.glob("gt_imgs/*"))) < 25
    watch.stop_at = None
    assert host.run(nodes).status == "success" and (folder / "manifest.json").is_file()
    assert not leftovers(base)


def test_training_stops_within_a_step_resumes_and_saves(watched):
    host, watch, base = watched
    watch.stop_at = ("train", 6)
    nodes = {"dataset": DATASET, "train": TRAIN}
    assert host.run(nodes).status == "interrupted"
    models = base / "models" / "talking_heads"
    assert not (models / "me.safetensors").exists() and (models / "me.training.safetensors").is_file()
    assert watch.progress[-1][1] <= 8
    watch.stop_at, watch.progress = None, []
    result = host.run(nodes)
    assert result.status == "success", result.error
    steps = [value for node, value, _ in watch.progress if node == "train"]
    assert steps[0] > 6, "it did not begin anew"
    assert (models / "me.safetensors").is_file() and not (models / "me.training.safetensors").exists()
    load = host.object_info(["HMTalker_LoadAvatar"])["HMTalker_LoadAvatar"]
    assert "me.safetensors" in load["input"]["required"]["avatar_name"][1]["options"]
    assert not leftovers(base)


def test_an_interrupted_film_leaves_nothing(watched):
    host, watch, base = watched
    watch.stop_at = ("video", 1)  # its first sign of life: later ones are throttled
    assert host.run({"dataset": DATASET, **FILM}).status == "interrupted"
    assert not leftovers(base)
    watch.stop_at = None
    assert host.run({"dataset": DATASET, **FILM}).status == "success"
    assert len(list((base / "output").glob("film*.mp4"))) == 1


def test_interrupted_frames_come_back_whole(watched):
    host, watch, _ = watched
    watch.stop_at = ("frames", 8)
    nodes = {"dataset": DATASET, **MOTION}
    nodes["frames"] = node("HMTalker_RenderAvatar", avatar=["avatar", 0], motion=["motion", 0], background="white", start_frame=0,
                           frame_count=0, backend="cpu")
    nodes["show"] = node("PreviewImage", images=["frames", 0])
    assert host.run(nodes).status == "interrupted"
    watch.stop_at = None
    assert host.run(nodes).status == "success"


def test_a_full_disk_while_saving_keeps_what_was_there(watched, monkeypatch):
    """The system's own words reach the user; an earlier avatar of that name stays whole."""
    import talking_heads.media_core.files as files

    host, _, base = watched
    path = base / "models" / "talking_heads" / "me.safetensors"
    path.write_bytes(b"earlier")
    loaded = [module for name, module in sys.modules.items() if name.endswith("media_core.files")]  # the host's copy too

    def full(tensors, name, metadata=None):
        Path(name).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    for module in {*loaded, files}:
        monkeypatch.setattr(module, "save_file", full)
    result = host.run({"dataset": DATASET, "train": TRAIN})
    assert result.status == "error" and "No space left" in result.error["exception_message"]
    assert path.read_bytes() == b"earlier" and not leftovers(base)
