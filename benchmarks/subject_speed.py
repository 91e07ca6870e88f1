"""Frames a second of the synthetic subject, at the sizes the documentation quotes.

Usage: python benchmarks/subject_speed.py [FRAMES]
"""
from __future__ import annotations

import os
import platform
import sys
import time

from talking_heads.media_core.subject import Subject, perform


def main(frames: int = 60) -> None:
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    start = time.perf_counter()
    performance = perform(4.0, 0)
    print(f"perform, 4 s of speech ({performance.engine}): {time.perf_counter() - start:.2f} s, imports included")
    for size in (256, 320, 512):
        start = time.perf_counter()
        subject = Subject(size)
        built = time.perf_counter() - start
        start, used = time.perf_counter(), time.process_time()
        for i in range(frames):
            i %= len(performance)
            pose = subject.pose(performance.euler[i], performance.translation[i])
            subject.render(performance.params[i], pose, performance.sway[i])
        wall, cpu = time.perf_counter() - start, time.process_time() - used
        used = 1000 * cpu / frames
        print(f"{size:4d} px: built in {built:.2f} s, {frames / wall:.1f} frames/s, {used:.1f} ms of processor a frame")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
