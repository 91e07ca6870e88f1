"""The whole way with the carrier picture: an image or a video and audio to a video file, without MToV."""
from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
import torch
from atom_files import tiny_atom
from mtov_files import tiny_mtov
from pack import ROOT
from PIL import Image
from talking_heads.media_core.audio import Sound
from talking_heads.media_core.errors import Cancelled, TalkingHeadsError
from talking_heads.media_core.face.trackers import make_tracker
from talking_heads.media_core.mouth import lip_aperture, resting_face
from talking_heads.media_core.video import probe, read_frames
from talking_heads.moditalker_core import film_faces
from talking_heads.moditalker_core.atom.generation import SamplingSettings
from talking_heads.moditalker_core.carried_faces import Drawing, followed_face, still_face, video_face
from talking_heads.moditalker_core.mtov.scenes import portrait_scene
from talking_heads.moditalker_core.pipeline import check_carrier, portrait_motion, save_frames, speak_video

SIZE = 160
SOUND = Sound(np.zeros((1, 6400), np.float32), 16000)
FAST = SamplingSettings(steps=1)


@lru_cache(maxsize=1)
def portrait() -> np.ndarray:
    return np.asarray(Image.open(ROOT / "demo" / "demo_portrait.jpg").convert("RGB").resize((SIZE, SIZE)))


def film_frames(path):
    return lambda start: read_frames(path, 25.0, start)


def test_a_portrait_says_a_sentence_without_an_mtov(tmp_path):
    told = []
    path = speak_video(tiny_atom(), None, SOUND, portrait(), tmp_path / "talks.mp4", sampling=FAST,
                       report=lambda *call: told.append(call))
    facts = probe(path)
    assert (facts.frames, facts.width, facts.height, facts.has_sound) == (10, SIZE, SIZE, True)
    assert "window" in told[0][2] and told[-1][0] == told[-1][1] == 10 and any(call[3] is not None for call in told[-10:])


@pytest.mark.parametrize("kind", ["grey", "float", "rgba", "tensor"])
def test_images_of_every_kind(kind):
    image = {"grey": portrait().mean(-1).astype(np.uint8), "float": portrait() / np.float32(255),
             "rgba": np.dstack([portrait(), np.full((SIZE, SIZE), 128, np.uint8)]),
             "tensor": torch.from_numpy(portrait().copy())}[kind]
    face = still_face(image)
    motion = face.canonical.with_data(face.canonical.points.repeat(2, 1, 1))
    first = next(face.frames(motion, Drawing(life=0.0)))
    assert first.shape == (SIZE, SIZE, 4 if kind == "rgba" else 3) and first.dtype == np.uint8
    if kind == "rgba":
        assert (first[..., 3] == 128).all()


def test_atom_is_shown_a_shut_mouth():
    """Whatever the image shows: else it never shuts it."""
    assert float(lip_aperture(still_face(portrait()).canonical.points).max()) < 0.05


@pytest.mark.parametrize("opened", [.024, .036])
def test_atom_gets_the_same_face_as_from_the_nodes(monkeypatch, opened):
    """Lips a little apart stay as they are, whoever hands the portrait on; wider ones are shut."""
    from talking_heads.moditalker_core.atom import generation

    whole = portrait_motion(portrait())
    points = resting_face(whole.points[0])
    eyes = float((points[45] - points[36]).norm())
    points[[65, 66, 67], 1] -= opened * eyes - float(lip_aperture(points))
    told = whole.with_data(points[None])
    assert float(lip_aperture(points)) == pytest.approx(opened * eyes, rel=.2)
    monkeypatch.setattr("talking_heads.media_core.face.pose.canonical.canonical_portrait", lambda *given: told)
    atom = tiny_atom()
    one, other = (generation._face(atom, each, None) for each in (told, still_face(portrait()).canonical))
    assert torch.allclose(one, other, atol=1e-5)


def test_a_video_keeps_its_movement_and_is_played_to_and_fro(tiny_film, tmp_path):
    face = video_face(film_frames(tiny_film), 25.0, total=30, tracker="rendered")
    motion = face.canonical.with_data(face.canonical.points.repeat(40, 1, 1))
    made, film = list(face.frames(motion)), list(read_frames(tiny_film, 25.0))
    order = [*range(30), *range(28, 18, -1)]
    assert len(made) == 40 and all(np.array_equal(one[:50], film[i][:50]) for one, i in zip(made, order))
    told = []
    part = list(face.frames(motion, Drawing(start=3, stop=7), lambda *call: told.append(call[:2])))
    assert all(np.array_equal(one, other) for one, other in zip(part, made[3:7], strict=True))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]  # what was not asked for was not drawn
    with pytest.raises(TalkingHeadsError, match="within the motion's 40.*38 to 41"):
        face.frames(motion, Drawing(start=38, stop=41))
    assert face.faceless_frames(40) == []
    path = speak_video(tiny_atom(), None, SOUND, face, tmp_path / "talks.mp4", sampling=FAST)
    assert probe(path).frames == 10


def test_a_second_face_that_is_not_there(tiny_film):
    for find in (followed_face, video_face):
        with pytest.raises(TalkingHeadsError, match="face"):
            find(film_frames(tiny_film), 25.0, face_index=1, tracker="rendered")


def test_one_of_several_faces_is_found_in_one_pass(tiny_film, monkeypatch):
    asked, read = [], []

    def opened(start):
        read.append(start)
        return film_frames(tiny_film)(start)

    monkeypatch.setattr(film_faces, "make_tracker", lambda kind, *, face_index: (asked.append(face_index), make_tracker(kind))[1])
    face = video_face(opened, 25.0, face_index=1, tracker="rendered")
    assert asked == [1] and len(face.plan.face) == 30
    assert read.count(0) <= 2  # faces, and the mesh that this tracker does not have


def test_a_cancelled_video_leaves_nothing(tmp_path):
    def report(done, total, info, preview):
        if "frame" in info and done == 2:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        speak_video(tiny_atom(), None, SOUND, portrait(), tmp_path / "talks.mp4", sampling=FAST, report=report)
    assert not list(tmp_path.iterdir())


def test_transparent_frames_become_black_in_an_mp4_only(tmp_path):
    frames = np.full((3, 32, 32, 4), 200, np.uint8)
    frames[..., :8, 3] = 0
    frames[..., 8:, 3] = 255
    save_frames(iter(frames), tmp_path / "a.mp4", 25)
    back = next(read_frames(tmp_path / "a.mp4"))
    assert back[:, :6].max() < 20 and back[:, 12:].min() > 180
    save_frames(iter(frames), tmp_path / "a.mov", 25)
    assert probe(tmp_path / "a.mov").frames == 3


def test_carriers_and_what_they_need(tmp_path):
    mtov = tiny_mtov(margin=1.6)
    assert check_carrier("picture", None) == "picture" and check_carrier("redraw", mtov) == "redraw"
    for call, words in ((lambda: check_carrier("paint", None), "picture, redraw.*'paint'"),
                        (lambda: check_carrier("redraw", None), "MToV.*none.*Load an MToV")):
        with pytest.raises(TalkingHeadsError, match=words):
            call()
    scene = portrait_scene(portrait(), mtov.config)
    with pytest.raises(TalkingHeadsError, match="only the carrier 'redraw' uses"):
        speak_video(tiny_atom(), mtov, SOUND, scene, tmp_path / "a.mp4", carrier="picture")
    with pytest.raises(TalkingHeadsError, match="'redraw' needs a scene"):
        speak_video(tiny_atom(), mtov, SOUND, still_face(portrait()), tmp_path / "a.mp4", carrier="redraw")
    for settings in ({"life": 1.5}, {"seed": -1}):
        with pytest.raises(TalkingHeadsError, match="Got:"):
            Drawing(**settings)
