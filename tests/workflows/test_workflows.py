"""The shipped workflows: both forms say the same, and they run."""
from __future__ import annotations

import json
import shutil
from pathlib import Path

import make_workflows
import numpy as np
import pytest
from mtov_files import save_tiny_mtov
from pack import ROOT, temporary_host
from pages.catalogue import BY_NAME
from prompts import collector, keep, ok
from talking_heads.media_core.audio import load_sound, save_wav
from talking_heads.media_core.video import probe

NAMES = sorted(path.stem for path in (ROOT / "workflows" / "api").glob("*.json"))
MADE = dict(make_workflows.files(temporary_host().object_info()))
FILES = sorted(MADE)
CORE = {"LoadAudio", "LoadImage", "LoadVideo", "CreateVideo", "SaveVideo", "PreviewImage", "MarkdownNote",
        "GetVideoComponents"}


def test_there_are_workflows():
    assert {"avatar_speech_to_video", "speech_to_motion", "train_avatar", "video_to_avatar", "portrait_to_talking_video",
            "portrait_edited_motion_to_video", "audio_batch", "train_moditalker",
            "photo_to_avatar", "finetune_atom", "expression_transfer"} <= set(NAMES)
    written = {path for folder in ("workflows", "subgraphs") for path in (ROOT / folder).glob("*.json")}
    assert written == set(FILES), "run: python tests/make_workflows.py"


def workflow_file(name: str, form: str = "") -> str:
    """The path of a workflow; form: "" or "app" for the page's, or "api"."""
    folder = ROOT / "workflows"
    title = BY_NAME[name].title
    return str({"api": folder / "api" / f"{name}.json", "app": folder / f"{title}.app.json"}.get(form, folder / f"{title}.json"))


def plain(prompt):
    """A prompt without what differs between versions of ComfyUI: how Save Video names its codec."""
    nodes = {key: (node["class_type"], dict(node["inputs"]), node["_meta"]["title"]) for key, node in prompt.items()}
    for _, inputs, _ in nodes.values():
        inputs.pop("codec", None), inputs.pop("format.codec", None)
    return nodes


@pytest.mark.parametrize("name", NAMES)
def test_the_page_form_converts_to_the_api_form(host, name):
    api, _ = host.load(workflow_file(name, "api"))
    for form in ("", "app") if BY_NAME[name].app else ("",):
        page, workflow = host.load(workflow_file(name, form))
        assert workflow["version"] == 0.4
        assert plain(page) == plain(api)


def test_comfyui_takes_no_other_folder_for_templates():
    """It serves the first there is of these under one address: beside another, the templates would be listed and not found."""
    taken = ("example_workflows", "example", "examples", "workflow", "workflows")
    assert [name for name in taken if (ROOT / name).exists()] == ["workflows"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_the_page_opens_is_the_generated_one(path):
    assert json.loads(path.read_text("utf8")) == MADE[path], "run: python tests/make_workflows.py"


@pytest.mark.parametrize("name", NAMES)
def test_the_page_form_is_sound(host, name):
    page = json.loads(Path(workflow_file(name)).read_text("utf8"))
    nodes = {node["id"]: node for node in page["nodes"]}
    assert {node["type"] for node in nodes.values()} <= CORE | set(host.packs[0].nodes)
    assert page["last_node_id"] == max(nodes) and page["last_link_id"] == len(page["links"])
    for link, source, output, target, slot, kind in page["links"]:
        assert nodes[source]["outputs"][output]["type"] == kind == nodes[target]["inputs"][slot]["type"]
        assert link in nodes[source]["outputs"][output]["links"] and nodes[target]["inputs"][slot]["link"] == link


SPEECH, SHORT = "talking_heads_demo_speech.wav", "talking_heads_demo_speech_short.wav"


@pytest.fixture
def stage(host, tmp_path, tiny_avatar) -> Path:
    """The base folder, into whose input/ the pack has put its demo files; the speeches cut short. A tiny avatar stands in where
    the shipped one is absent."""
    base = tmp_path / "base"
    for name, seconds in ((SPEECH, 1.5), (SHORT, 1.0)):
        save_wav(base / "input" / name, load_sound(base / "input" / name).cut(0.0, seconds))
    if not (ROOT / "weights" / "demo_avatar.safetensors").is_file():
        shutil.copy(tiny_avatar, base / "models" / "talking_heads" / "demo_avatar.safetensors")
    return base


@pytest.mark.parametrize("form", ["", "api"])
def test_speech_to_avatar_video(host, stage, form):
    prompt, page = host.load(workflow_file("avatar_speech_to_video", form))
    result = host.run(prompt, workflow=page)
    assert result.status == "success", result.error
    (film,) = (stage / "output" / "talking_heads").glob("avatar*.mp4")
    facts = probe(film)
    sound = load_sound(stage / "input" / SPEECH)
    assert facts.has_sound and abs(facts.frames / float(facts.fps) - sound.duration) <= 0.5 / float(facts.fps) + 1e-6


def test_train_and_drive(host, tmp_path):
    prompt, _ = host.load(str(ROOT / "workflows" / "api" / "train_avatar.json"))
    short = {"seconds": 1.0, "size": 64, "voice": "formant"}
    small = {"1": short, "3": {"steps": 0.001}, "4": short}
    for node_id, inputs in small.items():
        prompt[node_id]["inputs"] |= inputs
    result = host.run(prompt)
    assert result.status == "success", result.error
    base = tmp_path / "base"
    assert (base / "models" / "talking_heads" / "my_avatar.safetensors").is_file()
    (film,) = (base / "output" / "talking_heads").glob("trained*.mp4")
    assert probe(film).frames == 25


def test_train_moditalker(host, tmp_path, monkeypatch):
    """From people to learn from to an AToM and an MToV that can be loaded, at tiny size."""
    from motion_data import TINY
    from prompts import own
    from video_data import DIFFUSION, LANDMARKS, RGB, SIZE

    for part, stages in (("mtov", {"rgb": RGB, "landmarks": LANDMARKS, "diffusion": DIFFUSION}), ("atom", {"": TINY})):
        config = own(host, f"moditalker_core.{part}.train_config")
        tiny = {stage: config.TrainConfig.from_dict({**each.to_dict(), "preset": "demo"}) for stage, each in stages.items()}
        monkeypatch.setattr(config, "presets", lambda tiny=tiny: {"demo": tiny.get("", tiny)})
    prompt, _ = host.load(workflow_file("train_moditalker"))
    prompt["1"]["inputs"] |= {"people": 2, "seconds": 2.0, "pictures": SIZE}
    result = host.run(prompt)
    assert result.status == "success", result.error
    models = tmp_path / "base" / "models" / "talking_heads"
    assert {"my_atom.safetensors", "my_mtov.safetensors", "my_mtov_rgb.safetensors"} <= {path.name for path in models.iterdir()}
    assert all(result.outputs[number]["models"] for number in "2345")


def test_photo_to_avatar(host, stage):
    """One photo becomes an avatar that speaks."""
    prompt, _ = host.load(workflow_file("photo_to_avatar"))
    small = {"2": {"seconds": 1.0, "size": 64, "voice": "formant"}, "4": {"steps": 0.001}}
    for node_id, inputs in small.items():
        prompt[node_id]["inputs"] |= inputs
    result = host.run(prompt)
    assert result.status == "success", result.error
    assert (stage / "models" / "talking_heads" / "photo.safetensors").is_file()
    (film,) = (stage / "output" / "talking_heads").glob("photo*.mp4")
    assert probe(film).frames == 25
    (manifest,) = (stage / "output" / "talking_heads" / "datasets").glob("photo_*/manifest.json")
    assert json.loads(manifest.read_text("utf8"))["portrait"]["sha256"]


def test_video_to_avatar(host, stage, tiny_film):
    """A film that came from nowhere in particular to an avatar that speaks."""
    shutil.copy(tiny_film, stage / "input" / "talking_heads_demo_video.mp4")
    prompt, _ = host.load(workflow_file("video_to_avatar"))
    small = {"2": {"size": 128}, "4": {"steps": 0.001}}
    for node_id, inputs in small.items():
        prompt[node_id]["inputs"] |= inputs
    result = host.run(prompt)
    assert result.status == "success", result.error
    assert len(result.outputs["3"]["images"]) == 1, "the report is shown"
    assert (stage / "models" / "talking_heads" / "me.safetensors").is_file()
    (film,) = (stage / "output" / "talking_heads").glob("me*.mp4")
    facts = probe(film)
    assert (facts.width, facts.height, facts.has_sound) == (128, 128, True)
    assert facts.frames == pytest.approx(load_sound(stage / "input" / SHORT).duration * 25, abs=0.51)


@pytest.mark.parametrize("form", ["", "api"])
def test_speech_to_motion(host, stage, form):
    """The shipped weights, portrait and speech; only the sampling is shortened."""
    from talking_heads.media_core.video import read_frames

    prompt, page = host.load(workflow_file("speech_to_motion", form))
    prompt["6"]["inputs"]["steps"] = 4
    result = host.run(prompt, workflow=page)
    assert result.status == "success", result.error
    (film,) = (stage / "output" / "talking_heads").glob("motion*.mp4")
    facts = probe(film)
    assert (facts.width, facts.height, float(facts.fps), facts.has_sound) == (512, 512, 25.0, True)
    assert facts.frames == pytest.approx(load_sound(stage / "input" / SPEECH).duration * 25, abs=0.51)
    changes = np.ptp(np.stack([frame.astype(int) for frame in read_frames(film)]), axis=0).max(-1)
    moving = np.argwhere(changes > 100)
    assert len(moving) > 200, "lines move"
    assert moving[:, 0].min() > 100 and moving[:, 0].max() < 450, "and only where the face is"


@pytest.fixture
def portrait(stage) -> Path:
    """The base folder with what the portrait workflows read; a tiny MToV stands in where the demo weights are absent."""
    if not (ROOT / "weights" / "demo_mtov.safetensors").is_file():
        save_tiny_mtov(stage / "models" / "talking_heads" / "demo_mtov.safetensors")
    return stage


def talking_film(host, base: Path, file: str, sampled: dict[str, dict], pattern: str):
    """The frames [T, H, W, 3] of what the workflow makes, 1 s of speech with few steps."""
    from talking_heads.media_core.video import read_frames

    prompt, page = host.load(file)
    for node_id, inputs in sampled.items():
        prompt[node_id]["inputs"] |= inputs
    result = host.run(prompt, workflow=page)
    assert result.status == "success", result.error
    (film,) = (base / "output" / "talking_heads").glob(pattern)
    facts = probe(film)
    assert (facts.width, facts.height, float(facts.fps), facts.has_sound, facts.frames) == (512, 512, 25.0, True, 25)
    return np.stack(list(read_frames(film))).astype(int)


def changes_within_the_face(frames) -> None:
    """The portrait's edge keeps still; the face does not."""
    changes = np.ptp(frames, axis=0).max(-1)
    assert max(changes[:40].max(), changes[:, :40].max(), changes[:, -40:].max()) < 25, "beyond the square nothing moves"
    assert changes[150:400, 150:360].max() > 30, "the face moves"


@pytest.mark.parametrize("form", ["", "api"])
def test_portrait_to_talking_video(host, portrait, form):
    """From an image and audio to a video with that audio, which begins with the image; the face moves and the rest does not."""
    frames = talking_film(host, portrait, workflow_file("portrait_to_talking_video", form),
                          {"8": {"steps": 4}, "10": {"life": 0.0}}, "portrait*.mp4")
    changes_within_the_face(frames)
    assert np.abs(frames[0] - demo_portrait()).mean() < 3


def test_edited_motion_makes_another_video(host, portrait):
    """The mouth's gain reaches the film: all else is equal, and equal films are equal to the last bit."""
    few = {"8": {"steps": 4}, "12": {"life": 0.0}}
    name = "portrait_edited_motion_to_video"
    wide = talking_film(host, portrait, workflow_file(name), few, "edited*.mp4")
    changes_within_the_face(wide)
    next((portrait / "output" / "talking_heads").glob("edited*.mp4")).unlink()
    shut = talking_film(host, portrait, workflow_file(name, "api"), {**few, "10": {"factor": 0.0}}, "edited*.mp4")
    mouth = np.s_[:, 250:400, 180:330]
    moving, still = (float(np.ptp(frames[mouth], axis=0).mean()) for frames in (wide, shut))
    assert moving > 5 and still < moving / 5, "lips whose motion is taken away keep still"


def demo_portrait() -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.open(ROOT / "demo" / "demo_portrait.jpg").convert("RGB"), int)


SAVED = Path(__file__).parent / "saved"  # workflows as they were saved before there was a choice of the carrier


def test_a_workflow_saved_earlier_gives_the_better_picture(host, portrait):
    """With Load MToV, Face Crop and a crop of 128 px: the whole image moves, at its own resolution."""
    frames = talking_film(host, portrait, str(SAVED / "portrait_to_talking_video.json"), {"8": {"steps": 4}, "10": {"life": 0.0}},
                          "portrait*.mp4")
    changes_within_the_face(frames)
    assert np.abs(frames[0] - demo_portrait()).mean() < 3


def test_a_workflow_saved_earlier_redraws_when_told(host, portrait):
    frames = talking_film(host, portrait, str(SAVED / "portrait_to_talking_video.json"),
                          {"8": {"steps": 4}, "10": {"steps": 2, "sampler": "dpm++", "carrier": "redraw"}}, "portrait*.mp4")
    changes_within_the_face(frames)


def test_a_page_saved_earlier_opens_and_runs(host, portrait):
    """Its widgets keep their values; frames are pasted back as before."""
    prompt, _ = host.load(str(SAVED / "edited_motion_page.json"))
    drawing = prompt["12"]["inputs"]
    assert (drawing["seed"], drawing["steps"], drawing["resize"], drawing["mtov"]) == (0, "auto", "filtered", ["4", 0])
    frames = talking_film(host, portrait, str(SAVED / "edited_motion_page.json"), {"8": {"steps": 4}}, "edited*.mp4")
    changes_within_the_face(frames)


def test_audio_batch(host, stage):
    """Every speech of the demo folder becomes a video of its own, called like its file and as long."""
    for path in (stage / "input" / "talking_heads_demo_batch").iterdir():
        save_wav(path, load_sound(path).cut(0.4, 0.4 + (0.4 if path.stem == "take1" else 0.6)))
    prompt, _ = host.load(str(ROOT / "workflows" / "api" / "audio_batch.json"))
    result = host.run(prompt)
    assert result.status == "success", result.error
    videos = {path.name: probe(path) for path in (stage / "output" / "talking_heads").iterdir()}
    assert {name: (facts.frames, facts.has_sound) for name, facts in videos.items()} == {
        "take1_00001_.mp4": (10, True), "take2_00001_.mp4": (15, True), "take3_00001_.mp4": (15, True)}


def test_the_demo_files_are_shipped():
    """What `make demo` and the first workflow need, and where the issue puts its bounds."""
    avatar = ROOT / "weights" / "demo_avatar.safetensors"
    assert avatar.is_file() and avatar.stat().st_size < 8_000_000
    assert (ROOT / "weights" / "demo_atom.safetensors").stat().st_size < 8_000_000
    mtov = ROOT / "weights" / "demo_mtov.safetensors"
    assert mtov.stat().st_size < 8_000_000
    assert (ROOT / "demo" / "demo_portrait.jpg").stat().st_size < 60_000
    assert load_sound(ROOT / "demo" / "demo_speech.wav").duration > 2.0
    video = probe(ROOT / "demo" / "demo_video.mp4")
    assert video.has_sound and video.duration > 10 and (ROOT / "demo" / "demo_video.mp4").stat().st_size < 900_000


@pytest.mark.parametrize("path", [path for path in FILES if path.parent.name == "workflows"], ids=lambda path: path.name)
def test_every_template_has_a_small_animated_thumbnail(path):
    """The page asks for .jpg whatever it is."""
    from PIL import Image

    with Image.open(path.with_suffix(".jpg")) as image:
        assert image.format == "WEBP" and image.n_frames > 20 and min(image.size) >= 256 and max(image.size) <= 400
    assert path.with_suffix(".jpg").stat().st_size < 250_000


def test_thumbnails_are_distinct_and_none_is_left_over():
    images = sorted((ROOT / "workflows").glob("*.jpg"))
    titles = {page.title for page in BY_NAME.values()}
    assert len({path.read_bytes() for path in images}) == len(images)
    assert {path.stem.removesuffix(".app") for path in images} <= titles


def test_finetune_atom(host, stage, tiny_film, monkeypatch):
    """One video of somebody beside synthetic people to an AToM that can be loaded; from tiny weights."""
    from dataclasses import replace

    from atom_files import save_tiny_atom
    from prompts import own
    from talking_heads.moditalker_core.atom.checkpoints import load_atom

    shutil.copy(tiny_film, stage / "input" / "talking_heads_demo_video.mp4")
    save_tiny_atom(stage / "models" / "talking_heads" / "tiny_atom.safetensors")
    config = own(host, "moditalker_core.atom.train_config")
    gentle = replace(config.presets()["finetune"], steps=2, batch=2, warm_up=1)
    monkeypatch.setattr(config, "presets", lambda: {"finetune": gentle})
    prompt, _ = host.load(workflow_file("finetune_atom"))
    small = {"1": {"tracker": "rendered"}, "2": {"people": 2, "seconds": 2.0}, "3": {"start_from": "tiny_atom.safetensors"}}
    for node_id, inputs in small.items():
        prompt[node_id]["inputs"] |= inputs
    result = host.run(prompt)
    assert result.status == "success", result.error
    record = load_atom(stage / "models" / "talking_heads" / "my_atom.safetensors").config.training
    assert record["preset"] == "finetune" and record["begun with"]["preset"] == "random"
    assert record["clips"] == 1 and record["mix"][0]["people"] == 2 and record["mix"][0]["fraction"] == .5


def test_expression_transfer(host, stage, tiny_film):
    """The driving face's brows and lids, and its turns, are those of the avatar."""
    prompt, _ = host.load(workflow_file("expression_transfer"))
    shutil.copy(tiny_film, stage / "input" / "talking_heads_demo_video.mp4")
    kept = collector(host)
    prompt |= {"used": keep("8", 1), "driving": keep("4", 2)}
    ok(host.run(prompt))
    (film,) = (stage / "output" / "talking_heads").glob("transfer*.mp4")
    used, driving = sorted(kept, key=lambda track: track.source != "HM-Talker A2AM")
    assert probe(film).frames == len(used) == len(driving) and probe(film).has_sound
    assert used.column("AU01").numpy() == pytest.approx(driving.column("AU01").numpy(), abs=1e-5)
