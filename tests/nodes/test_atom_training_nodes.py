"""Motion data sets and AToM's training, by the nodes on the small host: made, opened, interrupted, continued."""
from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hubert_folder import save_hubert
from pack import make_host
from prompts import changed, collector, failure, keep, node, ok

DATA = node("TalkingHead_MotionDataset", source="synthetic subject", name="few", encoder="mel", people=2, seconds=3.0,
            captured=False, seed=1, videos="", face_index=0, order="largest")
LOAD = node("TalkingHead_LoadMotionDataset", place="input", folder="few")
TRAIN = node("MoDiTalker_TrainAToM", dataset=["data", 0], preset="demo", steps=0.001, seed=0, name="mine", resume=True, batch=2,
             accumulation=1, licence="for tests")  # a few steps


@pytest.fixture(scope="module")
def few(tmp_path_factory) -> Path:
    """Two people who speak for three seconds each."""
    from talking_heads.moditalker_core.data.from_subject import SubjectPlan, build_from_subject

    plan = SubjectPlan((1000, 1001), seconds=3.0, seed=1, val=1, engine="formant")
    return build_from_subject(tmp_path_factory.mktemp("motion") / "few", plan)


@pytest.fixture
def base(tmp_path, few) -> Path:
    """The host's folder, with the data set in input/few."""
    shutil.copytree(few, tmp_path / "base" / "input" / "few")
    return tmp_path / "base"


def test_invented_people_become_a_data_set_once(host, tmp_path):
    kept = collector(host)
    nodes = {"data": DATA, "a": keep("data"), "b": keep("data", 1)}
    ok(host.run(nodes))
    folder, about = sorted(kept, key=lambda value: isinstance(value, str))
    assert (folder.clips, folder.fps, folder.encoder) == (2, 25.0, "mel") and folder.seconds == pytest.approx(6, abs=0.5)
    assert Path(folder.folder).parent == tmp_path / "base" / "output" / "talking_heads" / "datasets"
    assert Path(folder.folder).name.startswith("few_") and "people: 2" in about and "1 to validate on" in about
    made = {path: path.stat().st_mtime_ns for path in Path(folder.folder).rglob("*.safetensors")}
    other = make_host(tmp_path / "base")  # a new session: nothing cached, the finished folder is used as it is
    collector(other)
    ok(other.run(nodes))
    assert made == {path: path.stat().st_mtime_ns for path in Path(folder.folder).rglob("*.safetensors")}


def test_a_folder_of_films_becomes_a_data_set(host, tmp_path, tiny_film):
    kept = collector(host)
    films = tmp_path / "base" / "input" / "films" / "someone"
    films.mkdir(parents=True)
    shutil.copy(tiny_film, films / "a.mp4")
    (films / "b.mp4").write_bytes(b"no film")
    nodes = {"data": changed(DATA, source="videos", videos="films"), "a": keep("data"), "b": keep("data", 1)}
    ok(host.run(nodes))
    folder, about = sorted(kept, key=lambda value: isinstance(value, str))
    assert folder.clips == 1 and folder.seconds == pytest.approx(1.2, abs=0.1)
    assert "left out: someone/b.mp4" in about
    assert not host.run(nodes).executed
    shutil.copy(tiny_film, films / "c.mp4")
    assert "data" in host.run(nodes).executed, "another film in the folder"


def test_speech_of_a_model_folder(host, tmp_path):
    """Weights trained on the data set listen to that model, and say so."""
    save_hubert(tmp_path / "base" / "models" / "audio_encoders" / "ears")
    kept = collector(host)
    heard = changed(DATA, people=1, seconds=2.0, encoder="hubert", model_folder="ears", layer=1)
    ok(host.run({"data": heard, "a": keep("data")}))
    assert kept[0].encoder == "ears"
    message = failure(host.run({"data": heard, "train": changed(TRAIN, preset="published")}))
    assert "hubert-large-ls960-ft" in message and "ears" in message
    lost = failure(host.run({"data": changed(heard, model_folder="none"), "a": keep("data")}))
    assert "model folder" in lost


@pytest.mark.parametrize("videos, word", [("", "named"), ("empty", "must be videos")])
def test_no_films(host, tmp_path, videos, word):
    (tmp_path / "base" / "input" / "empty").mkdir()
    assert word in failure(host.run({"data": changed(DATA, source="videos", videos=videos)}))


@pytest.mark.parametrize("videos", ["absent", "../outside"])
def test_folders_of_films_that_are_not_there_are_refused_before_the_run(host, tmp_path, videos):
    from talking_heads.host.graph import InvalidPrompt

    (tmp_path / "base" / "outside").mkdir()
    with pytest.raises(InvalidPrompt, match="folder"):
        host.run({"data": changed(DATA, source="videos", videos=videos)})


@pytest.mark.parametrize("name", ["../up", "a/b", ""])
def test_names_that_are_no_file_names(host, base, name):
    assert "file name" in failure(host.run({"data": changed(DATA, name=name)}))
    assert "file name" in failure(host.run({"data": LOAD, "train": changed(TRAIN, name=name)}))
    assert not list((base / "models").rglob("*.safetensors"))


def test_a_data_set_is_opened(host, base):
    kept = collector(host)
    ok(host.run({"data": LOAD, "a": keep("data"), "b": keep("data", 1)}))
    assert sorted(type(value).__name__ for value in kept) == ["MotionFolder", "str"]
    assert not host.run({"data": LOAD, "a": keep("data"), "b": keep("data", 1)}).executed


@pytest.mark.parametrize("folder", ["", "../outside", "/etc", "absent", "avatar", "damaged"])
def test_folders_that_are_no_motion_data_set(host, base, few, tiny_dataset, folder):
    shutil.copytree(few, base / "outside")
    shutil.copytree(tiny_dataset, base / "input" / "avatar")
    next(shutil.copytree(few, base / "input" / "damaged").glob("shards/*")).unlink()
    collector(host)
    assert "Got:" in failure(host.run({"data": changed(LOAD, folder=folder), "k": keep("data")}))


def test_an_avatars_data_set_does_not_fit_the_socket(host, base):
    from talking_heads.host.graph import InvalidPrompt

    with pytest.raises(InvalidPrompt, match="TH_DATASET"):
        host.run({"data": node("TalkingHead_LoadDataset", place="input", folder="few"), "train": TRAIN})


def test_training_saves_weights_that_load(host, base):
    from talking_heads.moditalker_core.atom.train_config import preset

    kept = collector(host)
    ok(host.run({"data": LOAD, "train": TRAIN, **{f"k{i}": keep("train", i) for i in range(3)}}))
    loaded = next(value for value in kept if hasattr(value, "model"))
    assert "mine.safetensors" in kept and (base / "models" / "talking_heads" / "mine.safetensors").is_file()
    steps = round(preset("demo").steps * 0.001)
    assert loaded.licence == "for tests" and loaded.model.config.training["steps"] == steps > 1
    assert list((base / "output" / "talking_heads" / "logs" / "mine").iterdir()), "the log"
    load = node("MoDiTalker_LoadAToM", atom_name="mine.safetensors", precision="fp32")
    ok(host.run({"load": load, "k": keep("load", 1)}))
    assert "licence: for tests" in kept[-1] and "preset demo" in kept[-1]


def test_a_stopped_training_goes_on(base):
    done = []

    def event(name: str, data: dict) -> None:
        if name == "progress" and data["node"] == "train":
            done.append(data["value"])
            if stop:
                host.interrupt()

    host, stop = make_host(base, on_event=event), True
    nodes = {"data": LOAD, "train": TRAIN}
    assert host.run(nodes).status == "interrupted" and len(done) == 1
    models = base / "models" / "talking_heads"
    assert [path.name for path in models.iterdir()] == ["mine.training.safetensors"]
    stop = False
    assert "another seed" in failure(host.run({**nodes, "train": changed(TRAIN, seed=1)}))
    ok(host.run(nodes))
    assert [path.name for path in models.iterdir()] == ["mine.safetensors"]


def test_a_data_set_of_another_encoder_is_refused_with_both_names(host, base):
    message = failure(host.run({"data": LOAD, "train": changed(TRAIN, preset="published")}))
    assert "hubert-large-ls960-ft" in message and "mel" in message
    assert not list((base / "models").rglob("*.safetensors"))


def test_fine_tuning(host, base):
    kept = collector(host)
    ok(host.run({"data": LOAD, "train": TRAIN, "a": keep("train")}))
    again = {"data": LOAD, "train": changed(TRAIN, name="again", start_from="mine.safetensors"), "a": keep("train")}
    ok(host.run(again))
    assert not host.run(again).executed
    before, after = (value.model.config.training for value in kept)
    assert after["begun with"] == before and after["lr"] == pytest.approx(before["lr"] / 5)
    assert "absent.safetensors" in failure(host.run({"data": LOAD, "train": changed(TRAIN, start_from="absent.safetensors")}))


def test_fine_tuning_beside_a_second_dataset(host, base, few):
    """The preset finetune starts from the demo weights where none are named."""
    shutil.copytree(few, base / "input" / "more")
    kept = collector(host)
    nodes = {"data": LOAD, "more": changed(LOAD, folder="more"), "a": keep("train"),
             "train": changed(TRAIN, preset="finetune", steps=0.02, mix=["more", 0], mix_fraction=0.25)}
    ok(host.run(nodes))
    record = kept[0].model.config.training
    assert record["preset"] == "finetune" and record["begun with"] and record["mix"][0]["fraction"] == 0.25
    assert record["lr"] == pytest.approx(8e-5)


def test_one_video_is_a_dataset_too(host, tmp_path, tiny_film):
    kept = collector(host)
    shutil.copy(tiny_film, tmp_path / "base" / "input" / "me.mp4")
    nodes = {"data": changed(DATA, source="videos", videos="me.mp4", tracker="rendered"), "a": keep("data")}
    ok(host.run(nodes))
    assert kept[0].clips == 1
