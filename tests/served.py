"""`talking-heads serve` in a process of its own, on a free port."""
from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager


def command(base, pages, *more):
    return [sys.executable, "-m", "talking_heads.cli", "serve", "--base-dir", str(base), "--frontend", str(pages), *more]


@contextmanager
def running(base, pages, *more):
    """(process, address) of a server on a free port; ended when the block ends."""
    process = subprocess.Popen(command(base, pages, "--port", "0", *more), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        line = process.stdout.readline()
        assert "http://" in line, process.stderr.read()
        yield process, next(word for word in line.split() if word.startswith("http://"))
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
