"""flite and festival, where they are installed, as engines of the synthetic subject's voices (`media_core/subject/voices.py`).

They are programs, and shipped code starts none: the command line and the scripts in weights/ call `add_speech_programs`.
"""
from __future__ import annotations

import re
import shutil
import subprocess
import wave
from pathlib import Path

import numpy as np

from ..media_core.errors import TalkingHeadsError
from ..media_core.subject import voices
from ..media_core.subject.espeak import Spoken
from ..media_core.temporary import temporary_folder

FLITE = ("slt", "rms", "awb", "kal16", "kal")
FESTIVAL = {"kal": "voice_kal_diphone", "ked": "voice_ked_diphone", "slt": "voice_cmu_us_slt_arctic_hts"}
_PACKAGES = {"flite": "flite", "festival": "festival festvox-kallpc16k festvox-kdlpc16k festvox-us-slt-hts festlex-cmu "
             "festlex-poslex"}
_FOLDER = "talking-heads-voice-"
_SCRIPT = """({voice})
(Parameter.set 'Duration_Stretch {stretch:.3f})
(set! utt (Utterance Text "{text}"))
(utt.synth utt)
(utt.save.wave utt "a.wav" 'riff)
(mapcar (lambda (s) (format t "%s %f %s\\n" (item.name s) (item.feat s "end") (item.feat s "R:SylStructure.parent.stress")))
        (utt.relation.items utt 'Segment))
"""


def add_speech_programs() -> None:
    """Makes the voices flite:NAME and festival:NAME known."""
    voices.register("flite", flite)
    voices.register("festival", festival)


def flite(line: str, name: str, stretch: float) -> Spoken:
    """One line by flite.

    Raises:
        TalkingHeadsError: no flite, not this voice, or it failed.
    """
    _known("flite", name, FLITE)
    said, samples, rate = _run("flite", ["-voice", name, "--setf", f"duration_stretch={stretch:.3f}", "-psdur", "-t", line,
                                         "-o", "a.wav"])
    rows = [(phone, float(end), None) for phone, end in re.findall(r"(\S+):([\d.]+)", said)]
    return Spoken(samples, rate, voices.from_arpa(rows, len(samples) / rate))


def festival(line: str, name: str, stretch: float) -> Spoken:
    """One line by festival; errors as for `flite`."""
    _known("festival", name, tuple(FESTIVAL))
    script = _SCRIPT.format(voice=FESTIVAL[name], stretch=stretch, text=re.sub(r'["\\]', "", line))
    said, samples, rate = _run("festival", ["-b", "a.scm"], script)
    parts = [row.split() for row in said.splitlines()]
    rows = [(row[0], float(row[1]), row[2] == "1") for row in parts if len(row) == 3]
    return Spoken(samples, rate, voices.from_arpa(rows, len(samples) / rate))


def _known(program: str, name: str, names: tuple[str, ...]) -> None:
    if name not in names:
        raise TalkingHeadsError(f"A voice of {program} must be one of {', '.join(names)}", f"'{name}'", "Choose one of these")


def _run(program: str, arguments: list[str], script: str = "") -> tuple[str, np.ndarray, int]:
    """What the program printed, and the file a.wav that it wrote: float32 [N] and Hz."""
    path = shutil.which(program)
    install = f"Install it (Debian: {_PACKAGES[program]}), or choose voices of espeak-ng"
    if path is None:
        raise TalkingHeadsError(f"The voice needs the program {program}", "it is not installed", install)
    with temporary_folder(_FOLDER) as folder:
        Path(folder, "a.scm").write_text(script, "utf8")
        done = subprocess.run([path, *arguments], cwd=folder, capture_output=True, text=True, errors="replace", check=False)
        made = Path(folder, "a.wav")
        if done.returncode or not made.is_file():
            raise TalkingHeadsError(f"{program} must speak the line", (done.stderr or done.stdout).strip()[-200:] or "no audio",
                                    install)
        return (done.stdout, *_read(made))


def _read(path: Path) -> tuple[np.ndarray, int]:
    with wave.open(str(path)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        return samples.astype(np.float32) / 32768, file.getframerate()
