"""A film to a dataset and the best part of a film, by the host; VIDEOs with and without a file; films that are none."""
from __future__ import annotations

import io as streams
import json
import shutil
import sys
from fractions import Fraction
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from pack import make_host
from PIL import Image
from prompts import changed, collector, failure, keep, node, ok

FILM = node("LoadVideo", file="film.mp4")
PREPARE = node("TalkingHead_PrepareDataset", video=["film", 0], name="me", size=128, start=0.0, duration=0.0, face_index=0,
               order="largest", policy="error", focal=0.0, smoothing=13, steady=True, parsing="", tracker="rendered")
PICK = node("TalkingHead_PickSegment", video=["film", 0], seconds=2.0, face_index=0, order="largest", tracker="rendered")
SHOW = node("PreviewImage", images=["data", 1])


def folders(base: Path) -> list[Path]:
    return sorted((base / "output" / "talking_heads" / "datasets").glob("*"))


@pytest.fixture
def base(host, tmp_path, tiny_film) -> Path:
    """The host's folder, with the film in input/."""
    shutil.copy(tiny_film, tmp_path / "base" / "input" / "film.mp4")
    return tmp_path / "base"


@pytest.fixture
def films(host):
    """nodes/videos.py under the name the host gave the pack."""
    return sys.modules[f"{host.packs[0].module.__name__}.nodes.videos"]


# ----------------------------------------------------------------------------------------------------------------- dataset

def test_a_film_becomes_a_dataset(host, base):
    kept = collector(host)
    nodes = {"film": FILM, "data": PREPARE, **{f"k{i}": keep("data", i) for i in range(6)}}
    ok(host.run(nodes))
    dataset, report, sound, expression, pose, words = kept
    (folder,) = folders(base)
    assert Path(dataset.folder) == folder and folder.name.startswith("me_") and (dataset.frames, dataset.fps) == (30, 25.0)
    assert report.ndim == 4 and report.shape[0] == 1 and report.std() > 0.05, "the report as a picture"
    assert abs(sound["waveform"].shape[-1] / sound["sample_rate"] - 1.2) < 0.05
    assert expression.au.shape == (30, 17) and expression.unreliable, "what cannot be measured is told on"
    assert pose.image_size == (128, 128) and len(pose) == 30
    assert "blink" in words.lower() and "lip" in words.lower()
    assert json.loads((folder / "manifest.json").read_text())["frames"] == 30
    assert not host.run(nodes).executed


def test_other_settings_have_a_folder_of_their_own_but_another_policy_goes_on(host, base):
    short = changed(PREPARE, duration=0.4)
    ok(host.run({"film": FILM, "data": short, "show": SHOW}))
    (first,) = folders(base)
    tracked = (first / "raw_track.safetensors").stat().st_mtime_ns
    ok(host.run({"film": FILM, "data": changed(short, policy="hold"), "show": SHOW}))
    assert folders(base) == [first] and (first / "raw_track.safetensors").stat().st_mtime_ns == tracked
    ok(host.run({"film": FILM, "data": changed(short, duration=0.5), "show": SHOW}))
    assert len(folders(base)) == 2


def test_it_stops_within_a_frame_and_goes_on(tmp_path, tiny_film):
    base, told = tmp_path / "base", []

    def event(name: str, data: dict) -> None:
        if name == "progress" and data["node"] == "data":
            told.append(data["value"])
            if told[-1] >= 300 and "stopped" not in told:  # of 1000: behind the tracking
                told.append("stopped")
                host.interrupt()

    host = make_host(base, on_event=event)
    shutil.copy(tiny_film, base / "input" / "film.mp4")
    nodes = {"film": FILM, "data": PREPARE, "show": SHOW}
    assert host.run(nodes).status == "interrupted" and told[-1] == "stopped", "nothing was done after the stop"
    (folder,) = folders(base)
    assert not (folder / "manifest.json").exists()
    tracked = (folder / "raw_track.safetensors").stat().st_mtime_ns
    ok(host.run(nodes))
    assert (folder / "manifest.json").exists() and (folder / "raw_track.safetensors").stat().st_mtime_ns == tracked
    assert told[-1] == 1000 and not list(base.rglob("*.part*"))


def test_the_part_that_is_used(host, base):
    kept = collector(host)
    ok(host.run({"film": FILM, "data": changed(PREPARE, start=0.2, duration=0.8), "k": keep("data"), "s": keep("data", 2)}))
    dataset, sound = sorted(kept, key=lambda value: isinstance(value, dict))
    assert dataset.frames == 20 and sound["waveform"].shape[-1] / sound["sample_rate"] == pytest.approx(0.8, abs=0.01)
    late = changed(PREPARE, start=5.0)
    assert "1.20 s" in failure(host.run({"film": FILM, "data": late, "k": keep("data")}))


def test_a_film_made_by_nodes_needs_no_file(host, base):
    """Create Video's film has no file: it is written to the temp folder, once however often it is used."""
    kept = collector(host)
    nodes = {"film": FILM, "parts": node("GetVideoComponents", video=["film", 0]),
             "made": node("CreateVideo", images=["parts", 0], audio=["parts", 1], fps=25.0),
             "data": changed(PREPARE, video=["made", 0], duration=0.4), "k": keep("data")}
    ok(host.run(nodes))
    ok(host.run({**nodes, "data": changed(nodes["data"], name="again")}))
    assert [dataset.frames for dataset in kept] == [10, 10]
    assert len(list((base / "temp").glob("talking_heads_*.mp4"))) == 1


@pytest.mark.parametrize("content, word", [(b"", "empty"), (b"no film at all" * 100, "cannot be decoded")])
def test_files_that_are_no_film(host, base, content, word):
    (base / "input" / "film.mp4").write_bytes(content)
    for kind in (PREPARE, PICK):
        collector(host)
        message = failure(host.run({"film": FILM, "made": kind, "k": keep("made")}))
        assert word in message and "film.mp4" in message


def test_a_film_without_sound_says_so(host, base, tiny_film):
    from talking_heads.media_core.video import VideoWriter, read_frames

    with VideoWriter(base / "input" / "film.mp4", 240, 192) as film:
        for frame in read_frames(tiny_film):
            film.write(frame)
    assert "must have audio" in failure(host.run({"film": FILM, "data": PREPARE, "show": SHOW}))
    assert not folders(base)


@pytest.mark.parametrize("folder, word", [("../output", "inside the folder"), ("none", "folder must be in ComfyUI.s input")])
def test_parsing_must_be_a_folder_of_input(host, base, folder, word):
    from talking_heads.host.graph import InvalidPrompt

    with pytest.raises(InvalidPrompt, match=word):
        host.run({"film": FILM, "data": changed(PREPARE, parsing=folder), "show": SHOW})


def test_own_parsing_is_used_and_watched(host, base):
    """The masks of a first dataset, all hair made face, for a second one."""
    ok(host.run({"film": FILM, "data": PREPARE, "show": SHOW}))
    (first,) = folders(base)
    shutil.copytree(first / "parsing", base / "input" / "masks")
    for path in (base / "input" / "masks").glob("*.png"):
        labels = np.array(Image.open(path).convert("RGB"))
        labels[(labels == 0).all(-1)] = (0, 0, 255)
        Image.fromarray(labels).save(path)
    nodes = {"film": FILM, "data": changed(PREPARE, parsing="masks"), "show": SHOW}
    ok(host.run(nodes))
    (second,) = set(folders(base)) - {first}
    assert not (np.array(Image.open(second / "parsing" / "3.png").convert("RGB")) == 0).all(-1).any()
    assert not host.run(nodes).executed
    shutil.copy(first / "parsing" / "3.png", base / "input" / "masks" / "3.png")
    assert "data" in host.run(nodes).executed


def test_landmarks_of_a_trimmed_film_lie_where_they_belong(host, base, given):
    """15 frames of a face that core found in the second half: over the whole film, unknown before."""
    prepare = import_module(f"{host.packs[0].module.__name__}.nodes.capture")
    from talking_heads.media_core.video import probe

    raw, expression = prepare._given(given, None, probe(base / "input" / "film.mp4"), start=0.6, face_index=0)
    assert raw.points.shape == (30, 68, 2) and np.isnan(raw.points[:15]).all() and np.isfinite(raw.points[15:]).all()
    assert (raw.confidence[:15] == 0).all() and (raw.confidence[15:] > 0).all()
    assert len(expression) == 30 and torch.isnan(expression.au[:15]).all() and torch.isfinite(expression.au[15:]).all()


def test_the_tracker_names_the_folder_unless_landmarks_are_connected(host, base, tiny_film):
    """What was captured before the choice, by the tracker for rendered people or from landmarks, is found again."""
    nodes = import_module(f"{host.packs[0].module.__name__}.nodes.capture")
    settings = import_module(f"{host.packs[0].module.__name__}.media_core.capture").CaptureSettings
    film, points = nodes.videos.Film(tiny_film), np.zeros((3, 68, 2))

    def named(tracker: str, given: np.ndarray | None) -> str:
        return nodes._folder("me", film, settings(tracker=tracker), [given, None, None]).name

    assert named("people", points) == named("rendered", points) != named("rendered", None) != named("people", None)


@pytest.fixture
def given() -> dict:
    """Core's FACE_LANDMARKS over 15 frames."""
    from talking_heads.media_core.face.action_units.blendshapes import BLENDSHAPES

    points = np.random.default_rng(0).uniform(50, 150, (478, 2))
    faces = [{"landmarks_xy": points + i, "presence": 1.0, "blendshapes": dict.fromkeys(BLENDSHAPES, i / 15)} for i in range(15)]
    return {"frames": [[face] for face in faces], "image_size": (192, 240), "connection_sets": {}}


# ----------------------------------------------------------------------------------------------------------------- segment

def test_a_short_film_is_picked_whole(host, base):
    kept = collector(host)
    ok(host.run({"film": FILM, "pick": PICK, **{f"k{i}": keep("pick", i) for i in range(4)}}))
    start, duration, part, about = kept
    assert start == 0 and duration == pytest.approx(1.2, abs=0.21) and "sound:" in about
    assert part.get_active_trim_window() == (start, duration)


def test_the_picked_part_goes_into_the_dataset(host, base, monkeypatch):
    segment = import_module(f"{host.packs[0].module.__name__}.media_core.capture.segment")
    monkeypatch.setattr(segment, "pick_segment", lambda *_, **__: segment.Segment(0.2, 0.8, {"total": 1.0}))
    kept = collector(host)
    ok(host.run({"film": FILM, "pick": PICK, "data": changed(PREPARE, start=["pick", 0], duration=["pick", 1]),
                 "cut": changed(PREPARE, video=["pick", 2]), "a": keep("data"), "b": keep("cut")}))
    assert [dataset.frames for dataset in kept] == [15, 15]
    assert kept[0].folder == kept[1].folder, "start and duration, or the trimmed video: the same part of the same film"


# ------------------------------------------------------------------------------------------------------------------- films

def test_what_a_video_is(films, host, base, tiny_film):
    """A file is used where it lies; bytes and tensors are written once; a trimmed film is a part of its file."""
    from comfy_api.latest import InputImpl, Types

    plain = films.film(InputImpl.VideoFromFile(str(tiny_film)))
    assert plain.path == tiny_film and plain.whole and plain.size() == (192, 240) and plain.frame_count(25) == 30
    part = films.film(InputImpl.VideoFromFile(str(tiny_film), start_time=0.4, duration=0.4))
    assert (part.path, part.start, part.stop, part.whole) == (tiny_film, 0.4, 0.8, False)
    whole = np.stack(list(plain.frames(25)))
    assert np.array_equal(np.stack(list(part.frames(25))), whole[10:20]) and part.frame_count(25) == 10
    assert np.array_equal(np.stack(list(part.cut(0.2, 9.0).frames(25))), whole[15:20])
    held = films.film(InputImpl.VideoFromFile(streams.BytesIO(tiny_film.read_bytes())))
    assert held.path.read_bytes() == tiny_film.read_bytes() and held.path.parent == base / "temp"
    images = torch.rand(5, 32, 48, 3)
    made = [films.film(InputImpl.VideoFromComponents(Types.VideoComponents(images=images, frame_rate=Fraction(25))))
            for _ in range(2)]
    assert made[0].path == made[1].path and made[0].frame_count(25) == 5
    seen = np.stack(list(made[0].frames(25)))
    assert np.abs(seen / 255 - images.numpy()).mean() < 0.2 and seen.shape == (5, 32, 48, 3)
    assert len(list((base / "temp").iterdir())) == 2, "no half-written film stays"


def test_pictures_of_any_kind(films):
    grey, alpha = torch.rand(2, 4, 6, 1), torch.rand(2, 4, 6, 4)
    assert all(frame.shape == (4, 6, 3) and frame.dtype == np.uint8 for frame in (*films.pixels(grey), *films.pixels(alpha)))
    assert np.array_equal(next(films.pixels(torch.tensor([[[[-1.0, 0.5, 9.0]]]]))), [[[0, 128, 255]]])
    masks = films.mask_frames(torch.tensor([[[0.0, 1.0]]]), (4, 8))
    assert masks[0].shape == (4, 8) and not masks[0][:, :4].any() and masks[0][:, 4:].all()
