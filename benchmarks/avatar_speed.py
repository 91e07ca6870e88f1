"""How fast a speech becomes a film on this machine, where the time goes without the caches, and that memory stays flat.

    python benchmarks/avatar_speed.py [--avatar weights/demo_avatar.safetensors] [--seconds 20]

End to end: sound in memory -> speech features -> codes -> frames -> encoded H.264 + AAC file. The slow twins stand beside it as
ratios of the same run. Writes benchmarks/results/avatar_speed.md. Linux and macOS (peak memory comes from the resource module).
"""
from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import numpy as np
import torch
from common import ROOT, results_folder, talking_heads  # noqa: F401
from talking_heads.hmtalker_core.avatar import Avatar, AvatarMotion
from talking_heads.hmtalker_core.checkpoints import load_avatar
from talking_heads.hmtalker_core.model.motion import FaceMotionNet
from talking_heads.hmtalker_core.rasterizer import choose_backend
from talking_heads.hmtalker_core.streaming import render_video
from talking_heads.media_core.audio import Sound, fitted, load_sound
from talking_heads.media_core.speech import encode_speech

SPEECH = ROOT / "demo" / "demo_speech.wav"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--avatar", type=Path, default=ROOT / "weights" / "demo_avatar.safetensors")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--peak", type=float, help=argparse.SUPPRESS)  # a child process: render so many seconds, print the peak
    args = parser.parse_args()
    if args.peak:
        return print(peak_memory(args.avatar, args.peak))
    avatar, sound = load_avatar(args.avatar), speech_of(args.seconds)
    text = report(measure(avatar, sound, args), avatar, args)
    print(text)
    results_folder().joinpath("avatar_speed.md").write_text(text, encoding="utf-8")


def speech_of(seconds: float) -> Sound:
    """The demo speech, repeated or cut to `seconds`."""
    sound = load_sound(SPEECH)
    wanted = int(seconds * sound.sample_rate)
    repeats = -(-wanted // sound.waveform.shape[1])
    return Sound(fitted(np.tile(sound.waveform, (1, repeats)), wanted), sound.sample_rate)


def film(avatar: Avatar, sound: Sound, **options) -> tuple[float, int]:
    """(seconds, frames) of the whole way, into a file that is thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        motion = avatar.drive(encode_speech(sound, avatar.encoder))
        summary = render_video(avatar, motion, Path(folder) / "film.mp4", sound, **options)
        return time.perf_counter() - started, summary.frames


class Uncached(Avatar):
    """The published loop: encode the points, both attentions and the full first layer again in every frame."""

    def _drawn_by_kernels(self, picture) -> bool:
        return False

    def offsets(self, motion: AvatarMotion, start: int, stop: int, deformation: str = "exact"):
        from talking_heads.media_core.motion import UPPER_INDEX

        net: FaceMotionNet = self.face_net
        self.__dict__.pop("position_caches", None)
        faces, mouths = [], []
        for frame in range(start, stop):
            features = net.encode_position(self.face.xyz)
            lower, upper = net._attention(features)
            au = motion.au[frame:frame + 1, list(UPPER_INDEX)]
            entering = torch.cat([features, au * upper, motion.codes[frame:frame + 1] * lower], dim=-1)
            h = net.deform(entering)[None]
            faces.append((0.01 * h[..., :3], h[..., 3:7], h[..., 8:11]))
            mouths.append(self.mouth_net.deform_cached(self.mouth_net.cache(self.mouth.xyz), motion.mouth_codes[frame:frame + 1]))
        return tuple(torch.cat(parts) for parts in zip(*faces)), torch.cat(mouths)


WAYS = [(size, deformation) for size in (256, 512) for deformation in ("exact", "basis")]
WANTED = {256: 100, 512: 40}  # frames/s on two cores


def rates(avatar: Avatar, sound: Sound) -> dict[tuple[int, str], float]:
    """Frames/s of the whole way at each size and by each deformation, the better of two turns."""
    best = dict.fromkeys(WAYS, 0.0)
    for size, deformation in WAYS * 2:
        seconds, frames = film(avatar, sound, size=(size, size), deformation=deformation)
        best[size, deformation] = max(best[size, deformation], frames / seconds)
    return best


def measure(avatar: Avatar, sound: Sound, args: argparse.Namespace) -> dict:
    avatar.fitted_basis()
    for size, deformation in WAYS:
        film(avatar, speech_of(0.4), size=(size, size), deformation=deformation)  # compiles and warms up
    best = rates(avatar, sound)
    plain = Uncached(*avatar.modules, avatar.poses, avatar.upper_au, avatar.torso, avatar.background, avatar.config)
    short = speech_of(min(4.0, args.seconds))
    uncached, few = film(plain, short, chunk=1)
    cached, _ = film(avatar, short)
    tiny = speech_of(0.12)
    reference, three = film(avatar, tiny, backend="reference", chunk=1)
    peaks = [child_peak(args.avatar, s) for s in (10.0, 120.0)]
    return {"rates": best, "frames": round(args.seconds * avatar.fps), "psnr": avatar.fitted_basis().psnr,
            "uncached": (uncached / few) / (cached / few),
            "reference": (reference / three) / (cached / few), "peaks": peaks}


def child_peak(avatar: Path, seconds: float) -> float:
    """Peak memory of a fresh process that makes a film of `seconds`, MiB."""
    out = subprocess.run([sys.executable, __file__, "--avatar", str(avatar), "--peak", str(seconds)],
                         capture_output=True, text=True, check=True,
                         env=os.environ | {"PYTHONPATH": os.environ.get("PYTHONPATH", "")})
    return float(out.stdout.strip().splitlines()[-1])


def peak_memory(path: Path, seconds: float) -> float:
    """MiB. Linux: the high-water mark of this program alone (getrusage would include what the parent held when it forked)."""
    avatar = load_avatar(path)
    film(avatar, speech_of(seconds))
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2 ** (20 if sys.platform == "darwin" else 10)


def report(figures: dict, avatar: Avatar, args: argparse.Namespace) -> str:
    height, width = avatar.size
    name, why = choose_backend(avatar.device)
    ten, long = figures["peaks"]
    met = lambda ok: "met" if ok else "**not met**"
    return "\n".join([
        "# Avatar speed", "",
        f"{date.today().isoformat()}, {platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}; "
        f"`python benchmarks/avatar_speed.py`; {args.avatar.name}, {width} x {height} px, "
        f"{len(avatar.face)} + {len(avatar.mouth)} Gaussians, back end {name}; {figures['frames']} frames. "
        "Machines are noisy: trust the ratios.", "",
        "| figure | value | wanted |", "|---|---|---|",
        *(f"| speech features to encoded mp4, {size} px, {way}, frames/s | {rate:.1f} | "
          + (f">= {WANTED[size]}: {met(rate >= WANTED[size])} |" if way == "exact" else f"at {figures['psnr']:.1f} dB |")
          for (size, way), rate in figures["rates"].items()),
        f"| the loop in torch, without the caches, a frame at a time, times as slow | {figures['uncached']:.2f} | |",
        f"| the same loop with the float64 reference, times as slow | {figures['reference']:.0f} | |",
        f"| peak memory for 10 s of speech, MiB | {ten:.0f} | |",
        f"| peak memory for 120 s of speech, MiB | {long:.0f} | |",
        f"| ratio | {long / ten:.3f} | <= 1.05: {met(long <= 1.05 * ten)} |"]) + "\n"


if __name__ == "__main__":
    main()
