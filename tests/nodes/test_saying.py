"""What nodes say of their work: text on the node, and text, images and file names in the history."""
from __future__ import annotations

import ast
import shutil
from pathlib import Path

import numpy as np
import pytest
from atom_files import save_tiny_atom, save_tiny_checkpoint
from mtov_files import HEADS, save_published
from pack import ROOT, make_host
from prompts import collector, failure, give, giver, keep, node, ok, own

TRAIN = node("HMTalker_TrainAvatar", dataset=["data", 0], preset="demo", steps=0.001, seed=0, name="me", resume=True)
MOTION_DATA = node("TalkingHead_MotionDataset", source="synthetic subject", name="few", encoder="mel", people=2, seconds=3.0,
                   captured=False, seed=1, videos="", face_index=0, order="largest")
TRAIN_ATOM = node("MoDiTalker_TrainAToM", dataset=["data", 0], preset="demo", steps=0.001, seed=0, name="mine", resume=True,
                  batch=2, accumulation=1, licence="for tests")
IMPORT_ATOM = node("MoDiTalker_ImportAToM", checkpoint="atom.pt", weights="raw", mean_face="built-in", heads=8, name="mine",
                   half=False)
MODELS = "models/talking_heads"


class Ears:
    """Keeps what a host tells."""

    def __init__(self) -> None:
        self.texts: list[tuple[str, str]] = []
        self.previews: list[tuple[str, object]] = []

    def __call__(self, name: str, data) -> None:
        if name == "progress_text":
            self.texts.append((data["node"], data["text"]))
        if name == "preview":
            self.previews.append((data["node"], data["image"]))


@pytest.fixture
def heard(tmp_path):
    """(host, ears, base folder)."""
    ears = Ears()
    (tmp_path / "base" / MODELS).mkdir(parents=True)
    return make_host(tmp_path / "base", on_event=ears), ears, tmp_path / "base"


def there(base: Path, shown: dict) -> list[str]:
    """The names in a node's part of the history; every one is a file or folder."""
    named = [f"output/{entry['subfolder']}/{entry['filename']}" for entry in shown.get("files", [])]
    named += [f"temp/{entry['filename']}" for key in ("previews", "images") for entry in shown.get(key, [])]
    named += [*shown.get("models", []), *shown.get("folders", [])]
    assert named and all((base / name).exists() for name in named), named
    return named


def test_an_avatars_training_says_file_figures_and_log_and_leaves_a_labelled_picture(heard, tiny_dataset):
    host, ears, base = heard
    shutil.copytree(tiny_dataset, base / "input" / "person")
    data = node("TalkingHead_LoadDataset", place="input", folder="person")
    result = ok(host.run({"data": data, "train": TRAIN}))
    shown, (text,) = result.outputs["train"], result.outputs["train"]["text"]
    assert {f"{MODELS}/me.safetensors", "output/talking_heads/logs/me/log.csv"} < set(there(base, shown))
    first, work, figures, log = text.split("\n")
    assert first == f"Saved {MODELS}/me.safetensors" and " steps in " in work
    assert log == "Log: output/talking_heads/logs/me/log.csv"
    assert figures.startswith("loss ") and "PSNR" in figures and "held-out PSNR" in figures
    assert ("train", text.replace("\n", "  \n")) in ears.texts
    assert len(shown["previews"]) == 1 and ears.previews[-1][0] == "train" and ears.previews[-1][1].width == 512
    assert "30 frames of 64 x 64 px" in result.outputs["data"]["text"][0] and len(result.outputs["data"]["images"]) == 4
    again = host.run({"data": data, "train": TRAIN})
    assert not again.executed and again.outputs == result.outputs, "also from the cache"


def test_a_synthetic_subject_says_where_it_is(heard):
    host, ears, base = heard
    subject = node("TalkingHead_SyntheticSubject", seconds=1.0, seed=0, size=64, identity=3, voice="formant", name="subject",
                   text="")
    result = ok(host.run({"data": subject, "p": node("PreviewImage", images=["data", 1])}))
    shown = result.outputs["data"]
    assert shown["folders"][0].startswith("output/talking_heads/datasets/subject_") and len(shown["previews"]) == 4
    there(base, shown)
    assert ears.texts == [("data", shown["text"][0].replace("\n", "  \n"))]
    assert ears.previews[-1][1].size == (128, 128), "the four frames in two rows stay on the node"


def test_a_motion_dataset_and_a_training_on_it(heard):
    host, ears, base = heard
    alone = ok(host.run({"data": MOTION_DATA})).outputs["data"]
    assert any(name.endswith("/index.json") for name in there(base, alone)) and "people: 2" in alone["text"][0]
    shown = ok(host.run({"data": MOTION_DATA, "train": TRAIN_ATOM})).outputs["train"]
    assert f"{MODELS}/mine.safetensors" in there(base, shown) and "licence: for tests" in shown["text"][0]
    assert "lip correlation" in shown["text"][0] and ears.texts[-1][0] == "train" and shown["previews"]


def test_imported_checkpoints(heard):
    host, _, base = heard
    save_tiny_checkpoint(base / MODELS / "atom.pt")
    files = dict(zip(("autoencoder", "landmark_autoencoder", "denoiser"), save_published(base / MODELS)))
    mtov = node("MoDiTalker_ImportMToV", **files, heads=HEADS, name="film", half=False)
    for one, name in ((IMPORT_ATOM, "mine"), (mtov, "film")):
        shown = ok(host.run({"import": one})).outputs["import"]
        assert there(base, shown) == [f"{MODELS}/{name}.safetensors"]
        assert shown["text"][0].startswith(f"Saved {MODELS}/{name}.safetensors\n{name}.safetensors\n")


def test_saved_landmarks_can_be_fetched(heard):
    import torch

    host, _, base = heard
    giver(host)["track"] = own(host, "media_core.motion").LandmarkTrack(torch.zeros(3, 68, 3), 25.0)
    save = node("TalkingHead_SaveLandmarks", landmarks=["t", 0], filename_prefix="takes/a")
    shown = ok(host.run({"t": give("track"), "s": save})).outputs["s"]
    assert shown["files"] == [{"filename": "a_00001_.safetensors", "subfolder": "takes", "type": "output"}]
    assert shown["text"] == ["Saved output/takes/a_00001_.safetensors\n3 frames at 25 fps (0.12 s), canonical"]
    shown = ok(host.run({"t": give("track"), "s": {**save, "inputs": {**save["inputs"], "filename_prefix": "b"}}})).outputs["s"]
    assert shown["files"][0]["subfolder"] == "" and (base / "output" / "b_00001_.safetensors").is_file()


def test_a_loader_says_what_it_loaded_once_and_again_from_the_cache(heard):
    host, ears, base = heard
    save_tiny_atom(base / MODELS / "tiny.safetensors")
    collector(host)
    prompt = {"atom": node("MoDiTalker_LoadAToM", atom_name="tiny.safetensors", precision="fp32"), "k": keep("atom", 1)}
    first = ok(host.run(prompt))
    assert first.outputs["atom"]["text"][0].startswith("tiny.safetensors\n") and len(ears.texts) == 1
    assert host.run(prompt).outputs["atom"] == first.outputs["atom"] and len(ears.texts) == 1


def test_an_error_stands_on_the_node(heard):
    import torch

    host, ears, _ = heard
    values = giver(host)
    values["image"] = torch.zeros(1, 128, 128, 3)
    face = {"i": give("image"), "f": node("TalkingHead_PortraitLandmarks", image=["i", 0], face_index=0, order="largest"),
            "p": node("PreviewImage", images=["f", 2])}
    assert failure(host.run(face)).startswith("The image must show")
    ((where, sheet),) = ears.previews
    assert where == "f" and sheet.width == 512 and 80 < sheet.height < 300 and np.asarray(sheet).max() > 200 and not ears.texts


@pytest.mark.parametrize("text", [
    "word " * 20_000, "x" * 20_000, "/a/long/path" * 20, "The line must\nend.\n\nGot: two", "\udcff", ""])
def test_any_text_is_an_image_of_a_size_that_can_be_sent(host, text):
    """ComfyUI's server ends when it cannot encode a preview."""
    sheet = own(host, "media_core.caption_image").sentence(text)
    assert sheet.width == 512 and sheet.height < 2000
    drawn = np.asarray(sheet).max(2) > 100
    assert not drawn[:, -4:].any() and not drawn[-3:].any(), "nothing is cut off"
    assert not drawn[:, :450].all() and (len(text) < 100 or drawn[:, 400:].any())


def test_a_name_that_is_no_utf8_can_be_said(heard):
    """Linux takes any bytes for a name; ComfyUI encodes what a node says strictly."""
    host, ears, base = heard
    shutil.copytree(ROOT / "demo" / "batch", base / "input" / "takes")
    try:
        (base / "input" / "takes" / "take1.wav").rename(base / "input" / "takes" / "t\udcff.wav")
    except OSError:
        pytest.skip("a file system that takes UTF-8 alone")
    load = node("TalkingHead_LoadAudioBatch", folder="takes", pattern="*", start=0, count=9, prefix="")
    shown = ok(host.run({"a": load, "p": node("PreviewAudio", audio=["a", 0])})).outputs["a"]
    assert "t\udcff.wav" in shown["text"][0] and "t?.wav" in ears.texts[0][1]
    ears.texts[0][1].encode("utf8")


def test_a_very_long_text_is_whole_in_the_history_alone(heard):
    host, ears, base = heard
    shutil.copytree(ROOT / "demo" / "batch", base / "input" / "takes")
    load = node("TalkingHead_LoadAudioBatch", folder="takes", pattern="*", start=0, count=9, prefix="")
    saying, audio_batch = own(host, "nodes.saying"), own(host, "nodes.audio_batch")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(audio_batch, "_listed", lambda *given: "line\n" * 10_000)
        shown = ok(host.run({"a": load, "p": node("PreviewAudio", audio=["a", 0])})).outputs["a"]
    assert shown["text"] == ["line\n" * 10_000] and ears.texts[0][1].endswith(" ...")
    assert len(ears.texts[0][1]) < 2 * saying._LONGEST


def test_datasets_on_another_disk_are_named_and_a_full_temp_folder_loses_nothing(heard, tmp_path, monkeypatch, caplog):
    host, _, base = heard
    (tmp_path / "disk").mkdir()
    (base / "output" / "talking_heads").mkdir(parents=True)
    (base / "output" / "talking_heads" / "datasets").symlink_to(tmp_path / "disk")
    shown = ok(host.run({"data": MOTION_DATA})).outputs["data"]
    assert shown["files"] == [] and shown["folders"][0].startswith(str(tmp_path / "disk"))

    def full(*values, **named):
        raise OSError(28, "No space left on device")

    saying = own(host, "nodes.saying")
    monkeypatch.setattr(saying.ui, "PreviewImage", full)
    assert saying.pictures(None, None) == [] and "No space left on device" in caplog.text


def test_nothing_is_sent_where_no_node_runs(host):
    saying = own(host, "nodes.saying")
    assert saying.said("hello", files=[]) == {"text": ["hello"], "files": []}


def test_a_file_in_a_folder_of_ones_own_is_named_whole(host, tmp_path):
    saying = own(host, "nodes.saying")
    assert saying.place(tmp_path / "elsewhere" / "a.safetensors") == str(tmp_path / "elsewhere" / "a.safetensors")
    assert saying.place(tmp_path / "base" / MODELS / "deep" / "a.safetensors") == f"{MODELS}/deep/a.safetensors"


def test_images_side_by_side_stay_on_the_node(host):
    import torch

    left, saying = [], own(host, "nodes.saying")
    report = own(host, "nodes.bridge").NodeReport()
    report._bar = type("Bar", (), {"update_absolute": lambda self, *told: left.append(told)})()
    saying.leave(torch.stack([torch.full((4, 6, 3), value) for value in (0.2, 0.4, 0.6)]), report)
    ((done, total, (kind, sheet, longest)),) = left
    assert (done, total, kind, longest) == (1, 1, "JPEG", 12) and np.asarray(sheet).shape == (8, 12, 3)
    assert [np.asarray(sheet)[y, x, 0] for y, x in ((0, 0), (0, 6), (4, 0), (4, 6))] == [51, 102, 153, 0]


@pytest.mark.parametrize("reports, words", [
    ([(301, {"loss": 0.5}), (302, {"loss": 0.4})], "2 steps in 0 s, 302 with those of earlier runs"),
    ([(0, {"phase": "speech"}), (300, {"phase": "compile"}), (301, {"loss": 0.5}), (301, {"phase": "finish"})],
     "1 step in 0 s, 301 with those of earlier runs"),
    ([(0, {"phase": "compile"}), (1, {"loss": 0.5}), (2, {"loss": 0.4})], "2 steps in 0 s"),
    ([(302, {"phase": "finish"})], "0 steps in 0 s, 302 with those of earlier runs")])
def test_a_training_says_what_it_did_itself(host, reports, words):
    saying, report = own(host, "nodes.saying"), own(host, "nodes.bridge").NodeReport()
    report._bar = type("Bar", (), {"update_absolute": lambda self, *told: None})()
    for step, info in reports:
        report(step, 302, info)
    assert saying._work(report) == words and report.last_picture() is None
    assert report.figures() == dict([item for _, info in reports for item in info.items() if item[0] == "loss"][-1:])


def test_every_node_that_saves_or_tells_says_it_on_the_page(host):
    """An output node, and one with a text output, gives the page something; all but output nodes give it again when cached."""
    classes = {part.name: part for path in (ROOT / "nodes").glob("*.py") for part in ast.parse(path.read_text("utf8")).body
               if isinstance(part, ast.ClassDef)}
    silent, unkept = [], []
    for node_id, kind in host.packs[0].nodes.items():
        schema = kind.GET_SCHEMA()
        says = "ui" in {part.arg for part in ast.walk(classes[kind.__name__]) if isinstance(part, ast.keyword)}
        telling = schema.is_output_node or any(output.io_type == "STRING" for output in schema.outputs)
        silent += [node_id] * (telling and not says)
        unkept += [node_id] * (says and not (schema.is_output_node or schema.has_intermediate_output))
    assert not silent and not unkept
