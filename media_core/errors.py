"""The pack's errors: every message says what must hold, what came, and what to do."""
from __future__ import annotations


class TalkingHeadsError(ValueError):
    """An error a user can act on.

    Args:
        must: what has to hold, a full clause ("The speech must last at least 0.04 s").
        came: what was given instead ("it lasts 0.00 s").
        do: the way out ("Check the Load Audio node's file").
    """

    def __init__(self, must: str, came: str, do: str):
        self.must, self.came, self.do = must, came, do
        super().__init__(f"{must.rstrip('.')}. Got: {came.rstrip('.')}. {do.rstrip('.')}.")

    def __reduce__(self):
        return type(self), (self.must, self.came, self.do)


class FileFormatError(TalkingHeadsError):
    """A file is missing, short, foreign, or newer than this version reads."""


class Cancelled(Exception):
    """The user stopped a long job; everything already finished stays valid. Not an error: never caught with errors."""
