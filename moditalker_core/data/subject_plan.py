"""What a motion dataset of the synthetic subject is made of: who says how much with which voice."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...media_core.audio import FPS, frame_count
from ...media_core.errors import TalkingHeadsError
from .images import PictureSettings
from .portraits import PhotoFile

VERSION = 2  # 1: other lip rules
FIRST_IDENTITY = 1000
VOICES = tuple(f"en-us+{name}" for name in ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "f1", "f2", "f4", "f5", "m8"))
NOBODY = "nobody"  # the voice of clips in which nobody speaks
_ROUND = 1e-9  # so that fractions like 0.1 add up to whole clips


@dataclass(frozen=True)
class SubjectPlan:
    """Who says how much with which voice. Clip i is identity i (again from the first when they are used up) with voice i."""

    identities: tuple[int, ...] = tuple(range(FIRST_IDENTITY, FIRST_IDENTITY + 24))
    voices: tuple[str, ...] = VOICES   # names as media_core.subject.voices reads them; the formant engine has one voice only
    clips: int | None = None           # how many; None: one for each identity
    seconds: float = 75.0              # of each performance
    take: float | None = None          # s of each performance that are kept, the first ones; None: all
    seed: int = 0                      # clip i is performed from seed + i
    val: int | None = None             # clips, the last ones, to validate on; None: two, or fewer of fewer than three
    captured: bool = False             # rendered and tracked instead of exact
    size: int = 256                    # px of the rendered video
    engine: str = "auto"               # "espeak", "formant" or "auto", as for `perform`
    fps: float = FPS                   # frames per second
    pictures: PictureSettings | None = None  # images for MToV; None: motion only
    portraits: tuple[PhotoFile, ...] = ()  # whose faces instead of the astronaut's: first as they are, then invented from them
    warps: int = 0                     # with portraits: so many of the last identities are the astronaut's all the same
    nobody: float = 0.0                # fraction of the clips in which nobody speaks: noise, hum, music, breath, mouth at rest
    damage: float = 0.0                # fraction of the speech that is heard through a bad microphone, a room, a telephone

    def __post_init__(self) -> None:
        if not self.identities or not self.voices or min(self.identities) < 0:
            raise TalkingHeadsError("A plan needs at least one identity (0 or more) and one voice",
                                    f"{self.identities}, {self.voices}", "Give for instance identity 1000 and voice en-us+m1")
        if self.count < 1 or not 0 <= self.held_out < self.count:
            raise TalkingHeadsError(f"Of {self.count} clips, 0 to {self.count - 1} can be kept for validation", f"{self.val}",
                                    "Take fewer, or make more clips")
        if not (0 <= self.nobody < 1 and 0 <= self.damage <= 1):
            raise TalkingHeadsError("Of the clips, 0 up to less than 1 can be without a voice, and of the speech 0 to 1 damaged",
                                    f"{self.nobody} and {self.damage}", "Give for instance 0.07 and 0.25")
        if not 0 <= self.warps <= len(self.identities):
            raise TalkingHeadsError(f"Of {len(self.identities)} identities, 0 to all can be warps of the subject's portrait",
                                    f"{self.warps}", "Take fewer, or name more identities")
        if self.take is not None and not 1 / self.fps <= self.take <= self.seconds:
            raise TalkingHeadsError(f"What is kept of a performance must lie within its {self.seconds:g} s", f"{self.take} s",
                                    "Take less, or let them speak longer")

    @property
    def count(self) -> int:
        return len(self.identities) if self.clips is None else self.clips

    @property
    def held_out(self) -> int:
        """How many clips are for validation."""
        return min(2, self.count - 1) if self.val is None else self.val

    @property
    def tracker(self) -> str:
        """What measures the landmarks."""
        return tracker_for(bool(self.portraits)) if self.captured else "exact"

    @property
    def frames(self) -> int:
        """Of one clip."""
        return frame_count(self.take or self.seconds, self.fps)

    @property
    def work(self) -> int:
        """Frames to go through for one clip: tracking and drawing go through all of them."""
        return self.frames * max(1, self.captured + (self.pictures is not None))

    def silent(self, i: int) -> bool:
        """Whether nobody speaks in clip i. Such clips are spread evenly, and none is among those for validation."""
        return i < self.count - self.held_out and int((i + 1) * self.nobody + _ROUND) > int(i * self.nobody + _ROUND)

    def voice(self, i: int) -> str:
        """Who speaks in clip i."""
        if self.silent(i):
            return NOBODY
        speaking = i - int(min(i, self.count - self.held_out) * self.nobody + _ROUND)  # clips with a voice before this one
        return self.voices[speaking % len(self.voices)] if self.engine == "espeak" else "formant"

    def face(self, i: int) -> tuple[int | None, PhotoFile | None]:
        """Identity and photo of clip i. The first people of photos are those of the photos, later ones are invented from them."""
        k = i % len(self.identities)
        pictured = self.portraits and k < len(self.identities) - self.warps
        photo = self.portraits[k % len(self.portraits)] if pictured else None
        return (None if photo is not None and k < len(self.portraits) else self.identities[k]), photo

    def made_from(self, i: int) -> dict[str, Any]:
        """All that clip i depends on, as JSON holds it."""
        pictured: dict[str, Any] = {"pictures": self.pictures.to_dict()} if self.pictures else {}
        identity, photo = self.face(i)
        if photo is not None:
            pictured["portrait"] = photo.described
        own = {name: getattr(self, name) for name in ("seconds", "take", "captured", "size", "engine", "fps")}
        voice = self.voice(i)
        if self.damage and voice != NOBODY:
            pictured["damage"] = self.damage
        return {"kind": "subject", "version": VERSION, **own, "identity": identity, "voice": voice, "seed": self.seed + i,
                **pictured}


def tracker_for(photos: bool) -> str:
    """Which tracker knows such faces: of photos, or invented from the astronaut."""
    return "people" if photos else "rendered"
