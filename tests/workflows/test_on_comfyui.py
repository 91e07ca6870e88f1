"""The shipped workflows on a real ComfyUI: over its HTTP interface, as a batch user runs them."""
from __future__ import annotations

import importlib.util
import json
import os
import shutil
import socket
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from atom_files import save_tiny_atom, save_tiny_checkpoint
from ave_file import save_ave_file
from hubert_folder import save_hubert
from mtov_files import HEADS, save_published, save_tiny_mtov
from pack import ROOT
from talking_heads.media_core.audio import Sound, save_wav
from talking_heads.media_core.video import probe

pytestmark = [pytest.mark.comfyui, pytest.mark.slow]


@pytest.fixture(scope="module")
def real(tmp_path_factory, tiny_avatar, tiny_film) -> Iterator[Any]:
    """A running ComfyUI with the pack, a speech and a film in input/ and an avatar in models/."""
    checkout = os.environ.get("COMFYUI_PATH")
    if not checkout:
        pytest.skip("COMFYUI_PATH is not set: the workflows were not run on a real ComfyUI")
    spec = importlib.util.spec_from_file_location("real_comfyui", ROOT / "tests" / "host" / "real_comfyui.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    base = tmp_path_factory.mktemp("comfyui")
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, (1, 24000)).astype(np.float32)
    for name in ("demo_speech", "demo_speech_short", "demo_batch/a", "demo_batch/b"):  # what is there, the pack leaves as it is
        save_wav(base / "input" / f"talking_heads_{name}.wav", Sound(noise, 16000))
    shutil.copy(tiny_film, base / "input" / "talking_heads_demo_video.mp4")
    models = base / "models" / "talking_heads"
    models.mkdir(parents=True)
    shutil.copy(tiny_avatar, models / "demo_avatar.safetensors")
    save_tiny_atom(models / "tiny_atom.safetensors")
    save_tiny_checkpoint(models / "atom.pt")
    save_tiny_mtov(models / "tiny_mtov.safetensors")
    save_published(models)
    save_hubert(base / "models" / "audio_encoders" / "small")
    save_ave_file(base / "models" / "audio_encoders" / "ave.safetensors")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    host = module.RealHost(checkout, base, (ROOT,), port)
    yield host
    host.close()


def node(class_type: str, **inputs: Any) -> dict:
    return {"class_type": class_type, "inputs": inputs}


def first_choice(kind: Any, options: dict) -> Any:
    """A widget's default, or the first of its choices."""
    choices = kind if isinstance(kind, list) else options.get("options", [None])
    first = choices[0]["key"] if isinstance(choices[0], dict) else choices[0]
    return options.get("default", first)


def workflow(name: str, changes: dict[str, dict]) -> dict:
    prompt = json.loads((ROOT / "workflows" / "api" / f"{name}.json").read_text("utf8"))
    for node_id, inputs in changes.items():
        prompt[node_id]["inputs"] |= inputs
    return prompt


def run(real: Any, prompt: dict, stop_at: str | None = None) -> tuple[list, dict]:
    status, answer, events, history = real.run(prompt, stop_at)
    assert status == 200, json.dumps(answer, indent=1)
    assert not answer["node_errors"]
    errors = [data.get("exception_message") for name, data in events if name == "execution_error"]
    assert not errors, errors
    return events, history


def films(real: Any, pattern: str) -> list[Path]:
    return sorted((real.base / "output" / "talking_heads").glob(pattern))


def test_speech_to_avatar_video(real):
    prompt = workflow("avatar_speech_to_video", {})
    events, history = run(real, prompt)
    assert history["status"]["status_str"] == "success"
    assert any(name == "progress" and data["node"] == "5" for name, data in events) and ("preview", {}) in events
    (film,) = films(real, "avatar*.mp4")
    assert probe(film).has_sound and probe(film).frames == 38
    again, _ = run(real, prompt)
    assert not [data for name, data in again if name == "executing" and data.get("node")], "all of it comes from the cache"


def test_a_film_outlives_an_emptied_temp_folder_and_goes_with_its_result(real):
    prompt = workflow("avatar_speech_to_video", {"6": {"filename_prefix": "talking_heads/kept"}})
    run(real, prompt)
    shutil.rmtree(real.base / "temp")
    prompt["6"]["inputs"]["filename_prefix"] = "talking_heads/again"
    events, _ = run(real, prompt)
    assert [data["node"] for name, data in events if name == "executing" and data.get("node")] == ["6"]
    assert probe(films(real, "kept*.mp4")[0]).frames == probe(films(real, "again*.mp4")[0]).frames == 38
    for crf in (30, 31):
        prompt["5"]["inputs"]["crf"] = crf
        run(real, prompt)
    ended = time.monotonic() + 30  # the copy that grew meanwhile is left to the page for a moment
    while list((real.base / "temp").glob("talking_heads_live_*")) and time.monotonic() < ended:
        time.sleep(0.2)
    assert len(list((real.base / "temp").glob("talking_heads_*.mp4"))) <= 2


def test_an_error_leads_with_its_sentence(real):
    from PIL import Image

    Image.new("RGB", (40, 40), (128, 128, 128)).save(real.base / "input" / "small.png")
    prompt = {"1": node("LoadImage", image="small.png"),
              "2": node("TalkingHead_PortraitLandmarks", image=["1", 0], face_index=0, order="largest"),
              "3": node("TalkingHead_PreviewLandmarks", size=64, start_frame=0, frame_count=0, dots=True, landmarks=["2", 0]),
              "4": node("PreviewImage", images=["3", 0])}
    status, _, events, _ = real.run(prompt)
    (error,) = [data for name, data in events if name == "execution_error"]
    assert status == 200 and error["exception_type"] == "TalkingHeadsError"
    assert error["exception_message"].startswith("The image must show a face")


def test_train_and_drive(real):
    small = {"1": {"seconds": 1.0, "size": 64, "voice": "formant"}, "3": {"steps": 0.001},
             "4": {"seconds": 1.0, "size": 64, "voice": "formant"}}
    _, history = run(real, workflow("train_avatar", small))
    assert history["status"]["status_str"] == "success"
    assert (real.base / "models" / "talking_heads" / "my_avatar.safetensors").is_file()
    assert probe(films(real, "trained*.mp4")[0]).frames == 25


def test_video_to_avatar(real):
    prompt = workflow("video_to_avatar", {"2": {"size": 128}, "4": {"steps": 0.001}})
    tracking = {"fps": 25.0, "face_index": 0, "order": "largest", "policy": "error", "focal": 0.0, "smoothing": 13,
                "tracker": "rendered"}
    prompt |= {  # besides: a trimmed video, one without a file, and everything between a film and pictures to look at
        "10": node("TalkingHead_PickSegment", video=["1", 0], seconds=2.0, face_index=0, order="largest"),
        "11": node("TalkingHead_PrepareDataset", **{**prompt["2"]["inputs"], "video": ["10", 2]}),
        "12": node("PreviewImage", images=["11", 1]),
        "13": node("GetVideoComponents", video=["1", 0]),
        "14": node("TalkingHead_TrackFace", **tracking, images=["13", 0]),
        "15": node("TalkingHead_PreviewLandmarks", size=128, start_frame=0, frame_count=4, dots=True, face_track=["14", 0],
                   images=["13", 0]),
        "16": node("PreviewImage", images=["15", 0]),
        "17": node("TalkingHead_PreviewCurves", units="all", width=640, strip=40, face_track=["14", 0]),
        "18": node("PreviewImage", images=["17", 0]),
        "19": node("TalkingHead_FaceCrop", images=["13", 0], size=96, margin=2.0, way="follow", upright=True, feather=0.1,
                   face_index=0, order="largest", face_track=["14", 0]),
        "20": node("ImageInvert", image=["19", 0]),
        "21": node("TalkingHead_FacePasteBack", images=["13", 0], crops=["20", 0], face_crop=["19", 1], feather=0.1),
        "22": node("PreviewImage", images=["21", 0]),
        "23": node("CreateVideo", images=["13", 0], audio=["13", 1], fps=25.0),
        "24": node("TalkingHead_TrackFace", **tracking, video=["23", 0]),
        "25": node("TalkingHead_PreviewLandmarks", size=128, start_frame=0, frame_count=1, dots=True, landmarks=["24", 1]),
        "26": node("PreviewImage", images=["25", 0]),
        "27": node("TalkingHead_Metrics", fps=25.0, transcript="", tracker="rendered", plot_width=640, video=["1", 0],
                   truth=["23", 0]),
    }
    _, history = run(real, prompt)
    assert history["status"]["status_str"] == "success"
    assert "PSNR" in history["outputs"]["27"]["text"][0]
    assert {key: len(history["outputs"][key]["images"]) for key in ("3", "12", "16", "18", "22", "26")} == {
        "3": 1, "12": 1, "16": 4, "18": 1, "22": 30, "26": 1}
    assert (real.base / "models" / "talking_heads" / "me.safetensors").is_file()
    assert probe(films(real, "me*.mp4")[0]).frames == 38


def test_audio_batch(real):
    """Core maps the whole chain over the list. The pack's three demo files were put beside the two that were there."""
    _, history = run(real, workflow("audio_batch", {"1": {"pattern": "?.wav"}}))
    assert history["status"]["status_str"] == "success"
    assert [shown["filename"] for shown in history["outputs"]["6"]["images"]] == ["a_00001_.mp4", "b_00001_.mp4"]
    assert {probe(films(real, f"{name}_*.mp4")[0]).frames for name in "ab"} == {38}
    folder = real.object_info()["TalkingHead_LoadAudioBatch"]["input"]["required"]["folder"][1]
    assert folder["default"] in folder["options"] and len(list((real.base / "input" / folder["default"]).iterdir())) == 5


def test_training_is_interrupted_and_goes_on(real):
    small = {"1": {"seconds": 1.0, "size": 64, "voice": "formant"}, "3": {"steps": 0.003, "name": "stopped"},
             "4": {"seconds": 1.0, "size": 64, "voice": "formant"}}
    prompt = workflow("train_avatar", small)
    events, _ = run(real, prompt, stop_at="3")
    assert events[-1][0] == "execution_interrupted"
    models = real.base / "models" / "talking_heads"
    assert (models / "stopped.training.safetensors").is_file() and not (models / "stopped.safetensors").exists()
    run(real, prompt)
    assert (models / "stopped.safetensors").is_file() and not (models / "stopped.training.safetensors").exists()


def test_the_frames_and_the_splat_feed_core_nodes(real):
    """IMAGE and MASK go into core's own nodes; the splat goes through core's renderer where that exists."""
    prompt = workflow("avatar_speech_to_video", {})
    del prompt["5"], prompt["6"]
    prompt |= {
        "5": node("HMTalker_RenderAvatar", avatar=["3", 0], motion=["4", 0], background="black", start_frame=0, frame_count=3,
                  backend="auto"),
        "6": node("PreviewImage", images=["5", 0]),
        "7": node("MaskToImage", mask=["5", 1]),
        "8": node("PreviewImage", images=["7", 0]),
    }
    info = real.object_info()
    if "RenderSplat" in info:
        needed = info["RenderSplat"]["input"]["required"].items()
        values = {name: first_choice(*spec) for name, spec in needed if name != "splat"}
        prompt |= {
            "9": node("HMTalker_AvatarFrameToSplat", avatar=["3", 0], motion=["4", 0], frame=1),
            "10": node("RenderSplat", **{**values, "splat": ["9", 0], "width": 64, "height": 64}),
            "11": node("PreviewImage", images=["10", 0]),
        }
    _, history = run(real, prompt)
    assert len(history["outputs"]["6"]["images"]) == 3 and len(history["outputs"]["8"]["images"]) == 3


def test_hubert_from_a_model_folder(real):
    """Its weights go through ComfyUI's memory management; the speech is looked at by core's Preview as Text."""
    prompt = {"1": node("LoadAudio", audio="talking_heads_demo_speech.wav"),
              "2": node("TalkingHead_EncodeSpeech", audio=["1", 0], encoder="hubert", model_folder="small", layer=1),
              "3": node("PreviewAny", source=["2", 0])}
    _, history = run(real, prompt)
    shown = "".join(history["outputs"]["3"]["text"])
    assert "encoder='small'" in shown and "layer='1'" in shown and "rate=50.0" in shown


@pytest.mark.parametrize("kind, model, other", [("hubert", "small", "ave.safetensors"), ("ave", "ave.safetensors", "small")])
def test_an_avatar_and_an_atom_of_other_encoders(real, kind, model, other):
    """Trained, driven, and refused the speech of the other one."""
    name, speech = ("ave", "ave") if kind == "ave" else ("small", "hubert")
    strange = "hubert" if kind == "ave" else "ave"
    prompt = {"1": node("TalkingHead_LoadSpeechEncoder", encoder=kind, model_folder=model),
              "2": node("TalkingHead_SyntheticSubject", seconds=1.0, size=64, voice="formant", seed=0, identity=3,
                        name="heard", text="", invented=False),
              "3": node("HMTalker_TrainAvatar", dataset=["2", 0], preset="demo", steps=0.001, seed=0, name=f"hears_{name}",
                        resume=True, encoder="mel", speech_encoder=["1", 0]),
              "4": node("LoadAudio", audio="talking_heads_demo_speech.wav"),
              "5": node("TalkingHead_EncodeSpeech", audio=["4", 0], encoder=speech, model_folder=model),
              "6": node("HMTalker_DriveAvatar", avatar=["3", 0], speech=["5", 0], blinks="track", smoothing=0.0, lip_gain=1.0,
                        seed=0),
              "7": node("PreviewAny", source=["6", 0]),
              "8": node("TalkingHead_MotionDataset", source="synthetic subject", name=f"heard_{name}", encoder="mel", people=1,
                        seconds=2.0, captured=False, seed=1, videos="", face_index=0, order="largest", speech_encoder=["1", 0]),
              "9": node("MoDiTalker_TrainAToM", dataset=["8", 0], preset="demo", steps=0.0005, seed=0, name=f"atom_{name}",
                        resume=True, batch=2, accumulation=1, licence="for tests"),
              "10": node("PreviewAny", source=["9", 2])}
    run(real, prompt)
    prompt["5"]["inputs"] |= {"encoder": strange, "model_folder": other}
    status, _, events, _ = real.run(prompt)
    errors = [data["exception_message"] for event, data in events if event == "execution_error"]
    assert status == 200 and len(errors) == 1 and "'ave', layer last" in errors[0] and "'small', layer last" in errors[0]


def test_speech_to_motion(real):
    prompt = workflow("speech_to_motion", {"6": {"steps": 4}})
    events, history = run(real, prompt)
    assert history["status"]["status_str"] == "success"
    assert any(name == "progress" and data["node"] == "6" for name, data in events) and ("preview", {}) in events
    (film,) = films(real, "motion*.mp4")
    facts = probe(film)
    assert facts.has_sound and (facts.width, facts.height, facts.frames) == (512, 512, 38)
    again, _ = run(real, prompt)
    assert not [data for name, data in again if name == "executing" and data.get("node")], "all of it comes from the cache"


def test_motion_is_edited_kept_and_handed_to_core(real):
    """Every editing node behind a generated motion; files; core's own face nodes where this ComfyUI has them."""
    prompt = workflow("speech_to_motion", {"3": {"atom_name": "tiny_atom.safetensors"}, "6": {"steps": 0}})
    for last in ("9", "10", "11"):
        del prompt[last]
    prompt |= {
        "20": node("TalkingHead_SmoothLandmarks", landmarks=["7", 0], cutoff=6.0),
        "21": node("TalkingHead_OffsetLandmarks", landmarks=["20", 0], x=0.1, y=0.0, z=0.0),
        "22": node("TalkingHead_BlendLandmarks", a=["20", 0], b=["21", 0], weight=0.5, region="mouth"),
        "23": node("TalkingHead_RetimeLandmarks", landmarks=["22", 0], fps=10.0),
        "24": node("TalkingHead_SaveLandmarks", landmarks=["23", 0], filename_prefix="talking_heads/take"),
        "25": node("TalkingHead_LoadLandmarks", place="output", file=["24", 0]),
        "26": node("TalkingHead_PreviewLandmarks", size=64, start_frame=0, frame_count=0, dots=True, landmarks=["25", 0]),
        "27": node("PreviewImage", images=["26", 0]),
        "28": node("TalkingHead_LandmarksToFaceLandmarks", landmarks=["8", 0]),
        "29": node("TalkingHead_LandmarksFromFaceLandmarks", face_landmarks=["28", 0], fps=25.0, face_index=0, policy="error"),
        "30": node("TalkingHead_PreviewLandmarks", size=64, start_frame=0, frame_count=2, dots=True, landmarks=["29", 0]),
        "31": node("PreviewImage", images=["30", 0]),
    }
    expected = {"27": 15, "31": 2}
    if "MediaPipeFaceMask" in real.object_info():
        prompt |= {"32": node("MediaPipeFaceMask", face_landmarks=["28", 0], regions="all"),
                   "33": node("MaskToImage", mask=["32", 0]), "34": node("PreviewImage", images=["33", 0])}
        expected["34"] = 38
    _, history = run(real, prompt)
    assert {key: len(history["outputs"][key]["images"]) for key in expected} == expected
    assert (real.base / "output" / "talking_heads" / "take_00001_.safetensors").is_file()


def test_sampling_is_interrupted_within_a_step(real):
    prompt = workflow("speech_to_motion", {"3": {"atom_name": "tiny_atom.safetensors"}, "6": {"steps": 1000, "sampler": "ddim"}})
    events, _ = run(real, prompt, stop_at="6")
    assert events[-1][0] == "execution_interrupted"


def test_an_atom_is_imported_and_trained(real):
    prompt = {
        "1": node("MoDiTalker_ImportAToM", checkpoint="atom.pt", weights="ema", mean_face="built-in", heads=8, name="imported",
                  half=True),
        "2": node("TalkingHead_MotionDataset", source="synthetic subject", name="few", encoder="mel", people=2, seconds=3.0,
                  captured=False, seed=1, videos="", face_index=0, order="largest"),
        "3": node("MoDiTalker_TrainAToM", dataset=["2", 0], preset="demo", steps=0.001, seed=0, name="trained", resume=True,
                  batch=2, accumulation=1, licence="for tests"),
        "4": node("PreviewAny", source=["3", 2]),
    }
    events, history = run(real, prompt)
    models = real.base / "models" / "talking_heads"
    assert (models / "imported.safetensors").is_file() and (models / "trained.safetensors").is_file()
    assert "licence: for tests" in "".join(history["outputs"]["4"]["text"]) and ("preview", {}) in events
    options = real.object_info()["MoDiTalker_LoadAToM"]["input"]["required"]["atom_name"]
    assert {"imported.safetensors", "trained.safetensors"} <= set(options[1]["options"])


SHIPPED = (ROOT / "weights" / "demo_mtov.safetensors").is_file()
MTOV = {"mtov_name": "demo_mtov.safetensors" if SHIPPED else "tiny_mtov.safetensors"}


def test_portrait_to_talking_video(real):
    prompt = workflow("portrait_to_talking_video", {"8": {"steps": 4}})
    events, history = run(real, prompt)
    assert history["status"]["status_str"] == "success"
    assert any(name == "progress" and data["node"] == "10" for name, data in events) and ("preview", {}) in events
    facts = probe(films(real, "portrait*.mp4")[0])
    assert facts.has_sound and (facts.width, facts.height, facts.frames) == (512, 512, 38)
    again, _ = run(real, prompt)
    assert not [data for name, data in again if name == "executing" and data.get("node")], "all of it comes from the cache"


def test_edited_motion_to_video(real):
    """The frames too go into core's own nodes."""
    prompt = workflow("portrait_edited_motion_to_video", {"8": {"steps": 4}, "12": {"frame_count": 10}})
    prompt["20"] = node("PreviewImage", images=["12", 0])
    _, history = run(real, prompt)
    assert len(history["outputs"]["20"]["images"]) == 10
    facts = probe(films(real, "edited*.mp4")[0])
    assert facts.has_sound and (facts.width, facts.height, facts.frames) == (512, 512, 10)


BROWS = json.dumps({"version": 1, "lanes": {"brows": {"curves": [{"points": [[0, 6], [9, 6]]}]}}})


def test_edited_motion_reaches_the_page_and_the_next_node(real):
    """What the editor in the page shows is served by /view, also when the node comes from the cache."""
    speech = {key: value for key, value in workflow("portrait_edited_motion_to_video", {"8": {"steps": 4}}).items()
              if key in ("1", "2", "3", "6", "7", "8")}
    edit = node("MoDiTalker_EditMotion", landmarks=["8", 0], edits=BROWS, speech=["7", 0], audio=["2", 0], transcript="")
    show = node("TalkingHead_PreviewLandmarks", size=128, start_frame=0, frame_count=1, dots=False, landmarks=["20", 0])
    prompt = {**speech, "20": edit, "21": show, "22": node("PreviewImage", images=["21", 0])}
    _, history = run(real, prompt)
    motion, audio = history["outputs"]["20"]["motion_editor"]
    for entry, head in ((motion, b"THMV"), (audio, b"RIFF")):
        with urllib.request.urlopen(f"http://{real.url}/view?{urllib.parse.urlencode(entry)}", timeout=60) as answer:
            assert answer.read(4) == head
    _, again = run(real, prompt)
    assert again["outputs"] == history["outputs"]
    plain = {**speech, "20": node("MoDiTalker_EditMotion", landmarks=["8", 0], edits=""), "21": show,
             "22": node("PreviewImage", images=["21", 0])}
    _, unedited = run(real, plain)
    assert shown_pixels(real, unedited) != shown_pixels(real, history), "the brows stand higher"


def shown_pixels(real: Any, history: dict) -> bytes:
    from PIL import Image

    (entry,) = history["outputs"]["22"]["images"]
    with urllib.request.urlopen(f"http://{real.url}/view?{urllib.parse.urlencode(entry)}", timeout=60) as answer:
        return Image.open(answer).tobytes()


def test_an_avatars_edited_motion_is_rendered(real):
    prompt = workflow("avatar_speech_to_video", {"5": {"motion": ["20", 0]}, "6": {"filename_prefix": "talking_heads/drawn"},
                                                 "1": {"audio": "talking_heads_demo_speech_short.wav"}})
    smile = json.dumps({"version": 1, "lanes": {"AU12": {"curves": [{"points": [[0, 4], [9, 4]]}]}}})
    prompt["20"] = node("HMTalker_EditAvatarMotion", motion=["4", 0], edits=smile, avatar=["3", 0], speech=["2", 0],
                        audio=["1", 0], transcript="")
    _, history = run(real, prompt)
    assert len(history["outputs"]["20"]["motion_editor"]) == 2 and len(films(real, "drawn*.mp4")) == 1


@pytest.mark.parametrize("carrier", ["picture", "redraw"])
def test_a_films_person_says_something_else(real, carrier):
    """A VIDEO in, another out, through core's own nodes."""
    prompt = workflow("portrait_to_talking_video", {"8": {"steps": 4}})
    prompt["20"] = node("LoadVideo", file="talking_heads_demo_video.mp4")
    prompt["4"] = node("MoDiTalker_LoadMToV", **MTOV, precision="auto")
    prompt["10"] = node("MoDiTalker_MotionToFilm", mtov=["4", 0], motion=["8", 0], film=["20", 0], follow=False, seed=0, steps=2,
                        sampler="dpm++", denoise=-1.0, eta=-1.0, overlap=-1, feather=0.1, crf=18, audio=["2", 0], carrier=carrier)
    prompt["11"]["inputs"]["filename_prefix"] = f"talking_heads/dubbed_{carrier}"
    run(real, prompt)
    facts = probe(films(real, f"dubbed_{carrier}*.mp4")[0])
    assert facts.has_sound and (facts.width, facts.height, facts.frames) == (240, 192, 38)


def test_a_film_is_interrupted_within_a_clip(real):
    """As saved before there was a choice of the carrier, but redrawn."""
    saved = Path(__file__).parent / "saved" / "portrait_to_talking_video.json"
    prompt = json.loads(saved.read_text("utf8"))
    for node_id, inputs in {"4": MTOV, "8": {"steps": 4}, "10": {"steps": 250, "sampler": "ddim", "denoise": 0.25,
                                                                    "carrier": "redraw"}}.items():
        prompt[node_id]["inputs"] |= inputs
    before = set((real.base / "temp").glob("talking_heads_*"))
    events, _ = run(real, prompt, stop_at="10")
    left = set((real.base / "temp").glob("talking_heads_*")) - before  # one of an earlier result may have gone with it
    assert events[-1][0] == "execution_interrupted" and not left


def test_an_mtov_is_imported_and_trained(real):
    published = dict(zip(("autoencoder", "landmark_autoencoder", "denoiser"),
                         ("autoencoder_rgb.pth", "autoencoder_motion.pth", "diffusion_model.pth")))
    prompt = {
        "1": node("MoDiTalker_ImportMToV", **published, heads=HEADS, name="imported_mtov", half=True),
        "2": node("TalkingHead_MotionDataset", source="synthetic subject", name="pictured", encoder="mel", people=2, seconds=2.0,
                  captured=False, seed=1, videos="", face_index=0, order="largest", pictures=128),
        "3": node("MoDiTalker_TrainMToV", dataset=["2", 0], stage="rgb", preset="demo", steps=0.0005, seed=0, name="trained_mtov",
                  resume=True, batch=1, accumulation=1, precision="preset's own", perceptual="none", licence="for tests"),
        "4": node("PreviewAny", source=["3", 1]),
    }
    events, history = run(real, prompt)
    models = real.base / "models" / "talking_heads"
    assert (models / "imported_mtov.safetensors").is_file() and (models / "trained_mtov_rgb.safetensors").is_file()
    assert "trained_mtov_rgb.safetensors" in "".join(history["outputs"]["4"]["text"]) and ("preview", {}) in events
    options = real.object_info()["MoDiTalker_LoadMToV"]["input"]["required"]["mtov_name"][1]["options"]
    assert "imported_mtov.safetensors" in options and "trained_mtov_rgb.safetensors" not in options


SUBJECT = node("TalkingHead_SyntheticSubject", seconds=1.0, seed=0, size=64, identity=3, voice="formant", name="told", text="")
MOTION = node("TalkingHead_MotionDataset", source="synthetic subject", name="told", encoder="mel", people=2, seconds=2.0,
              captured=False, seed=1, videos="", face_index=0, order="largest", pictures=128)
RUN = {"preset": "demo", "seed": 0, "resume": True, "batch": 1, "accumulation": 1, "licence": "for tests"}
OUTPUT_NODES = {  # name of a model file, or of a file below the output folder, that the node writes: the prompt; the node is "9"
    "told.safetensors": {"1": SUBJECT, "9": node("HMTalker_TrainAvatar", dataset=["1", 0], preset="demo", steps=0.001, seed=0,
                                                 name="told", resume=True)},
    "index.json": {"9": MOTION},
    "told_atom.safetensors": {"1": MOTION, "9": node("MoDiTalker_TrainAToM", dataset=["1", 0], steps=0.001, name="told_atom",
                                                     **RUN)},
    "told_mtov_rgb.safetensors": {"1": MOTION, "9": node(
        "MoDiTalker_TrainMToV", dataset=["1", 0], stage="rgb", steps=0.0005, name="told_mtov", precision="preset's own",
        perceptual="none", **RUN)},
    "got_atom.safetensors": {"9": node("MoDiTalker_ImportAToM", checkpoint="atom.pt", weights="ema", mean_face="built-in",
                                       heads=8, name="got_atom", half=True)},
    "got_mtov.safetensors": {"9": node(
        "MoDiTalker_ImportMToV", autoencoder="autoencoder_rgb.pth", landmark_autoencoder="autoencoder_motion.pth",
        denoiser="diffusion_model.pth", heads=HEADS, name="got_mtov", half=True)},
    "told_00001_.safetensors": {
        "1": node("LoadImage", image="talking_heads_demo_portrait.jpg"),
        "2": node("TalkingHead_PortraitLandmarks", image=["1", 0], face_index=0, order="largest"),
        "9": node("TalkingHead_SaveLandmarks", landmarks=["2", 0], filename_prefix="talking_heads/told")},
    "face_00001_.csv": {"1": SUBJECT, "9": node("TalkingHead_SaveActionUnits", expression=["1", 3], format="csv",
                                                filename_prefix="talking_heads/face")},
}


def test_these_are_all_output_nodes(real):
    module = f"custom_nodes.{ROOT.name}"
    mine = {name for name, facts in real.object_info().items() if facts["python_module"] == module and facts["output_node"]}
    assert mine == {prompt["9"]["class_type"] for prompt in OUTPUT_NODES.values()} | {
        "TalkingHead_SaveVideoFile", "TalkingHead_Metrics", "TalkingHead_ImportAVE",
        "HMTalker_ImportTalkingGaussian", "HMTalker_SavePLY", "HMTalker_PreviewAvatar", "MoDiTalker_EditMotion",
        "HMTalker_EditAvatarMotion"}  # tested by themselves


def test_a_video_is_saved_as_it_is_and_shown(real):
    """The history has what core's Save Video leaves there."""
    name = "talking_heads_demo_video.mp4"
    prompt = {"1": node("LoadVideo", file=name),
              "9": node("TalkingHead_SaveVideoFile", video=["1", 0], filename_prefix="as_is/a")}
    _, history = run(real, prompt)
    (shown,) = history["outputs"]["9"]["images"]
    assert shown == {"filename": "a_00001_.mp4", "subfolder": "as_is", "type": "output"}
    assert history["outputs"]["9"]["animated"] == [True]
    with urllib.request.urlopen(f"http://{real.url}/view?{urllib.parse.urlencode(shown)}", timeout=60) as answer:
        assert answer.read() == (real.base / "input" / name).read_bytes()


@pytest.mark.parametrize("name", OUTPUT_NODES)
def test_an_output_node_queued_alone_leaves_its_file_names_in_the_history(real, name):
    events, history = run(real, OUTPUT_NODES[name])
    shown = history["outputs"]["9"]
    models, files = shown.get("models", []), shown.get("files", [])
    assert name in [Path(model).name for model in models] + [entry["filename"] for entry in files]
    assert all((real.base / model).is_file() for model in models)
    for entry in (*files, *shown.get("previews", [])):
        with urllib.request.urlopen(f"http://{real.url}/view?{urllib.parse.urlencode(entry)}", timeout=60) as answer:
            assert answer.status == 200 and answer.read(1)
    told = [data["text"] for event, data in events if event == "progress_text" and data["node"] == "9"]
    assert told == [shown["text"][0].replace("\n", "  \n")]
    _, again = run(real, OUTPUT_NODES[name])
    assert again["outputs"] == history["outputs"], "from the cache too, what is no output node included"
