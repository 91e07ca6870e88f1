"""The one command that made demo/demo_portrait.jpg: `python weights/make_demo_portrait.py`.

A portrait of synthetic identity 5, 512 px, mouth shut, looking at the camera: nobody whom any shipped weights have seen (those
were made with identities from 1000 on, and the demo avatar with identity 3).
"""
from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from make_demo_avatar import ROOT, load_package

IDENTITY, SIZE, QUALITY = 5, 512, 88


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "demo" / "demo_portrait.jpg")
    parser.add_argument("--identity", type=int, default=IDENTITY)
    args = parser.parse_args()
    load_package()
    from PIL import Image
    from talking_heads.media_core.files import atomic_path
    from talking_heads.media_core.subject import CREDIT, PARAMS, Subject

    subject = Subject(SIZE, args.identity)
    picture = Image.fromarray(subject.render(np.zeros(len(PARAMS)), subject.pose(np.zeros(3))).rgb)
    with atomic_path(args.out) as temporary:
        picture.save(temporary, "JPEG", quality=QUALITY, optimize=True, comment=CREDIT)
    print(f"{args.out}: {args.out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
