"""The command line: exit codes, messages, stopping, doctor."""
from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from talking_heads.cli import main

TOYS = str(Path(__file__).resolve().parents[1] / "host" / "pack")
CHAIN = {"1": {"class_type": "ToyNumber", "inputs": {"value": 3, "mode": "plain", "seed": 0}, "_meta": {"title": "Number"}},
         "2": {"class_type": "ToyPicture", "inputs": {"frames": ["1", 0]}},
         "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "x"}}}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """run(prompt, *options) -> exit code, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def call(prompt: dict, *options: str) -> int:
        Path("w.json").write_text(json.dumps(prompt))
        return main.main(["run", "w.json", "--pack", TOYS, *options])

    return call


def test_run_saves_and_prints_the_files(run, tmp_path, capsys):
    assert run(CHAIN, "--set", "Number.value=2") == 0
    files = capsys.readouterr().out.split()
    assert files == [str(tmp_path / "output" / f"x_0000{index}_.png") for index in (1, 2)]
    assert all(os.path.isfile(file) for file in files)
    assert not list(tmp_path.glob("temp*"))


def test_run_prints_what_output_nodes_say(run, tmp_path, capsys):
    """And only the files on stdout."""
    landmarks = {"1": {"class_type": "LoadImage", "inputs": {"image": "talking_heads_demo_portrait.jpg"}},
                 "2": {"class_type": "TalkingHead_PortraitLandmarks",
                       "inputs": {"image": ["1", 0], "face_index": 0, "order": "largest"}},
                 "3": {"class_type": "TalkingHead_SaveLandmarks", "inputs": {"landmarks": ["2", 0], "filename_prefix": "face"},
                       "_meta": {"title": "Keep"}}}
    assert run(landmarks) == 0
    told = capsys.readouterr()
    assert told.out.split() == [str(tmp_path / "output" / "face_00001_.safetensors")]
    assert "Keep: Saved output/face_00001_.safetensors\n1 frame at 25 fps (0.04 s), canonical\n" in told.err
    assert "Face " not in told.err, "what other nodes say is shown while they run"


def test_a_refused_workflow_ends_with_1_and_the_reason(run, capsys):
    assert run(CHAIN, "--set", "1.value=11") == 1
    assert "ToyNumber (1): Value 11 bigger than max of 10: value" in capsys.readouterr().err


def test_a_failing_node_ends_with_1_its_words_and_no_traceback(run, capsys):
    prompt = {"1": {"class_type": "ToyFail", "inputs": {"value": 3}, "_meta": {"title": "Grumpy"}},
              "2": {"class_type": "ToyShow", "inputs": {"value": ["1", 0]}}}
    assert run(prompt) == 1
    told = capsys.readouterr().err
    assert "Grumpy (1): The value must be kind. Got: 3. Be kind." in told and "Traceback" not in told
    assert run(prompt, "--debug") == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("options", [["run", "none.json"], ["run", "w.json", "--set", "9.x=1"]])
def test_wrong_usage_ends_with_2(options, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("w.json").write_text(json.dumps({"1": {"class_type": "PreviewImage", "inputs": {}}}))
    assert main.main(options) == 2
    assert capsys.readouterr().err.strip()


def test_unknown_commands_end_with_2():
    for wrong in ([], ["fly"], ["run"], ["train"], ["train", "avatar", "x"]):
        with pytest.raises(SystemExit) as ended:
            main.main(wrong)
        assert ended.value.code == 2


def test_training_on_nothing_says_so(tmp_path, capsys):
    assert main.main(["train", "avatar", str(tmp_path / "none"), str(tmp_path / "a.safetensors")]) == 1
    told = capsys.readouterr().err
    assert str(tmp_path / "none") in told and "Traceback" not in told


def test_ctrl_c_stops_within_a_step_with_130(tmp_path):
    prompt = {"1": {"class_type": "ToySteps", "inputs": {"steps": 1000}},
              "2": {"class_type": "ToyShow", "inputs": {"value": ["1", 0]}}}
    (tmp_path / "w.json").write_text(json.dumps(prompt))
    job = subprocess.Popen([sys.executable, "-m", "talking_heads.cli.main", "run", "w.json", "--pack", TOYS], cwd=tmp_path,
                           stderr=subprocess.PIPE, text=True)
    for line in job.stderr:  # the progress line names the node when it starts
        if "ToySteps" in line:
            break
    time.sleep(0.1)
    job.send_signal(signal.SIGINT)
    _, told = job.communicate(timeout=60)
    assert job.returncode == 130, told
    assert "Interrupted." in told and "Traceback" not in told


def test_ctrl_c_while_the_job_still_loads_is_not_forgotten(run, monkeypatch, capsys):
    """A run forgets stops of earlier runs when it begins; one that came during its own validation must survive that."""
    from talking_heads.host import graph

    validate = graph.validate_prompt

    async def pressed_meanwhile(*given, **named):
        os.kill(os.getpid(), signal.SIGINT)
        return await validate(*given, **named)

    monkeypatch.setattr(graph, "validate_prompt", pressed_meanwhile)
    assert run(CHAIN) == 130
    assert "Interrupted." in capsys.readouterr().err and not list(Path("output").rglob("*.png"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_training_stopped_from_outside_keeps_its_state(tmp_path, tiny_dataset, number):
    """A real training in a process of its own, stopped at its first steps."""
    command = [sys.executable, "-m", "talking_heads.cli.main", "train", "avatar", str(tiny_dataset), "me", "--steps", "212",
               "--device", "cpu"]
    job = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    for line in job.stderr:
        if "Training" in line:
            break
    job.send_signal(number)
    _, told = job.communicate(timeout=120)
    assert job.returncode == 130 and "continues where it stopped" in told and "Traceback" not in told
    assert sorted(os.listdir(tmp_path)) == ["me.training.safetensors", "me_log"]
    from talking_heads.media_core.files import load_tensors

    done = load_tensors(tmp_path / "me.training.safetensors", kind="training", version=2)[1]["step"]
    assert done >= 1


@pytest.mark.parametrize("command", [["run", "w.json"], ["demo"]])
def test_an_output_folder_that_cannot_be_written_is_told_before_any_work(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("w.json").write_text(json.dumps({"1": {"class_type": "ToyFail", "inputs": {"value": 3}}}))
    Path("output").write_text("a file where the folder should be")
    assert main.main(command) == 1
    assert "output folder must be writable" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs POSIX permissions, which root has not")
def test_a_read_only_output_folder_is_told(run, tmp_path, capsys):
    (tmp_path / "output").mkdir(mode=0o555)
    assert run(CHAIN) == 1
    assert "Permission denied" in capsys.readouterr().err


def test_training_into_a_folder_that_cannot_be_made_says_so_before_the_first_step(tmp_path, tiny_dataset, capsys):
    (tmp_path / "file").write_text("")
    assert main.main(["train", "avatar", str(tiny_dataset), str(tmp_path / "file" / "a"), "--device", "cpu"]) == 1
    told = capsys.readouterr().err
    assert "training file" in told and "Training\n" not in told


def test_demo_copies_the_video_and_tells_its_speed(tmp_path, monkeypatch, capsys):
    from talking_heads.cli import jobs

    node = lambda kind, **inputs: {"class_type": kind, "inputs": inputs}  # noqa: E731
    workflow = {"1": node("LoadImage", image="talking_heads_demo_portrait.jpg"),
                "2": node("CreateVideo", images=["1", 0], fps=25),
                "3": node("SaveVideo", video=["2", 0], filename_prefix="a/b", format="auto", codec="auto")}
    (tmp_path / "demo.json").write_text(json.dumps(workflow))
    monkeypatch.setattr(jobs, "DEMO_WORKFLOW", str(tmp_path / "demo.json"))
    monkeypatch.chdir(tmp_path)
    for options, place in (([], "output/demo.mp4"), (["--output", "mine/x.mp4"], "mine/x.mp4"), ([], "output/demo.mp4")):
        assert main.main(["demo", *options]) == 0
        told = capsys.readouterr().out
        assert (tmp_path / place).is_file() and str(tmp_path / place) in told and "1 frames of 512x512" in told
        assert "frames per second" in told
    assert os.listdir(tmp_path / "output") == ["demo.mp4"]
    assert sorted(os.listdir(tmp_path)) == ["demo.json", "mine", "output"], "the demo files were elsewhere"
    monkeypatch.setattr(jobs, "DEMO_WORKFLOW", str(tmp_path / "gone.json"))
    assert main.main(["demo"]) == 2
    assert "complete checkout" in capsys.readouterr().err


def test_interrupted_training_keeps_its_state_and_ends_with_130(tmp_path, monkeypatch, capsys):
    import threading

    from talking_heads.hmtalker_core.training import train_avatar as avatar_training
    from talking_heads.hmtalker_core.training.config import preset
    before = signal.getsignal(signal.SIGINT)  # ignored, where the tests run in the background of a script

    def long(dataset, out, *, report, process_group, encoder, **settings):
        assert process_group.size == 1 and encoder.facts.id == "mel"
        assert settings == {
            "preset": preset("demo"), "seed": 7, "size": None, "device": "cpu", "resume": False, "lpips_weights": None,
            "start_from": "auto", "log_folder": None}
        threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        for step in range(1000):
            time.sleep(0.01)
            report(step, 1000, {"loss": 0.5}, None)
        raise AssertionError("never stopped")

    monkeypatch.setattr(avatar_training, "train_avatar", long)
    assert main.main(["train", "avatar", "d", "o", "--seed", "7", "--device", "cpu", "--no-resume"]) == 130
    assert "continues where it stopped" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is before


def test_doctor_tells_the_state_and_fails_where_output_cannot_be_written(tmp_path, capsys):
    code = main.main(["doctor", "--base-dir", str(tmp_path)])
    told = capsys.readouterr().out
    assert "Python 3" in told and "torch" in told and "rasteriser" in told and "output folder" in told
    assert code == (1 if "FAIL" in told else 0)
    (tmp_path / "file").write_text("")
    assert main.main(["doctor", "--base-dir", str(tmp_path), "--output-dir", str(tmp_path / "file" / "x")]) == 1
    assert "cannot be written" in capsys.readouterr().out


def test_help_imports_nothing_heavy():
    code = "import sys; from talking_heads.cli import main; main.parser(); assert not {'torch', 'numpy', 'av'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_help_shows_the_defaults_of_the_cores():
    """The command line passes on only what it is given; the numbers in its help are the settings' own."""
    import re
    from dataclasses import fields

    from talking_heads.media_core.capture import CaptureSettings
    from talking_heads.moditalker_core.data.from_subject import FIRST_IDENTITY, SubjectPlan
    from talking_heads.moditalker_core.data.from_videos import FilmPlan
    from talking_heads.moditalker_core.data.images import PictureSettings

    def shown(*command: str) -> dict[str, str]:
        options = main.parser()
        for name in command:
            [choice] = [action for action in options._actions if isinstance(action.choices, dict)]
            options = choice.choices[name]
        found = {action.dest: re.search(r"\(default: ([^,)]*)", action.help or "") for action in options._actions}
        return {name: match[1] for name, match in found.items() if match}

    def default_of(settings: type, name: str) -> object:
        return {field.name: field.default for field in fields(settings)}[name]

    told = shown("capture")
    for name in ("size", "fps", "policy", "face_index", "order", "smoothing", "encoder"):
        default = default_of(CaptureSettings, name)
        assert told[name] == (f"{default:g}" if isinstance(default, float) else str(default)), name
    told, plan = shown("dataset", "motion"), SubjectPlan()
    wanted = {"people": len(plan.identities), "first_identity": FIRST_IDENTITY, "seconds": plan.seconds, "seed": plan.seed,
              "engine": plan.engine, "val": plan.held_out, "fps": plan.fps, "margin": default_of(PictureSettings, "margin"),
              "crop": default_of(PictureSettings, "crop"), "face_index": FilmPlan().face_index, "order": FilmPlan().order}
    assert {name: told[name] for name in wanted} == {name: f"{value:g}" if isinstance(value, float) else str(value)
                                                     for name, value in wanted.items()}
    assert told["size"] == f"videos {FilmPlan().size}" and f"subject {plan.size}" in main_help("dataset", "motion")


def main_help(*command: str) -> str:
    """The whole help text of a command."""
    with pytest.raises(SystemExit), contextlib.redirect_stdout(io.StringIO()) as told:
        main.main([*command, "--help"])
    return told.getvalue()


@pytest.mark.parametrize("words", [("--steps", "--calls"), ("--video", "--film")])
def test_earlier_option_names_go_on_working(words):
    value = ["3"] if words[0] == "--steps" else []
    new, old = (main.parser().parse_args(["video", "a.wav", "b.png", "c.mp4", word, *value]) for word in words)
    assert vars(new) == vars(old) != vars(main.parser().parse_args(["video", "a.wav", "b.png", "c.mp4"]))
    assert words[0] in main_help("video")


def test_capture_writes_a_folder_and_prints_its_report(tmp_path, capsys, monkeypatch):
    from capture_video import Oracle, placed, talk, write_film
    from talking_heads.media_core.capture import pipeline

    said = talk(1.4)
    frames, points = placed(said, 144, 144, 8, 8)
    film = write_film(tmp_path / "me.mp4", frames, sound=said.sound)
    monkeypatch.setattr(pipeline, "make_tracker", lambda kind, **options: Oracle(points, missing=(4,)))
    command = ["capture", str(film), str(tmp_path / "set"), "--size", "64", "--no-masks"]
    assert main.main(command) == 1
    assert "no face in 1 of 35 frames: 4" in capsys.readouterr().err
    assert main.main([*command, "--policy", "skip", "--segment", "0.04", "1.24"]) == 0
    told = capsys.readouterr()
    assert "to be trained on, by built-in" in told.out and "unreliable: 0" in told.out
    assert "verdict: poor" in told.out and str(tmp_path / "set" / "report.png") in told.out
    assert "Capture: finding the face" in told.err and "Capture: checksums" in told.err
    assert json.loads((tmp_path / "set" / "manifest.json").read_text())["frames"] == 29


@pytest.mark.parametrize("options, code, word", [
    (["none.mp4", "set"], 1, "no file at"), (["empty.mp4", "set"], 1, "is empty"),
    (["empty.mp4", "set", "--size", "63"], 1, "even"),
    (["empty.mp4", "set", "--segment", "a", "b"], 2, "--segment auto 30"), (["empty.mp4", "set", "--au", "no.csv"], 1, "no.csv"),
])
def test_capture_that_cannot_be(options, code, word, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("empty.mp4").touch()
    assert main.main(["capture", *options]) == code
    told = capsys.readouterr().err
    assert word in told and "Traceback" not in told and not Path("set").exists()


@pytest.mark.parametrize("options, word", [
    (["--encoder", "wav9"], "must be one of mel"), (["--like", "set"], "`like` must exist"),
    (["--au", "other.csv"], "must have columns such as OpenFace"),
    (["--au", "long.csv"], "long.csv"), (["--order", "left", "--parsing", "me.mp4"], "`parsing` must exist"),
])
def test_capture_looks_at_what_else_is_given_before_the_long_work(options, word, tmp_path, monkeypatch, capsys):
    from capture_video import placed, talk, write_film

    said = talk(1.4)
    monkeypatch.chdir(tmp_path)
    write_film(tmp_path / "me.mp4", placed(said, 144, 144, 8, 8)[0], sound=said.sound)
    Path("other.csv").write_text("a,b\n1,2\n")
    Path("long.csv").write_text("frame,timestamp,success,AU01_r\n" + "".join(f"{i + 1},{i / 25:.3f},1,2\n" for i in range(200)))
    assert main.main(["capture", "me.mp4", "set", *options]) == 1
    told = capsys.readouterr().err
    assert word in told and "Capture:" not in told and not Path("set").exists()
    assert main.main(["capture", "me.mp4", "other.csv"]) == 1 and "other.csv is a file" in capsys.readouterr().err


def test_a_stopped_capture_tells_that_it_goes_on(tmp_path, capsys, monkeypatch):
    from capture_video import Oracle, placed, talk, write_film
    from talking_heads.media_core.capture import pipeline

    said = talk(1.4)
    frames, points = placed(said, 144, 144, 8, 8)
    film = write_film(tmp_path / "me.mp4", frames, sound=said.sound)

    class Pressed(Oracle):
        def __call__(self, frame, mask=None):
            if len(self.seen) == 5:
                os.kill(os.getpid(), signal.SIGINT)
            return super().__call__(frame, mask)

    made = []
    monkeypatch.setattr(pipeline, "make_tracker", lambda kind, **options: made.append(Pressed(points)) or made[-1])
    assert main.main(["capture", str(film), str(tmp_path / "set")]) == 130
    assert "continues where it stopped" in capsys.readouterr().err and len(made[0].seen) <= 7


def test_a_path_that_the_console_cannot_write_fails_nothing(monkeypatch, tmp_path):
    """Windows gives a program whose output goes into a file the letters of its code page."""
    told = io.TextIOWrapper(io.BytesIO(), encoding="cp1252", errors="strict")
    monkeypatch.setattr(sys, "stdout", told)
    monkeypatch.setattr(main, "dispatch", lambda options: print("结果.mp4") or 0)
    assert main.main(["doctor"]) == 0
    told.flush()
    assert told.buffer.getvalue().split() == [rb"\u7ed3\u679c.mp4"]


def test_demo_files_are_found_and_put_into_no_folder_of_the_users(run, tmp_path):
    from PIL import Image

    shown = {"1": {"class_type": "LoadImage", "inputs": {"image": "talking_heads_demo_portrait.jpg"}},
             "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}}}
    assert run(shown) == 0 and sorted(os.listdir(tmp_path)) == ["output", "w.json"]
    (tmp_path / "mine").mkdir()
    Image.new("RGB", (32, 16)).save(tmp_path / "mine" / "p.png")
    assert run(shown, "--input-dir", "mine") == 1, "another folder, other files"
    assert run(shown, "--input-dir", "mine", "--set", "1.image=p.png") == 0
    assert os.listdir(tmp_path / "mine") == ["p.png"] and sorted(os.listdir(tmp_path)) == ["mine", "output", "w.json"]


def test_a_mistyped_input_folder_is_refused_and_not_made(run, tmp_path, capsys):
    assert run(CHAIN, "--input-dir", str(tmp_path / "tpyo")) == 1
    assert "input folder must be there" in capsys.readouterr().err and not (tmp_path / "tpyo").exists()


@pytest.mark.parametrize("command", [["motion", "no.wav", "no.png", "{}.mp4"], ["import", "atom", "no.pt", "{}"],
                                     ["import", "mtov", "no", "no", "no", "{}"],
                                     ["import", "autoencoder", "no", "{}", "--role", "rgb"]])
def test_the_output_is_tried_before_anything_is_read(command, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main.main([part.format(tmp_path / "file" / "out") for part in command]) == 1
    assert "output folder must be writable" in capsys.readouterr().err
    assert main.main([part.format(tmp_path / ("x" * 252)) for part in command]) == 1
    assert "at most 255 bytes" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("command", [["avatar", "no"], ["atom", "no"], ["mtov", "no", "--stage", "rgb"]])
def test_the_state_beside_a_trained_file_must_have_a_name_too(command, tmp_path, capsys):
    name, *options = [command[0], "no", str(tmp_path / ("x" * 240)), *command[2:]]
    assert main.main(["train", name, *options]) == 1
    assert "at most 255 bytes" in capsys.readouterr().err and not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", [["capture", "no.mp4"], ["dataset", "motion", "--subject"],
                                     ["dataset", "motion", "--videos", "no"]])
def test_a_data_sets_place_is_tried_before_anything_is_read(command, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main.main([*command, str(tmp_path / "file" / "set")]) == 1
    assert "output folder must be writable" in capsys.readouterr().err
    assert main.main([*command, str(tmp_path / ("x" * 256))]) == 1
    assert "at most 255 bytes" in capsys.readouterr().err and [path.name for path in tmp_path.iterdir()] == ["file"]


def test_doctor_tells_what_finds_silence(monkeypatch, tmp_path):
    from talking_heads.cli import doctor
    from talking_heads.media_core.speech import voice_activity

    assert [(found.state, "silero-vad" in found.text) for found in doctor._activity()] == [("ok", True)]
    for path, state, said in ((tmp_path / "absent", "note", "loudness alone decides"),
                              (Path(__file__), "FAIL", "whole safetensors")):
        monkeypatch.setattr(voice_activity, "SHIPPED", path)
        voice_activity.shipped_voice_net.cache_clear()
        [found] = doctor._activity()
        assert found.state == state and said in found.text
    voice_activity.shipped_voice_net.cache_clear()


def test_doctor_tells_where_kernels_are_kept(monkeypatch):
    from talking_heads.cli import doctor
    from talking_heads.hmtalker_core.rasterizer import kernels

    [found] = doctor._kernels()
    assert found.state == "ok" and kernels.add_slots.stats.cache_path in found.text
    monkeypatch.setattr(doctor.os, "access", lambda *_: False)
    [found] = doctor._kernels()
    assert found.state == "note" and "compiles them again" in found.text
