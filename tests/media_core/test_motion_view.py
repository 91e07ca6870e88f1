"""What the motion editor in the page is given, and that the page edits as Python does (web/js/editor, run by Node)."""
from __future__ import annotations

import base64
import json
import struct
import wave

import numpy as np
import pytest
import torch
from edit_faces import FACES
from page_scripts import answer
from talking_heads.media_core import edit_curves, expression_edits, motion_edits, motion_view
from talking_heads.media_core.audio import Sound
from talking_heads.media_core.edit_curves import parsed_edits
from talking_heads.media_core.motion import ExpressionTrack, LandmarkTrack, PoseTrack
from talking_heads.media_core.speech import encode_speech
from voices import voice

EDITS = {"lips": [{"points": [[0.2, 6], [0.5, -9], [0.9, 0.5]]}, {"points": [[1.4, 1]], "mode": "replace", "fade": 0.5}],
         "jaw": [{"points": [[0, 3], [1, -2], [2, 4]], "shape": "linear"}],
         "brows": [{"points": [[0.3, 5], [0.6, -5], [0.8, -4], [1.7, 3]]}],
         "blink": [{"points": [[0.4, 1], [0.9, -0.4], [1.3, 0.6]], "mode": "replace", "shape": "hold"}],
         "yaw": [{"points": [[0.1, 20], [1.5, -25]]}], "pitch": [{"points": [[0.8, 12]], "fade": 0.8}]}


def read(view: bytes) -> tuple[dict, dict[str, np.ndarray]]:
    length = struct.unpack("<I", view[4:8])[0]
    head = json.loads(view[8:8 + length])
    return head, {name: np.frombuffer(view, f"<{block['type']}", int(np.prod(block["shape"])),
                                      8 + length + block["at"]).reshape(block["shape"])
                  for name, block in head["blocks"].items()}


def text(lanes) -> str:
    return json.dumps({"version": 1, "lanes": {name: {"curves": curves} for name, curves in lanes.items()}})


def in_page(view: bytes, edits: str, result: str):
    """Every row of the view, edited in the page. result: "face" or the lanes' "values"."""
    return answer("""
      const { readView, timeOf } = await load('editor/view.js')
      const { EditorModel } = await load('editor/model.js')
      const model = new EditorModel(() => {})
      model.read(given.edits)
      const bytes = Uint8Array.from(atob(given.view), c => c.charCodeAt(0))
      model.show(readView(bytes.buffer))
      const rows = Array.from({ length: model.view.rows }, (_, row) => timeOf(model.view, row))
      answer = given.result === 'face' ? rows.map(time => [...model.face(time).points])
        : model.view.lanes.map((_, lane) => rows.map(time => model.value(lane, time)))
    """, {"view": base64.b64encode(view).decode(), "edits": edits, "result": result})


@pytest.mark.parametrize("space", FACES)
def test_the_page_moves_the_points_as_python_does(space):
    track = FACES[space]()
    edited = motion_edits.apply_edits(track, parsed_edits(text(EDITS), motion_edits.LANES))
    page = np.array(in_page(motion_view.landmarks_view(track), text(EDITS), "face")).reshape(len(track), 68, 3)
    assert np.abs(edited.points.numpy() - track.points.numpy()).max() > 0.1 * np.ptp(track.points.numpy()), "the edits do act"
    assert np.abs(page - edited.points.numpy()).max() < 1e-3 * np.ptp(track.points.numpy())


def avatars_motion() -> tuple[ExpressionTrack, PoseTrack]:
    au = torch.rand(50, 17, generator=torch.Generator().manual_seed(0)) * 3
    poses = torch.eye(4).repeat(50, 1, 1)
    poses[:, 2, 3] = 0.9
    return ExpressionTrack(au, 25.0, reliability=(*[1.0] * 16, 0.0)), PoseTrack(poses, 600.0, (256, 256))


def test_the_page_moves_units_and_head_as_python_does():
    expression, poses = avatars_motion()
    lanes = {"AU12": EDITS["brows"][:1], "AU26": [{"points": [[0.5, 4], [1, 0.5]], "mode": "replace"}], "yaw": EDITS["yaw"]}
    edits = parsed_edits(text(lanes), expression_edits.LANES)
    values = np.array(in_page(motion_view.avatar_view(expression, poses), text(lanes), "values"))
    assert np.abs(values[:17].T - expression_edits.edited_units(expression, edits).au.numpy()).max() < 5e-3
    angles = expression_edits.head_angles(expression_edits.edited_pose(poses, edits))
    assert np.abs(values[17] - angles["yaw"]).max() < 0.02 and np.abs(values[18] - angles["pitch"]).max() < 0.02


def test_the_page_reads_what_it_writes_and_python_reads_it_too():
    """A stroke becomes few points, keeps the lane's form, and passes Python's checks."""
    stroke = [[0.2 + 0.01 * i, 3 * np.sin(i / 20)] for i in range(120)]
    found = answer("""
      const { strokeCurve, laidOver, pointAdded, pointMoved, smoothed } = await load('editor/strokes.js')
      const { written, parsed, edited } = await load('editor/curves.js')
      const how = { mode: 'add', shape: 'smooth', own: time => 0.5 * Math.sin(40 * time), range: 16 }
      let curves = [strokeCurve(given, how)]
      const first = curves[0].points.length
      curves = laidOver(curves, strokeCurve([[0.5, 2], [0.8, 2]], how))
      curves = pointAdded(curves, 3, () => 1, how).curves
      curves = pointMoved(curves, 1, 0, 2.9, 1.5).map(smoothed)
      const text = written(parsed(written({ version: 1, lanes: { brows: { muted: false, curves } } })))
      const lane = { name: 'brows', least: -12, most: 15 }
      answer = { first, text, drawn: [0.65, 1.0, 2.9].map(time => edited(lane, parsed(text).lanes.brows, 0, time)) }
    """, stroke)
    assert 4 < found["first"] < 30
    curves = parsed_edits(found["text"], motion_edits.LANES).lanes["brows"]
    assert [len(curve.times) for curve in curves][1:] == [1]
    times = np.array([0.65, 1.0, 2.9])
    python = parsed_edits(found["text"], motion_edits.LANES).edited_at(motion_edits.BROWS, np.zeros(3), times)
    assert np.allclose(python, found["drawn"], atol=1e-9) and python[2] == 1.5
    assert abs(python[0] - 2) < 0.7 and abs(python[1] - 3 * np.sin(4)) < 0.8


def test_a_text_that_is_none_of_ours_is_not_read_by_the_page():
    good, bad = text({"brows": [{"points": [[0, 1]]}]}), ["{", "[]", '{"version": 9, "lanes": {}}',
                                                          text({"brows": [{"points": [[1, 1], [0, 1]]}]}), '{"version": 1}']
    read_by_page = answer("""const { parsed } = await load('editor/curves.js')
      answer = given.map(text => parsed(text) !== null)""", [good, "", *bad])
    assert read_by_page == [True, True, *[False] * len(bad)]


def test_the_view_holds_the_motion_and_what_is_heard(monkeypatch):
    track = FACES["canonical"]()
    monkeypatch.setattr(motion_view, "_phones", {})
    monkeypatch.setattr(motion_view, "spoken", lambda sound, words: ([("AA", 0.1, 0.2)], ""))
    head, blocks = read(motion_view.landmarks_view(track, voice(2.0), encode_speech(voice(2.0))))
    assert head["frames"] == 50 and head["stride"] == 1 and head["phones"] == [["AA", 0.1, 0.2]]
    points = blocks["points"] / 32767 * head["reach"] + head["middle"]
    assert np.abs(points - track.points.numpy()).max() < 1e-4
    own = motion_edits.measured(track)
    assert np.allclose(blocks["own"], [own[lane["name"]] for lane in head["lanes"]], atol=1e-5)
    assert blocks["wave"].max() == 255 and len(blocks["wave"]) == 200
    assert all(0 <= start < end <= 2.1 for start, end in head["silences"])


def test_units_that_an_avatar_never_learnt_are_marked():
    head, blocks = read(motion_view.avatar_view(*avatars_motion()))
    assert [lane["name"] for lane in head["lanes"] if not lane["known"]] == ["AU45"]
    assert blocks["own"].shape == (19, 50) and blocks["sketch"].shape == (17, 68, 3)


def test_ten_minutes_are_a_small_file():
    frames = 15_000
    track = LandmarkTrack(FACES["canonical"]().points[:1].repeat(frames, 1, 1), 25.0)
    sound = Sound(np.zeros((1, 16_000 * 600), np.float32), 16_000)
    view = motion_view.landmarks_view(track, sound)
    head, blocks = read(view)
    assert head["stride"] == 3 and blocks["points"].shape[0] == 5000 and len(view) < 3_000_000
    assert head["phonesNote"] and len(blocks["wave"]) == motion_view.MOST_COLUMNS


def test_files_are_named_by_their_content(tmp_path):
    track, sound = FACES["canonical"](), voice(1.0)
    view = motion_view.landmarks_view(track)
    path, audio = motion_view.save_view(tmp_path, view), motion_view.save_audio(tmp_path, sound)
    assert motion_view.save_view(tmp_path, view) == path and motion_view.save_audio(tmp_path, sound) == audio
    assert path.read_bytes() == view and len(list(tmp_path.iterdir())) == 2
    with wave.open(str(audio)) as file:
        assert file.getnchannels() == 1 and file.getnframes() / file.getframerate() == pytest.approx(1.0, abs=1e-3)


def test_phones_that_cannot_be_found_are_no_error(monkeypatch):
    monkeypatch.setattr(motion_view, "_phones", type(motion_view._phones)())
    phones, why = motion_view.spoken(voice(0.5), "xqzzt")
    assert phones == [] and why
    assert motion_view.spoken(voice(0.5), "xqzzt")[1] is why, "remembered"


def test_the_page_knows_the_same_numbers():
    said = answer("""const { FADE, MODES, SHAPES, VERSION } = await load('editor/curves.js')
      answer = [FADE, MODES, SHAPES, VERSION]""", None)
    assert said == [edit_curves.FADE, list(edit_curves.MODES), list(edit_curves.SHAPES), edit_curves.VERSION]
