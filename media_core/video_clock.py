"""When a video's frames are shown, whatever its time stamps say: time runs steadily from the first frame on."""
from __future__ import annotations

import logging
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import av
    from av.container import InputContainer

LONGEST_GAP = 60.0  # s without a new frame; a longer one is a broken time stamp (the audio's rule is the same)
_RESTART = 0.5      # s: stamps that go back further start over (recordings put together); less is an unsteady clock
_TOLD = 3           # joins that are logged

log = logging.getLogger(__name__)


class FilmClock:
    """Turns the frames' time stamps, in order, into seconds since the first frame.

    Where the stamps start over, or leap further than `LONGEST_GAP`, the next frame follows the one before by its usual time.

    Args:
        usual: s between two frames, until the video itself shows it.
        name: of the video, for the log; empty: nothing is logged.
    """

    def __init__(self, usual: float, name: str = ""):
        self.now = 0.0   # s since the first frame, of the last one given
        self._usual, self._name, self._joins = usual, name, 0
        self._stamp: float | None = None
        self._lasts = usual  # s that the last frame is shown, as far as is known

    @property
    def end(self) -> float:
        """When the last frame given is over, s."""
        return self.now + self._lasts

    def __call__(self, stamp: float | None, lasts: float | None = None) -> float:
        """The next frame's time.

        Args:
            stamp: s, its time stamp; None: it has none.
            lasts: s it is shown as the file says; None or 0: not said.
        """
        if self._stamp is None:
            self._stamp = 0.0 if stamp is None else stamp
        else:
            stamp = self._stamp + self._usual if stamp is None else stamp
            self.now += self._step(stamp - self._stamp)
            self._stamp = stamp
        self._lasts = lasts if lasts and 0 < lasts <= LONGEST_GAP else self._usual
        return self.now

    def _step(self, step: float) -> float:
        """Seconds from the last frame to one stamped `step` s later."""
        if step < -_RESTART or step > LONGEST_GAP:
            self._joins += 1
            if self._name and self._joins <= _TOLD:
                log.warning("%s: the time stamps jump by %+.2f s at %.2f s; the video continues without a gap", self._name, step,
                            self.now)
            return self._lasts
        if step > 0:
            self._usual = step
        return step


def usual_step(stream: av.VideoStream) -> float:
    """Seconds between two frames of a video stream, as its header says."""
    rate = stream.guessed_rate or stream.average_rate or stream.base_rate
    return 1 / float(rate) if rate else 0.04


def length_by_packets(container: InputContainer, stream: av.VideoStream) -> tuple[float, int]:
    """(s, frames) of a video, from the time stamps of its packets: nothing is decoded, all of the file is read."""
    clock, count = FilmClock(usual_step(stream)), 0
    for packet in container.demux(stream):
        if packet.size and not packet.is_discard:
            stamp = packet.pts if packet.dts is None else packet.dts
            base = stream.time_base or Fraction(0)
            clock(None if stamp is None or not base else float(stamp * base), float((packet.duration or 0) * base))
            count += 1
    return (clock.end if count else 0.0), count
