"""The avatar player measured: size of the page, agreement with the processor's renderer, frames per second without a GPU.

    python benchmarks/player.py [--avatar weights/demo_avatar.safetensors] [--audio demo/demo_speech.wav] [--frames 40]

Needs Chromium and playwright. Chromium draws with SwiftShader, that is on the processor; each frame's pixels are read back before
the next one begins, so that a frame is counted when it is done. Writes benchmarks/results/player.md.
"""
from __future__ import annotations

import argparse
import platform
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import numpy as np
import torch
from common import ROOT, results_folder, talking_heads  # noqa: F401
from talking_heads.hmtalker_core.checkpoints import load_avatar
from talking_heads.hmtalker_core.player_file import player_file, read_player_file
from talking_heads.hmtalker_core.player_page import bundled, player_page
from talking_heads.media_core.audio import load_sound
from talking_heads.media_core.speech import encode_speech

sys.path.insert(0, str(ROOT / "tests" / "browser"))
from comfy_page import chromium  # noqa: E402
from player_frames import PLAYER, drawn  # noqa: E402

MANY = f"""([frames, scale]) => {{
  const {{ renderer }} = {PLAYER}, {{ gl }} = renderer, byte = new Uint8Array(4)
  const finish = () => gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, byte)
  renderer.resize(scale)
  for (let i = 0; i < 5; i++) {{ renderer.draw(i); finish() }}
  const begun = performance.now()
  for (let i = 0; i < frames; i++) {{ renderer.draw(i); finish() }}
  return 1000 * frames / (performance.now() - begun)
}}"""
COUNTS = f"""() => {{
  const {{ renderer }} = {PLAYER}
  renderer.resize(1)
  renderer.draw(0)
  return renderer.branches.map(branch => {{
    const {{ values }} = branch.readResults()
    let [drawn, area] = [0, 0]
    for (let i = 0; i < values.length; i += 12) {{
      drawn += values[i + 2] > 0
      area += 4 * Math.hypot(values[i + 7], values[i + 11]) * values[i + 3]
    }}
    return [branch.drawn, drawn, area]
  }})
}}"""


def main() -> None:
    options = parsed()
    avatar, sound = load_avatar(options.avatar), load_sound(options.audio)
    begun = time.perf_counter()
    fitted = avatar.basis is None
    basis = avatar.fitted_basis()
    fitting = time.perf_counter() - begun
    motion = avatar.drive(encode_speech(sound))
    begun = time.perf_counter()
    content = player_file(avatar, motion, sound, title="Benchmark")
    writing = time.perf_counter() - begun
    page = player_page(content, "Benchmark", avatar.licence)
    rows = [("page, MB", f"{len(page) / 1e6:.2f}", f"<= 5: {'met' if len(page) <= 5e6 else 'missed'}"),
            ("of it the player's scripts, kB", f"{len(bundled()) / 1e3:.0f}", ""),
            ("speech in it, s", f"{sound.duration:.1f}", ""),
            ("fitting the basis, where the file has none, s", f"{fitting:.1f}" if fitted else "stored", "once"),
            ("writing the file, s", f"{writing:.1f}", ""),
            ("numbers a frame: coefficients, bytes", f"{2 * len(basis.scales)}", "24 to 48"),
            *contents(content)]
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        path = Path(folder) / "page.html"
        path.write_text(page, "utf8")
        window = browser.new_page(viewport={"width": 600, "height": 720})
        window.set_default_timeout(170_000)
        window.goto(path.as_uri())
        while not window.evaluate(f"!!({PLAYER} && {PLAYER}.shown.frame >= 0)"):
            window.wait_for_timeout(100)
        rows += [*speeds(window, min(options.frames, len(motion))), *counts(window), *agreement(window, avatar, motion)]
        write(options, avatar, rows, browser.version)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--avatar", default=str(ROOT / "weights" / "demo_avatar.safetensors"))
    parser.add_argument("--audio", default=str(ROOT / "demo" / "demo_speech.wav"))
    parser.add_argument("--frames", type=int, default=40, help="that are timed")
    return parser.parse_args()


def contents(content: bytes) -> list[tuple[str, str, str]]:
    """What the file's bytes are."""
    sections = read_player_file(content)[0]["sections"]
    groups = {"Gaussians at rest": ("base", "harmonics"), "basis": ("moves",), "body": ("mean", "components", "states"),
              "background": ("plate",), "sound": ("sound",), "cameras and coefficients": ("cameras", "coefficients")}
    size = lambda ends: sum(entry["bytes"] for name, entry in sections.items() if name.rpartition(".")[2] in ends)
    return [(f"{name}, kB", f"{size(ends) / 1e3:.0f}", "compressed") for name, ends in groups.items()]


def speeds(window, frames: int) -> list[tuple[str, str, str]]:
    own, double = (window.evaluate(MANY, [frames, scale]) for scale in (1, 2))
    return [("frames/s at the avatar's size, SwiftShader", f"{own:.1f}", f">= 15: {'met' if own >= 15 else 'missed'}"),
            ("frames/s at twice that, SwiftShader", f"{double:.1f}", "the player then takes the avatar's size by itself")]


def counts(window) -> list[tuple[str, str, str]]:
    every = window.evaluate(COUNTS)
    keys, quads, area = (sum(part[i] for part in every) for i in range(3))
    return [("keys sorted a frame", f"{keys:,}", ""), ("quads drawn a frame", f"{quads:,}", "two draw calls"),
            ("pixels of those quads, million", f"{area / 1e6:.2f}", "before what is fainter than 1/255 is cut")]


def agreement(window, avatar, motion) -> list[tuple[str, str, str]]:
    found = {"basis": [], "exact": []}
    for frame in np.linspace(0, len(motion) - 1, 12).astype(int).tolist():
        image = drawn(window, avatar.size, frame)
        for kind, errors in found.items():
            rendered = next(avatar.render(motion, frame, frame + 1, deformation=kind))[0][0].numpy()
            errors.append(float(np.square(image - rendered).mean()))
    said = {kind: [-10 * np.log10(error) for error in errors] for kind, errors in found.items()}
    told = lambda values: f"{np.mean(values):.1f}"
    worst = min(said["basis"])
    return [("PSNR to the processor's renderer, same basis, dB", told(said["basis"]),
             f"worst {worst:.1f}; >= 40: {'met' if worst >= 40 else 'missed'}"),
            ("PSNR to the exact deformation, dB", told(said["exact"]), f"worst {min(said['exact']):.1f}")]


def write(options: argparse.Namespace, avatar, rows: list[tuple[str, str, str]], version: str) -> None:
    machine = f"{platform.machine()}, torch {torch.__version__}, Chromium {version} with SwiftShader (no GPU)"
    lines = ["# Avatar player", "", f"{date.today()}, {machine}; `python benchmarks/player.py`; {Path(options.avatar).name}, "
             f"{avatar.size[1]} x {avatar.size[0]} px, {len(avatar.face)} + {len(avatar.mouth)} Gaussians.", "",
             "Frames per second on an integrated GPU could not be measured: none was at hand. What a GPU has to do a frame is "
             "counted instead.", "", "| figure | value | note |", "|---|---|---|",
             *(f"| {' | '.join(row)} |" for row in rows), ""]
    path = results_folder() / "player.md"
    path.write_text("\n".join(lines), "utf8")
    print(path.read_text("utf8"))


if __name__ == "__main__":
    main()
