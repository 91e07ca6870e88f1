"""The player's file holds what the renderer on the processor draws, and Gaussians leave for other programs as they stand."""
from __future__ import annotations

import base64
import io
import json
import re
import struct

import numpy as np
import pytest
import torch
from talking_heads.hmtalker_core import basis_fit
from talking_heads.hmtalker_core.glb import EXTENSION, save_glb
from talking_heads.hmtalker_core.model.camera import film_cameras
from talking_heads.hmtalker_core.player_file import MAGIC, NOTE, player_file, read_player_file
from talking_heads.hmtalker_core.player_page import save_page
from talking_heads.hmtalker_core.ply import load_ply
from talking_heads.hmtalker_core.posed import at_rest, posed, save_frames
from talking_heads.media_core.audio import Sound, load_sound
from talking_heads.media_core.errors import FileFormatError, TalkingHeadsError
from talking_heads.media_core.speech import encode_speech

RATE = 16000


def voice(seconds: float) -> Sound:
    at = np.arange(int(seconds * RATE)) / RATE
    wave = 0.3 * np.sin(2 * np.pi * 150 * at) * (1 + np.sin(2 * np.pi * 3 * at))
    return Sound(wave[None].astype(np.float32), RATE)


@pytest.fixture(scope="module")
def avatar(tiny_avatar_path):
    from talking_heads.hmtalker_core.checkpoints import load_avatar

    avatar, frames = load_avatar(tiny_avatar_path), basis_fit.FRAMES
    basis_fit.FRAMES = 60
    try:
        return avatar.with_basis(basis_fit.fit_basis(avatar, 6, [encode_speech(voice(s)) for s in (1.0, 0.7)]))
    finally:
        basis_fit.FRAMES = frames


@pytest.fixture(scope="module")
def motion(avatar):
    return avatar.drive(encode_speech(voice(0.6)))


@pytest.fixture(scope="module")
def content(avatar, motion):
    return player_file(avatar, motion, voice(0.6), title="Ünë")


def columns(header, sections, branch):
    own = header["branches"][branch]
    return np.array(own["offsets"])[:, None] + np.array(own["steps"])[:, None] * sections[f"{branch}.base"]


def test_what_is_played_is_what_the_basis_says(avatar, motion, content):
    """Positions, rotations and scales that the page computes for a frame, against `LinearBasis.offsets`, in float64."""
    header, sections = read_player_file(content)
    assert (header["title"], header["note"], header["frames"], header["fps"]) == ("Ünë", NOTE, 15, 25.0)
    weights = sections["coefficients"][7] * np.array(header["weight_steps"])
    units = np.repeat(header["units"][:3], (3, 4, 3))[:, None]
    seen = (avatar.face.opacities >= 1 / 255).numpy()
    (d_xyz, d_rot, d_scale), inside = avatar.offsets(motion, 7, 8, "basis")
    face, base = avatar.face, columns(header, sections, "face")
    got = base[:10] + units * np.einsum("k,kcn->cn", weights, sections["face.moves"])
    wanted = torch.cat([face.xyz + d_xyz[0], face.rotation + d_rot[0], face.scaling + d_scale[0]], 1).detach().numpy()[seen].T
    tolerance = np.array(header["branches"]["face"]["steps"][:10])[:, None] + units * 1e-3
    assert got.shape == wanted.shape and (np.abs(got - wanted) <= tolerance).all()
    assert np.abs(base[10] - face.opacities.numpy()[seen]).max() < 1e-4
    mouth, visible = avatar.mouth, (avatar.mouth.opacities >= 1 / 255).numpy()
    got = columns(header, sections, "mouth")[:3] + header["units"][3] * np.einsum("k,kcn->cn", weights, sections["mouth.moves"])
    assert np.abs(got - (mouth.xyz + inside[0]).detach().numpy()[visible].T).max() < 1e-4
    harmonics = header["branches"]["face"]["harmonics_step"] * sections["face.harmonics"].transpose(2, 0, 1)
    assert np.abs(harmonics - face.sh[:, 1:].detach().numpy()[seen][:, :harmonics.shape[1]]).max() < 0.01


def test_cameras_body_and_background_are_those_of_the_motion(avatar, motion, content):
    from PIL import Image

    header, sections = read_player_file(content)
    cameras = film_cameras(motion.poses, 0, len(motion), avatar.size, avatar.size, torch.device("cpu"))
    assert np.array_equal(sections["cameras"], cameras["viewmats"][:, 0, :3].numpy())
    assert header["lens"] == pytest.approx([float(cameras["Ks"][0, 0, i, j]) for i, j in ((0, 0), (1, 1), (0, 2), (1, 2))])
    assert header["blur"] == pytest.approx(0.3) and header["size"] == list(avatar.size)
    colour, alpha = avatar.torso.layer(motion.torso_index[3:4])
    crop = sections["body.mean"] / 255 + np.einsum("l,lhwc->hwc", sections["body.states"][3], sections["body.components"])
    row0, row1, col0, col1 = header["body"]["box"]
    assert np.abs(crop[..., 3].clip(0, 1) - alpha[0, row0:row1, col0:col1, 0].numpy()).max() < 1e-4
    image = Image.open(io.BytesIO(sections["plate"]))
    assert header["plate"] == "image/png" and np.array_equal(np.asarray(image), avatar.background.numpy())


def test_the_sound_is_there_in_step(content, tmp_path):
    header, sections = read_player_file(content)
    assert header["sound"] == "audio/mpeg"
    (tmp_path / "a.mp3").write_bytes(sections["sound"])
    sound, first = load_sound(tmp_path / "a.mp3").mono(RATE), voice(0.6).mono(RATE)
    assert abs(len(sound) / RATE - 0.6) < 0.1
    lags = range(-800, 2400, 8)  # an encoder's delay, at most: 1105 samples and a decoder's
    best = max(lags, key=lambda lag: float(np.dot(np.roll(sound, -lag)[2000:6000], first[2000:6000])))
    assert abs(best) <= 0.075 * RATE


def test_a_motion_of_another_avatar_is_refused(avatar, motion):
    from dataclasses import replace

    with pytest.raises(TalkingHeadsError, match="another avatar"):
        player_file(avatar, replace(motion, avatar="00000000"))


@pytest.mark.parametrize("broken", [b"", b"THPLAYER", b"x" * 50, MAGIC + b"\x09\0\0\0\0\0\0\0",
                                    MAGIC + b"\1\0\0\0\xff\xff\xff\0"])
def test_what_is_no_such_file_is_refused(broken):
    with pytest.raises(FileFormatError):
        read_player_file(broken)


def test_a_file_that_breaks_off_is_refused(content):
    with pytest.raises(FileFormatError):
        read_player_file(content[:-200])


def test_the_page_holds_everything_and_says_what_it_is(avatar, motion, content, tmp_path):
    path = save_page(avatar, motion, tmp_path / "page.html", voice(0.6), title="<b>Ünë</b>")
    text = path.read_text("utf8")
    film = base64.b64decode(re.search(r'id="film">([^<]+)<', text).group(1))
    assert read_player_file(film)[0]["title"] == "<b>Ünë</b>" and "<b>" not in text and "&lt;b&gt;" in text
    assert text.count(NOTE) >= 2 and "Apache-2.0" in text and "default-src 'none'" in text
    assert not re.search(r'(src|href)=|url\(|@import', text), "nothing is loaded from anywhere"
    assert len(text) < 1.4 * len(content) + 60_000


def read_glb(path):
    """An independent reader: the JSON and each attribute's numbers, by the rules of glTF 2.0."""
    data = path.read_bytes()
    magic, version, total = struct.unpack_from("<4sII", data)
    assert (magic, version, total) == (b"glTF", 2, len(data))
    size, kind = struct.unpack_from("<I4s", data, 12)
    assert kind == b"JSON" and size % 4 == 0
    described = json.loads(data[20:20 + size])
    length, kind = struct.unpack_from("<I4s", data, 20 + size)
    binary = data[28 + size:28 + size + length]
    assert kind == b"BIN\0" and len(binary) == length == described["buffers"][0]["byteLength"] and 28 + size + length == total
    (primitive,) = described["meshes"][0]["primitives"]
    arrays = {}
    for name, index in primitive["attributes"].items():
        accessor = described["accessors"][index]
        view = described["bufferViews"][accessor["bufferView"]]
        kind, width = {5126: "<f4", 5121: "u1"}[accessor["componentType"]], {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor["type"]]
        assert view["byteOffset"] % 4 == 0 and view["byteOffset"] + view["byteLength"] <= length
        assert view["byteLength"] == accessor["count"] * width * np.dtype(kind).itemsize
        arrays[name] = np.frombuffer(binary, kind, accessor["count"] * width, view["byteOffset"]).reshape(-1, width)
    return described, primitive, arrays


def test_a_glb_holds_the_gaussians_as_khronos_has_them(avatar, motion, tmp_path):
    field = posed(avatar, motion, 4)
    described, primitive, arrays = read_glb(save_glb(field, tmp_path / "a.glb", note=NOTE, licence="mine"))
    assert described["extensionsUsed"] == [EXTENSION] and primitive["mode"] == 0 and described["asset"]["version"] == "2.0"
    assert described["asset"]["copyright"] == "mine" and described["asset"]["extras"] == {"note": NOTE}
    assert primitive["extensions"][EXTENSION] == {"kernel": "ellipse", "colorSpace": "srgb_rec709_display",
                                                  "projection": "perspective", "sortingMethod": "cameraDistance"}
    position = described["accessors"][primitive["attributes"]["POSITION"]]
    assert position["min"] == arrays["POSITION"].min(0).tolist() and position["max"] == arrays["POSITION"].max(0).tolist()
    assert np.array_equal(arrays["POSITION"], field.xyz.detach().numpy())
    scales, turns = arrays[f"{EXTENSION}:SCALE"], arrays[f"{EXTENSION}:ROTATION"]
    assert (scales >= 0).all() and np.allclose(scales, field.scales.detach().numpy())
    assert np.allclose(np.linalg.norm(turns, axis=1), 1, atol=1e-5)
    assert np.allclose(turns, field.quats[:, [1, 2, 3, 0]].detach().numpy())
    assert np.allclose(arrays[f"{EXTENSION}:OPACITY"][:, 0], field.opacities.detach().numpy())
    names = [f"{EXTENSION}:SH_DEGREE_{d}_COEF_{n}" for d in range(field.sh_degree + 1) for n in range(2 * d + 1)]
    assert np.allclose(np.stack([arrays[name] for name in names], 1), field.sh.detach().numpy())
    assert set(arrays) == {"POSITION", "COLOR_0", f"{EXTENSION}:ROTATION", f"{EXTENSION}:SCALE", f"{EXTENSION}:OPACITY", *names}
    assert arrays["COLOR_0"].dtype == np.uint8 and described["accessors"][primitive["attributes"]["COLOR_0"]]["normalized"]


def test_every_frame_as_ply(avatar, motion, tmp_path):
    files = list(save_frames(avatar, motion, tmp_path / "frames", start=3, count=4))
    assert [path.name for path in files] == [f"frame_{i:06d}.ply" for i in range(3, 7)]
    (d_xyz, _, d_scale), inside = avatar.offsets(motion, 5, 6)
    field, count = load_ply(files[2]), len(avatar.face)
    assert torch.allclose(field.xyz[:count], avatar.face.xyz + d_xyz[0], atol=1e-6)
    assert torch.allclose(field.xyz[count:], avatar.mouth.xyz + inside[0], atol=1e-6)
    scales = torch.nn.functional.softplus(avatar.face.scaling + d_scale[0])
    assert torch.allclose(field.scales[:count], scales, rtol=1e-3, atol=2e-7)
    assert len(list(save_frames(avatar, motion, tmp_path / "rest", start=12))) == len(motion) - 12
    for start, wanted in ((len(motion), 1), (0, 0)):
        with pytest.raises(TalkingHeadsError):
            list(save_frames(avatar, motion, tmp_path / "none", start=start, count=wanted))
    assert not (tmp_path / "none").exists()


def test_branches_stand_alone_or_together(avatar, motion):
    faces, mouths = len(avatar.face), len(avatar.mouth)
    assert [len(posed(avatar, motion, 0, names)) for names in (("face",), ("mouth",), ("face", "mouth"))] == [
        faces, mouths, faces + mouths]
    assert torch.equal(at_rest(avatar).xyz[:faces], avatar.face.xyz)
