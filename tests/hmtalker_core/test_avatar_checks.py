"""An avatar file whose parts do not fit each other is refused on loading, not met while rendering."""
import pytest
import torch
from talking_heads.hmtalker_core.avatar_checks import check_avatar
from talking_heads.hmtalker_core.checkpoints import load_avatar
from talking_heads.media_core.errors import FileFormatError
from talking_heads.media_core.files import load_tensors, save_tensors


@pytest.fixture(scope="module")
def demo(root):
    return load_tensors(root / "weights" / "demo_avatar.safetensors", kind="avatar", version=1)


def test_the_demo_avatar_fits(demo):
    check_avatar(*demo, "demo", "do")


CONFIGS = [
    ({"sh_degrees": ["2", 2]}, "sh_degrees"), ({"sh_degrees": [3, 2]}, "3 for|8 for degree 3"),
    ({"blink_ceiling": "5"}, "blink_ceiling"),
    ({"blink_ceiling": float("nan")}, "blink_ceiling"), ({"au_known": [True] * 16}, "a list of 17"),
    ({"au_known": [1] * 17}, "true or false"),
    ({"au_reliability": [2.0] * 17}, "au_reliability"), ({"image_size": [20000, 20000]}, "image_size"),
    ({"image_size": [128, 128]}, "'background'"), ({"fps": 1e9}, "1..1000"), ({"fps": "25"}, "'fps'"),
    ({"focal": -1.0}, "'focal'"),
    ({"torso_box": [0, 10, 0, 10]}, "as large as its box"), ({"torso_box": [200, 300, 0, 5]}, "as large as its box"),
    ({"torso_box": None}, "torso_box"), ({"torso_size": [64, 64]}, "as large as its box"), ({"encoder": 3}, "'encoder'"),
    ({"audio": {"audio_dim": 10**7, "audio_window": 16, "audio_kind": "conv"}}, "audio_dim"),
    ({"audio": {"audio_dim": 90, "audio_window": 16, "audio_kind": "conv"}}, "must (read|be) 90 numbers"),
    ({"audio": {"audio_dim": 80, "audio_window": 16, "audio_kind": "fc"}},
     "lacks 'face_net.audio_net.encoder_fc1.0.weight'|1280"),
    ({"audio": []}, "'audio'"), ({"training": 3}, "'training'"),
    ({"rest": [0.0] * 9}, "10 numbers, as its cue"), ({"rest": [float("inf")] * 10}, "'rest"), ({"licence": None}, "'licence'"),
    ({"lip_gain": 0.0}, "'lip_gain"), ({"lip_gain": "wide"}, "'lip_gain")]


@pytest.mark.parametrize("change, told", CONFIGS)
def test_descriptions_that_do_not_fit(demo, change, told):
    tensors, config = demo
    with pytest.raises(FileFormatError, match=told) as error:
        check_avatar(tensors, {**config, **change}, "odd.safetensors", "Copy it again")
    assert "odd.safetensors" in str(error.value) and "Copy it again." in str(error.value)


TENSORS = [
    ("face.xyz", lambda x: x[:-1], "face"), ("mouth.opacity", lambda x: x[:, 0], "mouth.opacity"),
    ("face.rotation", lambda x: x[:, :3], "face.rotation"),
    ("face.features_rest", lambda x: x[:, :5], "5 for degree"), ("background", lambda x: x[..., :2], "background"),
    ("background", lambda x: x.float(), "background"), ("torso.mean", lambda x: x[:3], "torso.mean"),
    ("torso.components", lambda x: x[:, :, 1:], "torso"), ("torso.scales", lambda x: x[:-1], "torso.scales"),
    ("torso.scales", lambda x: x * torch.nan, "finite"), ("torso.states", lambda x: x[:-1], "torso.states"),
    ("torso.states", lambda x: torch.full_like(x, torch.inf), "finite"), ("track.au", lambda x: x[:, :16], "track.au"),
    ("track.au", lambda x: x / 0, "inf"), ("face_net.a2am.0.bias", lambda x: x * torch.nan, "NaN or inf"),
    ("mouth.xyz", lambda x: x / 0, "finite"), ("track.camera_to_head", lambda x: x[0], "track.camera_to_head")]


@pytest.mark.parametrize("name, change, told", TENSORS)
def test_tensors_that_do_not_fit(demo, name, change, told):
    tensors, config = demo
    with pytest.raises(FileFormatError, match=told):
        check_avatar({**tensors, name: change(tensors[name])}, config, "odd.safetensors", "Copy it again")


@pytest.mark.parametrize("name", ["face.xyz", "torso.mean", "background", "track.au", "face_net.a2am.0.bias"])
def test_a_part_that_is_missing(demo, tmp_path, name):
    tensors, config = demo
    fewer = {key: value for key, value in tensors.items() if key != name}
    path = save_tensors(tmp_path / "odd.safetensors", fewer, kind="avatar", version=1, config=config)
    with pytest.raises(FileFormatError, match=name.partition("net.")[2] or name):
        load_avatar(path)


def test_loading_tells_it_in_three_parts(demo, tmp_path):
    tensors, config = demo
    path = save_tensors(tmp_path / "odd.safetensors", tensors, kind="avatar", version=1, config={**config, "fps": "fast"})
    with pytest.raises(FileFormatError) as error:
        load_avatar(path)
    assert "odd.safetensors lacks or garbles one" in error.value.came and "'fps'" in error.value.came
    assert error.value.do == "Train or copy the avatar again"
