"""What nodes hand on to Create Video can be encoded, in ComfyUI as here: even sides, sound that AAC has. And numbered results."""
from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from prompts import collector, give, giver, keep, node, ok, own
from talking_heads.media_core.audio import Sound


@pytest.fixture
def given(host):
    """A dictionary whose values the node Give hands out by name."""
    return giver(host)


@pytest.mark.parametrize("rate, channels, becomes", [
    (16000, 1, (16000, 1)), (44100, 2, (44100, 2)), (192000, 1, (96000, 1)), (18900, 2, (22050, 2)), (8000, 4, (8000, 1))])
def test_speech_is_handed_on_as_films_carry_it(host, given, rate, channels, becomes):
    waveform = np.zeros((channels, rate // 4), np.float32)
    waveform[0] = 0.3 * np.sin(np.arange(rate // 4) * 2 * np.pi * 300 / rate)
    given["sound"] = Sound(waveform, rate).to_comfy()
    kept = collector(host)
    ok(host.run({"sound": give("sound"), "speech": node("TalkingHead_EncodeSpeech", audio=["sound", 0], encoder="mel"),
                 "kept": keep("speech", 1)}))
    heard = kept[0]
    assert (heard["sample_rate"], heard["waveform"].shape[1]) == becomes
    assert abs(heard["waveform"].shape[2] / heard["sample_rate"] - 0.25) < 0.001
    assert abs(float(heard["waveform"][:, 0, heard["sample_rate"] // 20:].max()) - 0.3) < 0.02
    if becomes == (rate, channels):
        assert heard is given["sound"]


@pytest.mark.parametrize("height, width", [(61, 63), (60, 63), (61, 62), (60, 62)])
def test_pasted_pictures_get_even_sides_when_asked(host, given, height, width):
    square = np.array([[20, 20], [40, 20], [40, 40], [20, 40]], np.float32)
    points = np.repeat(square, 17, axis=0)[None]
    given["images"] = torch.rand(1, height, width, 3, generator=torch.Generator().manual_seed(0))
    given["crop"] = own(host, "media_core.face.crop").still_crop(points, (height, width), 16, margin=1.5, upright=False)
    given["crops"] = torch.zeros(2, 16, 16, 3)
    kept = collector(host)
    paste = node("TalkingHead_FacePasteBack", images=["i", 0], crops=["c", 0], face_crop=["w", 0], feather=0.1)
    even = {**paste, "inputs": {**paste["inputs"], "even_sides": True}}
    ok(host.run({"i": give("images"), "c": give("crops"), "w": give("crop"), "p": paste, "e": even, "a": keep("p")}))
    ok(host.run({"i": give("images"), "c": give("crops"), "w": give("crop"), "p": paste, "e": even, "b": keep("e")}))
    plain, evened = kept
    assert plain.shape == (2, height, width, 3)
    assert evened.shape == (2, height + height % 2, width + width % 2, 3)
    assert torch.equal(evened[:, :height, :width], plain)
    assert torch.equal(evened[:, -1, :width], plain[:, -1]) and torch.equal(evened[:, :height, -1], plain[:, :, -1])


def test_shipped_workflows_give_create_video_what_it_can_encode(root):
    """Sound by way of Encode Speech, pictures of a user's size with even sides."""
    ends = 0
    for path in sorted((root / "workflows" / "api").glob("*.json")):
        prompt = json.loads(path.read_text("utf8"))
        for entry in prompt.values():
            if entry["class_type"] != "CreateVideo":
                continue
            ends += 1
            sound, pictures = (prompt[entry["inputs"][name][0]] for name in ("audio", "images"))
            assert (sound["class_type"], entry["inputs"]["audio"][1]) == ("TalkingHead_EncodeSpeech", 1), path.name
            assert pictures["inputs"].get("even_sides") or pictures["inputs"].get("longest"), path.name
    assert ends == 2


def test_landmarks_saved_by_another_run_are_not_replaced(host, given, monkeypatch, tmp_path):
    import folder_paths
    from talking_heads.media_core.face.pose.canonical import mean_face

    look = folder_paths.get_save_image_path
    theirs = tmp_path / "base" / "output" / "takes" / "a_00001_.safetensors"

    def overtaken(*arguments):
        found = look(*arguments)
        theirs.write_bytes(b"theirs")
        return found

    monkeypatch.setattr(folder_paths, "get_save_image_path", overtaken)
    motion = own(host, "media_core.motion")
    given["track"] = motion.LandmarkTrack(torch.from_numpy(mean_face()).repeat(3, 1, 1), 25.0)
    kept = collector(host)
    ok(host.run({"t": give("track"), "s": node("TalkingHead_SaveLandmarks", landmarks=["t", 0], filename_prefix="takes/a"),
                 "k": keep("s")}))
    assert kept == ["takes/a_00002_.safetensors"] and theirs.read_bytes() == b"theirs"
    assert len(motion.LandmarkTrack.load(tmp_path / "base" / "output" / kept[0])) == 3
    assert sorted(path.name for path in theirs.parent.iterdir()) == ["a_00001_.safetensors", "a_00002_.safetensors"]
