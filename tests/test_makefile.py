"""`make` installs again where the installation points at another folder."""
from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def planned(target: str, venv: Path, place: str | None) -> str:
    """What `make target` would run with an environment in which all is installed, from the folder `place`."""
    (venv / "bin").mkdir(parents=True, exist_ok=True)
    for name in ("bin/python", ".demo", ".test"):
        (venv / name).write_text("")
    (venv / ".place").unlink(missing_ok=True)
    if place is not None:
        (venv / ".place").write_text(f"{place}\n")
    return subprocess.run(["make", "-n", target, f"VENV={venv}"], cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("target, job", [("demo", "talking_heads.cli demo"), ("test", "-m pytest")])
def test_an_environment_of_another_place_is_installed_again(tmp_path, target, job):
    here = planned(target, tmp_path / "venv", str(ROOT))
    assert "pip install" not in here and job in here
    for place in ("/elsewhere", None):
        moved = planned(target, tmp_path / "venv", place)
        assert "pip install -e" in moved and "torch" not in moved and job in moved and ".place" in moved
