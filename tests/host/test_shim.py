"""The stand-ins themselves: definitions in /object_info's form, folders that cannot be left, core nodes, loading weights."""
from __future__ import annotations

import os

import pytest


def test_object_info_has_comfyuis_keys_order_and_types(small):
    info = small.object_info()["ToyNumber"]
    assert list(info) == [
        "input", "input_order", "is_input_list", "output", "output_is_list", "output_name", "output_tooltips",
        "output_matchtypes", "name", "display_name", "description", "python_module", "category", "output_node", "deprecated",
        "experimental", "dev_only", "api_node", "price_badge", "search_aliases", "essentials_category", "has_intermediate_output"]
    assert info["input"] == {
        "required": {"value": ["INT", {"tooltip": "A number.", "default": 1, "min": 0, "max": 10}],
                     "mode": ["COMBO", {"default": "plain", "multiselect": False, "options": ["plain", "double"]}],
                     "seed": ["INT", {"default": 0, "min": 0, "max": 0xFFFFFFFFFFFFFFFF, "control_after_generate": True}]},
        "optional": {"note": ["STRING", {"default": "", "multiline": True}]}}
    assert (info["output"], info["output_name"], info["output_tooltips"]) == (["INT"], ["number"], ["The number."])
    assert (info["python_module"], info["search_aliases"], info["output_node"]) == ("custom_nodes.pack", ["digit"], False)


def test_hidden_inputs_of_an_output_node(small):
    assert small.object_info()["ToyShow"]["input"]["hidden"] == {
        "unique_id": ["UNIQUE_ID"], "prompt": ["PROMPT"], "extra_pnginfo": ["EXTRA_PNGINFO"]}


def test_repeated_ids_are_refused(small):
    from talking_heads.host.shim import io

    with pytest.raises(ValueError, match=r"Input ids must be unique, but \['a'\] are not"):
        io.Schema("X", inputs=[io.Int.Input("a"), io.Int.Input("a")]).validate()
    with pytest.raises(ValueError, match="Output ids must be unique"):
        io.Schema("X", outputs=[io.Int.Output("a"), io.Int.Output("a")]).validate()


def test_importing_the_shim_and_the_pack_needs_no_torch(root, tmp_path):
    import subprocess
    import sys

    code = ("import sys; from talking_heads.host.graph import Host; h = Host(sys.argv[1]); h.object_info();"
            "assert h.packs[0].nodes; assert 'torch' not in sys.modules; assert 'av' not in sys.modules")
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["../secret.wav", "/etc/passwd", "a/../../secret.wav", "x\0.wav", "../secret.wav [output]"])
def test_names_cannot_leave_their_folder(small, name):
    from talking_heads.host.shim import folder_paths

    (small.base / "secret.wav").write_bytes(b"x")
    assert not folder_paths.exists_annotated_filepath(name)
    with pytest.raises(ValueError, match="Invalid file path"):
        folder_paths.get_annotated_filepath(name)


def test_a_link_out_of_the_input_folder_is_refused(small):
    from talking_heads.host.shim import folder_paths

    (small.base / "secret.wav").write_bytes(b"x")
    os.symlink(small.base / "secret.wav", small.base / "input" / "innocent.wav")
    assert not folder_paths.exists_annotated_filepath("innocent.wav")


def test_results_cannot_be_saved_outside_output(small):
    result = small.run({"1": {"class_type": "ToyPicture", "inputs": {"frames": 1}},
                        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "../../x"}}})
    assert result.status == "error" and "outside the output folder" in result.error["exception_message"]
    assert not (small.base.parent / "x_00001_.png").exists()


def test_names_count_on_and_prefixes_are_filled(small):
    from talking_heads.host.shim import folder_paths

    out = folder_paths.get_output_directory()
    place = folder_paths.get_save_image_path("a/%width%x%height%", out, 64, 32)
    assert place == (os.path.join(out, "a"), "64x32", 1, "a", "a/64x32")
    for name in ("x_00004_.png", "x_00002_.png", "xy_00009_.png", "x_notes.txt"):
        (small.base / "output" / name).write_bytes(b"")
    assert folder_paths.get_save_image_path("x", out)[2] == 5


def test_model_folders_are_searched_in_order_and_only_below(small):
    from talking_heads.host.shim import folder_paths

    first, second = small.base / "m1", small.base / "m2" / "deep"
    for folder in (first, second):
        folder.mkdir(parents=True)
        (folder / "a.safetensors").write_bytes(b"")
    (second / "notes.txt").write_text("")
    (small.base / "outside.safetensors").write_bytes(b"")
    folder_paths.add_model_folder_path("toys", str(first))
    folder_paths.add_model_folder_path("toys", str(second.parent))
    folder_paths.folder_names_and_paths["toys"][1].add(".safetensors")
    assert folder_paths.get_filename_list("toys") == ["a.safetensors", os.path.join("deep", "a.safetensors")]
    assert folder_paths.get_full_path("toys", "a.safetensors") == str(first / "a.safetensors")
    assert folder_paths.get_full_path("toys", "../outside.safetensors") is None
    with pytest.raises(FileNotFoundError, match="Model in folder 'toys'"):
        folder_paths.get_full_path_or_raise("toys", "none.safetensors")


def test_sound_goes_round_through_files(small):
    import torch
    from talking_heads.host.shim import core_audio

    save = {"1": {"class_type": "ToyPicture", "inputs": {"frames": 25}},
            "2": {"class_type": "SaveAudio", "inputs": {"audio": ["1", 1], "filename_prefix": "tone"}}}
    (shown,) = small.run(save).outputs["2"]["audio"]
    os.rename(small.base / "output" / shown["filename"], small.base / "input" / "tone.flac")
    audio = core_audio.LoadAudio.execute("tone.flac")[0]
    assert (audio["sample_rate"], tuple(audio["waveform"].shape)) == (16000, (1, 1, 16000))
    tone = torch.sin(torch.arange(16000) / 16000 * 440 * 6.2832) * 0.3
    assert torch.allclose(audio["waveform"][0, 0], tone, atol=2e-4)


def test_a_film_keeps_frames_sound_and_workflow(small):
    from fractions import Fraction

    from talking_heads.host.shim.video import VideoFromFile

    prompt = {"1": {"class_type": "ToyPicture", "inputs": {"frames": 7}},
              "2": {"class_type": "CreateVideo", "inputs": {"images": ["1", 0], "audio": ["1", 1], "fps": 25}},
              "3": {"class_type": "SaveVideo",
                    "inputs": {"video": ["2", 0], "filename_prefix": "film", "format": "auto", "codec": "auto"}}}
    small.run(prompt)
    film = VideoFromFile(str(small.base / "output" / "film_00001_.mp4"))
    parts = film.get_components()
    assert (film.get_dimensions(), film.get_frame_count(), film.get_frame_rate()) == ((48, 32), 7, Fraction(25))
    assert tuple(parts.images.shape) == (7, 32, 48, 3) and abs(float(parts.images.mean()) - 0.5) < 0.02
    assert abs(parts.audio["waveform"].shape[-1] / 16000 - 0.28) < 0.13 and "prompt" in parts.metadata
    film.save_to(str(small.base / "copy.mp4"), metadata={"more": {"a": 1}})  # streams copied, tags added
    copy = VideoFromFile(str(small.base / "copy.mp4")).get_components()
    assert copy.images.equal(parts.images)
    assert copy.metadata["more"] == '{"a": 1}' and copy.metadata["prompt"] == parts.metadata["prompt"]


def test_a_trimmed_film_is_a_part_of_its_file(small):
    prompt = {"1": {"class_type": "ToyPicture", "inputs": {"frames": 25}},
              "2": {"class_type": "CreateVideo", "inputs": {"images": ["1", 0], "audio": ["1", 1], "fps": 25}},
              "3": {"class_type": "SaveVideo",
                    "inputs": {"video": ["2", 0], "filename_prefix": "film", "format": "auto", "codec": "auto"}}}
    small.run(prompt)
    from talking_heads.host.shim.video import VideoFromFile

    film = VideoFromFile(str(small.base / "output" / "film_00001_.mp4"))
    part = film.as_trimmed(0.2, 0.4)
    assert part.get_active_trim_window() == (0.2, 0.4) and part.get_duration() == 0.4 and part.get_frame_count() == 10
    assert part.get_components().images.equal(film.get_components().images[5:15])
    assert part.as_trimmed(0.2, 0.1).get_active_trim_window() == (0.4, 0.1)
    assert film.as_trimmed(0.9, 5.0) is None and film.as_trimmed(0.9, 5.0, False).get_duration() < 0.2
    part.save_to(str(small.base / "part.mp4"))
    assert VideoFromFile(str(small.base / "part.mp4")).get_components().images.shape[0] == 10


def test_pictures_load_with_their_mask(small):
    import numpy as np
    from PIL import Image
    from talking_heads.host.shim import core_image

    pixels = np.zeros((4, 6, 4), np.uint8)
    pixels[..., 0], pixels[:, :3, 3] = 255, 255
    Image.fromarray(pixels).save(small.base / "input" / "p.png")
    image, mask = core_image.LoadImage.execute("p.png").args
    assert tuple(image.shape) == (1, 4, 6, 3) and image[0, 0, 0].tolist() == [1, 0, 0]
    assert tuple(mask.shape) == (1, 4, 6) and mask[0, 0].tolist() == [0, 0, 0, 1, 1, 1]
    assert image[0, 0, 5].tolist() == [1, 0, 0], "the colours under transparent places are left to who uses the mask, as in core"


def test_pictures_of_16_bits_load_in_full_depth(small):
    import numpy as np
    from PIL import Image
    from talking_heads.host.shim import core_image
    from talking_heads.media_core.errors import FileFormatError

    Image.fromarray(np.linspace(0, 65535, 24).reshape(4, 6).astype(np.uint16)).save(small.base / "input" / "p.png")
    image, mask = core_image.LoadImage.execute("p.png").args
    assert np.abs(image.numpy().ravel()[::3] - np.linspace(0, 1, 24)).max() < 1e-4 and tuple(mask.shape) == (1, 64, 64)
    (small.base / "input" / "broken.png").write_bytes(b"no picture")
    with pytest.raises(FileFormatError, match="broken.png"):
        core_image.LoadImage.execute("broken.png")


def test_weights_load_and_a_malicious_pickle_does_not(small):
    import pickle

    import torch
    from safetensors.torch import save_file
    from talking_heads.host.shim import utils

    save_file({"w": torch.ones(2)}, small.base / "w.safetensors", metadata={"format": "pt"})
    tensors, metadata = utils.load_torch_file(str(small.base / "w.safetensors"), return_metadata=True)
    assert tensors["w"].tolist() == [1, 1] and metadata == {"format": "pt"}

    class Bad:
        def __reduce__(self):
            return os.mkdir, (str(small.base / "broken"),)

    torch.save({"w": Bad()}, small.base / "w.pt")
    with pytest.raises(pickle.UnpicklingError):
        utils.load_torch_file(str(small.base / "w.pt"), safe_load=True)
    assert not (small.base / "broken").exists()


def test_the_shim_refuses_to_live_beside_a_real_comfyui(monkeypatch, tmp_path):
    import sys
    from types import ModuleType

    from talking_heads.host import shim

    monkeypatch.setitem(sys.modules, "folder_paths", ModuleType("folder_paths"))
    with pytest.raises(RuntimeError, match="process of its own"):
        shim.install(str(tmp_path))
