"""What Ray runs on this machine."""
from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

WORKERS = 4  # that there is room for


def processes() -> list[int]:
    """Workers of Ray that this process has started."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            named = (folder / "cmdline").read_bytes().startswith(b"ray::_Remote")
            if named and _descends(int(folder.name), os.getpid()):
                found.append(int(folder.name))
        except OSError:
            continue  # it has just ended
    return found


def _descends(process: int, ancestor: int) -> bool:
    while process > 1:
        if process == ancestor:
            return True
        process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    return False


@contextmanager
def one_is_killed(when: Callable[[], object]) -> Iterator[list[int]]:
    """Kills one of Ray's workers as soon as `when` finds something, at the latest after a minute; gives the killed one's number,
    once the block has ended."""
    killed: list[int] = []

    def kill() -> None:
        until = time.monotonic() + 60
        while not when() and time.monotonic() < until:
            time.sleep(0.02)
        for one in processes()[:1]:
            os.kill(one, signal.SIGKILL)
            killed.append(one)

    killer = threading.Thread(target=kill)
    killer.start()
    yield killed
    killer.join()
