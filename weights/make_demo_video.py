"""The one command that made demo/demo_video.mp4: `python weights/make_demo_video.py`.

Twelve seconds of synthetic identity 12 talking to the camera, for the template that trains an avatar from a video: nobody whom
the demo avatar (identity 3), the demo portrait (5) or any other shipped weights have seen. Needs espeak-ng, as
`make_demo_avatar.py` does.
"""
from __future__ import annotations

import argparse
from pathlib import Path

from make_demo_avatar import ROOT, load_package, show

IDENTITY, SIZE, SEED, VOICE, CRF = 12, 256, 4, "en-us+f2", 20
TEXT = ["Good morning. My name is Vera, and I am glad to be here.",
        "Five brown foxes jumped over a wide blue puddle before the fog moved on.",
        "Goodbye, and thank you for watching my film."]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "demo" / "demo_video.mp4")
    parser.add_argument("--identity", type=int, default=IDENTITY)
    parser.add_argument("--seed", type=int, default=SEED)
    args = parser.parse_args()
    load_package()
    from talking_heads.media_core.subject import CREDIT, Subject, perform
    from talking_heads.media_core.video import VideoWriter

    subject, said = Subject(SIZE, args.identity), perform(None, args.seed, voice=VOICE, engine="espeak", text=TEXT)
    credit = {"comment": CREDIT}
    with VideoWriter(args.out, SIZE, SIZE, said.fps, said.sound, crf=CRF, preset="veryslow", metadata=credit,
                     source="recorded") as video:
        for i in range(len(said)):
            pose = subject.pose(said.euler[i], said.translation[i])
            video.write(subject.render(said.params[i], pose, said.sway[i]).rgb)
            show(i + 1, len(said), {}, None)
    print(f"\n{args.out}: {len(said) / said.fps:.1f} s, {args.out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
