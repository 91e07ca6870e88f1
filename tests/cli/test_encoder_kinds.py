"""Every kind of speech encoder from the command line: a tiny HuBERT, a random AVE, features from files, several at once. Each
trains an avatar and an AToM, whose files know what they hear, speak through it and refuse the others, with both names."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ave_file import save_ave_file, save_official_ave
from hubert_folder import save_hubert
from talking_heads.cli import main
from talking_heads.media_core.audio import Sound, save_wav

SHORT = ["--device", "cpu"]
SUBJECT = ["--subject", "--people", "2", "--first-identity", "3", "--seconds", "1", "--engine", "formant", "--val", "0", *SHORT]
KINDS = ["hubert", "ave", "stored", "joined"]
HEARS = {"hubert": "'ears', layer 1", "ave": "'ave', layer last", "stored": "'deepspeech', layer last",
         "joined": "'mel+ears', layer last+1"}


@pytest.fixture(scope="module")
def place(tmp_path_factory, tiny_dataset) -> Path:
    """Models, 0.4 s of noise with its features, and those of the avatar's dataset and of the video."""
    from talking_heads.media_core.face.pose.canonical import mean_face
    from talking_heads.media_core.motion import LandmarkTrack

    folder = tmp_path_factory.mktemp("kinds")
    save_hubert(folder / "ears")
    save_ave_file(folder / "ave.safetensors")
    random = np.random.default_rng(0)
    save_wav(folder / "speech.wav", Sound(0.1 * random.standard_normal((1, 6400)).astype(np.float32), 16000))
    for name, rows in (("aud_ds", 20), ("set/aud_ds", 60), ("features/film", 60)):
        (folder / name).parent.mkdir(exist_ok=True)
        np.save(folder / f"{name}.npy", random.standard_normal((rows, 29)))
    import torch

    LandmarkTrack(torch.from_numpy(mean_face())[None]).save(folder / "face.safetensors")
    return folder


def encoder(kind: str, place: Path, features: str = "aud_ds.npy") -> list[str]:
    """The options that name an encoder; `features`: the stored ones."""
    path = {"hubert": place / "ears", "ave": place / "ave.safetensors", "stored": place / features,
            "joined": f"mel+{place / 'ears'}"}[kind]
    more = {"hubert": ["--layer", "1"], "joined": ["--layer", "last+1"]}.get(kind, [])
    return ["--encoder", str(path), *more]


@pytest.fixture(scope="module")
def avatars(place, tiny_dataset) -> dict[str, Path]:
    """An avatar of each kind, of a step a phase."""
    made = {}
    for kind in KINDS:
        made[kind] = place / f"avatar_{kind}.safetensors"
        assert main.main(["train", "avatar", str(tiny_dataset), str(made[kind]), "--scale", "0.001", *SHORT,
                          *encoder(kind, place, "set/aud_ds.npy")]) == 0
    return made


@pytest.fixture(scope="module")
def atoms(place, tiny_film) -> dict[str, Path]:
    """An AToM of each kind, of two steps: stored features are those of a film, since nobody has any of a synthetic person."""
    films, made = place / "films", {}
    films.mkdir()
    (films / "film.mp4").symlink_to(tiny_film)
    for kind in KINDS:
        made[kind] = place / f"atom_{kind}.safetensors"
        stored = ["--encoder", str(place / "features"), "--feature-name", "DeepSpeech", "--feature-rate", "50"]
        filmed, data = ["--videos", str(films), "--size", "128", *SHORT, *stored], str(place / f"data_{kind}")
        assert main.main(["dataset", "motion", data, *(filmed if kind == "stored" else [*SUBJECT, *encoder(kind, place)])]) == 0
        assert main.main(["train", "atom", data, str(made[kind]), "--steps", "2", "--batch", "2", *SHORT]) == 0
    return made


def avatar(path: Path, place: Path, *options: str) -> int:
    return main.main(["avatar", str(path), str(place / "speech.wav"), str(place / "out.mp4"), *SHORT, *options])


def motion(path: Path, place: Path, *options: str) -> int:
    return main.main(["motion", str(place / "speech.wav"), str(place / "face.safetensors"), str(place / "moved.safetensors"),
                      "--weights", str(path), "--steps", "1", *SHORT, *options])


@pytest.mark.parametrize("kind", KINDS)
def test_an_avatar_hears_speaks_and_refuses_the_others(avatars, place, capsys, kind):
    from talking_heads.hmtalker_core.checkpoints import load_avatar
    from talking_heads.media_core.video import probe

    hears = load_avatar(avatars[kind]).hears
    assert str(hears).startswith(HEARS[kind])
    options = encoder(kind, place)[:2]  # at the avatar's own layer
    assert avatar(avatars[kind], place, *options) == 0, capsys.readouterr().err
    assert probe(place / "out.mp4").frames == 10
    for other in KINDS:
        if other != kind:
            capsys.readouterr()
            assert avatar(avatars[kind], place, *encoder(other, place)) == 1
            told = capsys.readouterr().err
            assert HEARS[kind] in told.split("Got:")[0] and HEARS[other] in told.split("Got:")[1], told
            assert avatar(avatars[kind], place, *encoder(other, place)[:2]) == 1  # without a layer the names are told as well
            assert HEARS[other].split(",")[0] in capsys.readouterr().err
    assert avatar(avatars[kind], place) == 1 and "--encoder" in capsys.readouterr().err


@pytest.mark.parametrize("kind", KINDS)
def test_an_atom_hears_speaks_and_refuses_the_others(atoms, place, capsys, kind):
    from talking_heads.media_core.motion import LandmarkTrack
    from talking_heads.moditalker_core.atom.checkpoints import load_atom

    hears = load_atom(atoms[kind]).config.speech
    assert f"'{hears.encoder}', layer {hears.layer}" == HEARS[kind]
    assert motion(atoms[kind], place, *encoder(kind, place)[:2]) == 0, capsys.readouterr().err
    track = LandmarkTrack.load(place / "moved.safetensors")
    assert len(track) == 10 and bool(track.points.isfinite().all())
    for other in KINDS:
        if other != kind:
            capsys.readouterr()
            assert motion(atoms[kind], place, *encoder(other, place)) == 1
            told = capsys.readouterr().err
            plain = lambda name: HEARS[name].replace("'", "")
            assert plain(kind) in told.split("Got:")[0] and plain(other) in told.split("Got:")[1], told
    assert motion(atoms[kind], place) == 1
    assert "This AToM understands speech encoded by" in capsys.readouterr().err


def test_the_video_of_a_portrait_takes_them_too(atoms, place, tiny_film, capsys):
    command = ["video", str(place / "speech.wav"), str(tiny_film), str(place / "talks.mp4"), "--atom", str(atoms["ave"]),
               "--motion-steps", "1", *SHORT]
    assert main.main([*command, *encoder("ave", place)]) == 0, capsys.readouterr().err
    assert main.main([*command, *encoder("hubert", place)]) == 1 and "ave, layer last" in capsys.readouterr().err
    assert main.main(command) == 1 and "no --encoder" in capsys.readouterr().err


def test_an_unfinished_training_is_not_continued_with_another(place, tiny_dataset, tmp_path, monkeypatch, capsys):
    from talking_heads.hmtalker_core.training import train_avatar

    def stopped(*given):
        raise KeyboardInterrupt

    command = ["train", "avatar", str(tiny_dataset), str(tmp_path / "a.safetensors"), "--scale", "0.001", *SHORT]
    monkeypatch.setattr(train_avatar, "build_avatar", stopped)
    assert main.main([*command, *encoder("ave", place)]) == 130
    capsys.readouterr()
    assert main.main([*command, *encoder("hubert", place)]) == 1
    told = capsys.readouterr().err
    assert "its encoder is 'ave', not 'ears layer 1'" in told, told


def test_synctalks_own_file_is_imported_once(place, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save_official_ave(tmp_path / "audio_visual_encoder.pth")
    assert main.main(["avatar", "a", "b", "c.mp4", "--encoder", "audio_visual_encoder.pth"]) == 1
    capsys.readouterr()
    assert main.main(["import", "ave", "audio_visual_encoder.pth", "mine", "--licence", "CC BY-NC 4.0"]) == 0
    assert "mine.safetensors" in capsys.readouterr().out
    from talking_heads.media_core.speech import open_encoder

    sound = Sound(np.random.default_rng(0).normal(0, 0.1, (1, 8000)).astype(np.float32), 16000)
    paths = tmp_path / "mine.safetensors", place / "ave.safetensors"
    mine, theirs = (open_encoder(path).encode(sound).features for path in paths)
    assert bool((mine == theirs).all())
    (tmp_path / "other.pth").write_bytes(b"nothing")
    assert main.main(["import", "ave", "other.pth", "mine"]) == 1 and "SyncTalk" in capsys.readouterr().err


@pytest.mark.parametrize("options, code, words", [
    (["--feature-rate", "50"], 2, "need .npy features"), (["--encoder", "mel", "--feature-name", "x"], 2, "need .npy features"),
    (["--encoder", "FILE"], 1, "--feature-name"), (["--encoder", "FILE", "--feature-name", "x"], 1, "--feature-rate"),
    (["--encoder", "mel+nobody"], 1, "'nobody'"), (["--encoder", "mel+EARS", "--layer", "1+1"], 1, "'mel' has none")])
def test_what_is_wrong_is_told(avatars, place, capsys, options, code, words):
    np.save(place / "mine.npy", np.zeros((20, 4)))
    options = [option.replace("FILE", str(place / "mine.npy")).replace("EARS", str(place / "ears")) for option in options]
    assert avatar(avatars["ave"], place, *options) == code
    assert words in capsys.readouterr().err


def test_doctor_lists_them(place, tmp_path, capsys):
    from talking_heads.cli import doctor

    models = tmp_path / "models" / "audio_encoders"
    save_ave_file(models / "sub" / "mine.safetensors")
    for name in ("ears", "other"):
        (models / name).mkdir()
        (models / name / "config.json").write_text(f'{{"model_type": "{"hubert" if name == "ears" else "bert"}"}}')
    (models / "wav2vec.safetensors").write_bytes(b"no header")
    (models / "audio_visual_encoder.pth").write_bytes(b"")
    told = [(finding.state, finding.text) for finding in doctor._encoders(str(tmp_path))]
    assert told[0] == ("ok", "speech encoders without weights: mel")
    found = {text.split(": ")[0].removeprefix("speech encoder "): (state, text.split(": ", 1)[1]) for state, text in told[1:]}
    assert found["ears"] == ("ok", f"hubert, by --encoder {models / 'ears'}")
    assert found["sub/mine.safetensors"] == ("ok", f"ave, by --encoder {models / 'sub' / 'mine.safetensors'}")
    assert found["other"][0] == "note" and "import ave" in found["audio_visual_encoder.pth"][1]
    assert "Load Audio Encoder" in found["wav2vec.safetensors"][1] and len(found) == 5
    assert "none" in list(doctor._encoders(str(tmp_path / "nowhere")))[1].text
