"""Films in the temp folder: whoever empties it, a VIDEO that ComfyUI kept still plays; what nobody holds is gone."""
from __future__ import annotations

import copy
import gc
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from prompts import node, ok, own
from talking_heads.media_core.audio import Sound, save_wav


@pytest.fixture
def temp(host, tmp_path) -> Path:
    return tmp_path / "base" / "temp"


@pytest.fixture
def films(host):
    return own(host, "nodes.temporary_videos")


def made(films, content: bytes):
    """A film as a node makes it."""
    path = films.new_path()
    path.write_bytes(content)
    return films.new_film(path)


def test_a_film_whose_file_was_removed_is_put_back_however_it_is_asked_for(films, temp, tiny_film):
    from comfy_api.latest import InputImpl

    video = made(films, tiny_film.read_bytes())
    (path,) = temp.iterdir()
    part = video.as_trimmed(0.4, 0.4, strict_duration=False)
    assert isinstance(video, InputImpl.VideoFromFile) and isinstance(part, InputImpl.VideoFromFile)
    for asked, answer in ((lambda: video.get_dimensions(), (240, 192)), (lambda: video.get_frame_count(), 30),
                          (lambda: Path(video.get_stream_source()), path), (lambda: round(part.get_duration(), 3), 0.4)):
        shutil.rmtree(temp)
        assert asked() == answer and path.read_bytes() == tiny_film.read_bytes() and len(list(temp.iterdir())) == 1


def test_the_file_goes_with_the_last_who_holds_it(films, temp, tiny_film):
    video = made(films, tiny_film.read_bytes())
    part = copy.deepcopy(video.as_trimmed(0, 0.4, strict_duration=False))
    del video
    gc.collect()
    assert len(list(temp.iterdir())) == 1 and part.get_dimensions() == (240, 192)
    del part
    gc.collect()
    assert not list(temp.iterdir())


def test_a_copy_for_another_process_does_not_take_the_file_along(films, temp, tiny_film):
    video = made(films, tiny_film.read_bytes())
    there = pickle.loads(pickle.dumps(video))
    assert there.get_dimensions() == (240, 192)
    del there
    gc.collect()
    assert len(list(temp.iterdir())) == 1 and video.get_frame_count() == 30


def test_a_film_that_cannot_be_put_back_says_what_to_do(films, temp, tiny_film):
    video = made(films, tiny_film.read_bytes())
    shutil.rmtree(temp)
    temp.write_text("a file where the folder was")
    with pytest.raises(ValueError, match="temp folder must have room.*Free some space"):
        video.get_dimensions()
    temp.unlink()
    assert video.get_dimensions() == (240, 192)


def test_a_part_of_a_film_of_the_temp_folder_is_held_too(films, host, temp, tiny_film):
    """What other nodes left there: the part plays on, and the file stays theirs."""
    theirs = temp / "theirs.mp4"
    shutil.copy(tiny_film, theirs)
    part = own(host, "nodes.videos").video(theirs, 0.4, 0.4)
    theirs.unlink()
    assert part.get_dimensions() == (240, 192) and theirs.is_file()
    del part
    gc.collect()
    assert theirs.is_file()
    assert type(own(host, "nodes.videos").video(tiny_film, 0.4, 0.4)).__name__ == "VideoFromFile"


def test_runs_of_render_avatar_video_survive_an_emptied_folder_and_leave_only_the_cached_film(host_with_avatar, tmp_path):
    base = tmp_path / "base"
    save_wav(base / "input" / "speech.wav", Sound(np.zeros((1, 1600), np.float32), 16000))
    nodes = {"sound": node("LoadAudio", audio="speech.wav"),
             "speech": node("TalkingHead_EncodeSpeech", audio=["sound", 0], encoder="mel"),
             "avatar": node("HMTalker_LoadAvatar", avatar_name="tiny.safetensors"),
             "motion": node("HMTalker_DriveAvatar", avatar=["avatar", 0], speech=["speech", 0], blinks="track", smoothing=0.0,
                            lip_gain=1.0, seed=0),
             "video": node("HMTalker_RenderAvatarVideo", avatar=["avatar", 0], motion=["motion", 0], background="plate",
                           backend="auto", crf=18),
             "save": node("SaveVideo", video=["video", 0], filename_prefix="a", format="auto", codec="auto")}
    ok(host_with_avatar.run(nodes))
    (film,) = (base / "temp").iterdir()
    content = film.read_bytes()
    shutil.rmtree(base / "temp")
    nodes["save"]["inputs"]["filename_prefix"] = "b"
    again = host_with_avatar.run(nodes)
    assert ok(again) and list(again.executed) == ["save"] and film.read_bytes() == content
    for crf in range(20, 23):
        nodes["video"]["inputs"]["crf"] = crf
        ok(host_with_avatar.run(nodes))
    gc.collect()
    (last,) = (base / "temp").iterdir()
    assert last != film and len(list((base / "output").rglob("*.mp4"))) == 5


def test_a_film_that_has_just_gone_is_told(host, films, temp):
    """Between its choice and its opening somebody emptied the folder."""
    with pytest.raises(own(host, "media_core.errors").FileFormatError, match="temp folder.*gone.mp4.*again"):
        films.film_of(temp / "gone.mp4")
