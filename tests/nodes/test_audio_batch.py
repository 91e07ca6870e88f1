"""Load Audio Batch on the small host: which files, in which order, under which names."""
from __future__ import annotations

import shutil

import numpy as np
import pytest
from prompts import collector, failure, give, giver, keep, node, ok, own
from talking_heads.media_core.audio import Sound, save_wav
from talking_heads.media_core.paths import safe_stem

DEMO = "talking_heads_demo_batch"


@pytest.fixture
def folder(host, tmp_path):
    """input/takes with take1, take2, take10 of 0.1, 0.2, 1 s, in the wrong order, among other files."""
    place = tmp_path / "base" / "input" / "takes"
    for number in (10, 1, 2):
        save_wav(place / f"take{number}.wav", tone(number / 10))
    (place / "notes.txt").write_text("no audio")
    save_wav(place / ".hidden.wav", tone(0.1))
    return place


def tone(seconds: float) -> Sound:
    return Sound(np.full((1, round(8000 * seconds)), 0.1, np.float32), 8000)


def batch(**given) -> dict:
    every = {"folder": "takes", "pattern": "*", "start": 0, "count": 100, "prefix": ""}
    return node("TalkingHead_LoadAudioBatch", **(every | given))


def loaded(host, **given) -> list[tuple[str, float]]:
    """(name, seconds) of each item; what follows the node is run once for each."""
    kept = collector(host)
    ok(host.run({"1": batch(**given), "2": keep("1", 1), "3": keep("1", 0)}))
    names = [value for value in kept if isinstance(value, str)]
    lengths = [value["waveform"].shape[-1] / value["sample_rate"] for value in kept if isinstance(value, dict)]
    assert len(names) == len(lengths)
    return list(zip(names, lengths))


def test_files_come_in_natural_order_each_on_its_own(host, folder):
    assert loaded(host) == [("take1", 0.1), ("take2", 0.2), ("take10", 1.0)]


@pytest.mark.parametrize("given, names", [
    ({"pattern": "TAKE1*.wav"}, ["take1", "take10"]), ({"pattern": "take?.*"}, ["take1", "take2"]), ({"pattern": " "}, None),
    ({"start": 1}, ["take2", "take10"]), ({"count": 2}, ["take1", "take2"]), ({"start": 1, "count": 1}, ["take2"])])
def test_a_part_of_them(host, folder, given, names):
    assert [name for name, _ in loaded(host, **given)] == (names or ["take1", "take2", "take10"])


def test_the_prefix_stands_before_the_name(host, folder):
    assert loaded(host, prefix="films/day 1 ", count=1) == [("films/day 1 take1", 0.1)]


def test_folders_that_hold_audio_are_offered_the_demo_first(host, folder, tmp_path):
    def spec():
        return host.object_info(["TalkingHead_LoadAudioBatch"])["TalkingHead_LoadAudioBatch"]["input"]["required"]["folder"][1]

    for name in ("empty", "texts", ".cache", "a/b/c/d"):
        (tmp_path / "base" / "input" / name).mkdir(parents=True)
        (tmp_path / "base" / "input" / name / "x.txt").write_text("")
    save_wav(tmp_path / "base" / "input" / ".cache" / "x.wav", tone(0.1))
    save_wav(tmp_path / "base" / "input" / "a" / "b" / "c" / "x.flac", tone(0.1))
    save_wav(tmp_path / "base" / "input" / "a" / "b" / "c" / "d" / "x.wav", tone(0.1))
    assert spec()["options"] == [".", "a/b/c", "takes", DEMO]
    assert spec()["default"] == DEMO
    shutil.rmtree(tmp_path / "base" / "input" / DEMO)
    assert spec()["default"] == "."
    shutil.rmtree(tmp_path / "base" / "input")
    (tmp_path / "base" / "input").mkdir()
    assert spec()["options"] == ["."], "a menu is never empty"


def test_the_demo_folder_and_the_input_folder_itself_are_loaded(host, folder):
    assert [name for name, _ in loaded(host, folder=DEMO)] == ["take1", "take2", "take3"]
    assert [name for name, _ in loaded(host, folder=".", pattern="*short*")] == ["talking_heads_demo_speech_short"]
    (name, seconds), = loaded(host, folder=".", pattern="*.mp4")
    assert name == "talking_heads_demo_video" and seconds > 10, "a video's audio"


def test_what_holds_no_audio_is_left_out_and_named(host, folder, caplog):
    (folder / "take3.wav").write_text("broken")
    assert [name for name, _ in loaded(host)] == ["take1", "take2", "take10"]
    told = [record.getMessage() for record in caplog.records if "Load Audio Batch" in record.getMessage()]
    assert len(told) == 1 and "take3.wav" in told[0] and "1 of 4" in told[0]
    (text,) = ok(host.run({"1": batch(), "2": keep("1", 1)})).outputs["1"]["text"]
    assert text == "3 audio files, 1.3 s: take1.wav, take2.wav, take10.wav\n1 left out, without readable audio: see the log"


def test_none_that_matches_and_none_that_can_be_heard_are_errors_with_a_way_out(host, folder):
    collector(host)
    assert "none in 'takes' for the pattern 'x*'" in failure(host.run({"1": batch(pattern="x*"), "2": keep("1")}))
    assert "from number 9 on" in failure(host.run({"1": batch(start=9), "2": keep("1")}))
    for path in folder.glob("take*.wav"):
        path.write_text("broken")
    told = failure(host.run({"1": batch(), "2": keep("1")}))
    assert "At least one file must hold audio" in told and "take10.wav" in told and "WAV, FLAC or MP3" in told


@pytest.mark.parametrize("name", ["..", "../output", "/", "takes/../..", "gone", "takes\0"])
def test_a_folder_elsewhere_is_refused(host, folder, name):
    from talking_heads.host.graph import InvalidPrompt

    collector(host)
    with pytest.raises(InvalidPrompt):
        host.run({"1": batch(folder=name), "2": keep("1")})
    audio_batch, error = own(host, "nodes.audio_batch"), own(host, "media_core.errors").TalkingHeadsError
    with pytest.raises(error):
        audio_batch._chosen(name, "*", 0, 1)


def test_a_folder_that_cannot_be_read_is_told_with_a_way_out(host, folder, monkeypatch):
    def refused(place):
        raise PermissionError(13, "Permission denied")

    audio_batch, error = own(host, "nodes.audio_batch"), own(host, "media_core.errors").TalkingHeadsError
    monkeypatch.setattr(audio_batch.os, "listdir", refused)
    with pytest.raises(error, match=r"The folder must be readable. Got: 'takes' \(Permission denied\). Choose another"):
        audio_batch._chosen("takes", "*", 0, 1)


def test_a_changed_or_added_file_is_loaded_again_and_nothing_else_is(host, folder):
    collector(host)
    prompt = {"1": batch(pattern="take*"), "2": keep("1")}
    assert ok(host.run(prompt)).executed == ["1", "2"] and ok(host.run(prompt)).executed == []
    (folder / "notes.txt").write_text("changed")
    assert ok(host.run(prompt)).executed == []
    save_wav(folder / "take4.wav", tone(0.1))
    assert "1" in ok(host.run(prompt)).executed
    save_wav(folder / "take4.wav", tone(0.3))
    assert "1" in ok(host.run(prompt)).executed


@pytest.mark.parametrize("prefix", ["../x", "/tmp/x", "C:\\x", "a/../../x"])
def test_a_prefix_that_leads_out_of_the_output_folder_is_refused_before_anything_runs(host, folder, prefix):
    collector(host)
    giver(host)["prefix"] = prefix
    answer = host.validate({"1": batch(prefix=prefix), "2": keep("1")})
    assert "must lie inside the folder 'output'" in answer.node_errors["1"]["errors"][0]["details"]
    linked = {"p": give("prefix"), "1": batch(prefix=["p", 0]), "2": keep("1")}
    assert "must lie inside the folder 'output'" in failure(host.run(linked))


def test_an_output_folder_on_another_disk_may_be_in_the_prefix(host, folder, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "base" / "output").mkdir(exist_ok=True)
    (tmp_path / "base" / "output" / "films").symlink_to(tmp_path / "disk")
    assert loaded(host, prefix="films/%year%/", count=1) == [("films/%year%/take1", 0.1)]


@pytest.mark.parametrize("name, value", [("start", 0), ("count", 9), ("pattern", "take*")])
def test_linked_numbers_and_texts_are_no_reason_to_read_again(host, folder, caplog, name, value):
    giver(host)["given"] = value
    collector(host)
    prompt = {"g": give("given"), "1": batch(**{name: ["g", 0]}), "2": keep("1")}
    assert "1" in ok(host.run(prompt)).executed and "1" not in ok(host.run(prompt)).executed
    save_wav(folder / "take4.wav", tone(0.1))
    assert "1" in ok(host.run(prompt)).executed and not caplog.records


def test_names_are_unique_even_where_capitals_do_not_count(host):
    unique = own(host, "nodes.audio_batch").unique_names
    assert unique(["take", "Take", "take_2", "b:c", "b*c"]) == ["take", "Take_2", "take_2_2", "b_c", "b_c_2"]


@pytest.mark.parametrize("name, safe", [
    ("take 1", "take 1"), ("%date%", "_date_"), ("a:b?", "a_b_"), (" .x. ", "x"), ("", "_"), ("...", "_"), ("con", "_con"),
    ("aux .x", "_aux .x"),
    ("é" * 150, "é" * 100), ("half \ud800", "half _")])
def test_a_safe_name(name, safe):
    assert safe_stem(name) == safe
