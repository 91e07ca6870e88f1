"""What speech an avatar listens to: the encoder, its layer, and the shape of its features. Any encoder will do, but always the
same one in training and in driving."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..media_core.errors import TalkingHeadsError
from ..media_core.schema import many, real, record, text, whole
from ..media_core.speech import LAST, Speech, SpeechEncoder, known_facts

WIDEST = 1 << 14  # numbers per row
_RATE_SLACK = 1e-6  # Hz
_ANOTHER_MODEL = 0.6  # of the longer row: one model in bf16 and fp32 is 0.01 apart, two of random weights 1.4
MOST_EARLIER = 64  # rows
SPEECH = record({"layer": text(20), "rate": real(1, 10_000), "silence": many(real(-1e30, 1e30), most=WIDEST)},
                {"earlier": whole(0, MOST_EARLIER)})  # in avatar files


@dataclass(frozen=True)
class SpeechFormat:
    """The encoder of some features, and how they look."""

    encoder: str  # id
    dim: int  # C, numbers per row
    layer: str = LAST
    rate: float | None = None  # Hz, rows per second; None: an avatar file of before, which does not say
    silence: Tensor | None = None  # float32 [C], the features of silence; None: likewise
    earlier: int = 0  # rows by which a frame's window begins before ours, in the program that made the weights

    @classmethod
    def of(cls, speech: Speech) -> SpeechFormat:
        """That of some speech."""
        return cls(encoder=speech.encoder, dim=speech.features.shape[1], layer=speech.layer, rate=speech.rate,
                   silence=speech.silence_row())

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> SpeechFormat:
        """That of an avatar's config."""
        told = config.get("speech") or {}
        silence = torch.tensor(told["silence"], dtype=torch.float32) if "silence" in told else None
        return cls(encoder=config["encoder"], dim=config["audio"]["audio_dim"], layer=told.get("layer", LAST),
                   rate=told.get("rate"), silence=silence, earlier=told.get("earlier", 0))

    def to_config(self) -> dict[str, Any]:
        """Entries of an avatar's config, which `from_config` reads."""
        if self.rate is None or self.silence is None:
            return {"encoder": self.encoder}
        told = {"layer": self.layer, "rate": self.rate, "silence": self.silence.tolist()}
        return {"encoder": self.encoder, "speech": told | ({"earlier": self.earlier} if self.earlier else {})}

    @property
    def spectral(self) -> bool:
        """Whether the numbers of a row are frequency bands in order."""
        known = known_facts(self.encoder)
        return known is not None and known.spectral

    def __str__(self) -> str:
        rate = "" if self.rate is None else f", {self.rate:g} Hz"
        return f"'{self.encoder}', layer {self.layer} ({self.dim} numbers per row{rate})"

    def checked(self, speech: Speech) -> Speech:
        """`speech`, with the features of silence where its encoder's are known only to the avatar.

        Raises:
            TalkingHeadsError: it comes from another encoder, model or layer, has another shape, or is not finite.
        """
        self._refuse_others(SpeechFormat.of(speech))
        if not bool(torch.isfinite(speech.features).all()):
            raise TalkingHeadsError("Speech features must be finite", "NaN or infinity among them", "Encode the audio again")
        if speech.silence_features is None:
            return self._placed(replace(speech, silence_features=self.silence))
        if not self.same_model(speech.silence_features):
            raise TalkingHeadsError(f"This avatar understands the model called '{self.encoder}' that it was trained with",
                                    "another model of that name, which encodes silence otherwise",
                                    "Choose the model folder that the avatar was trained with")
        return self._placed(speech)

    def _placed(self, speech: Speech) -> Speech:
        """The same speech, its rows where `frame_windows` finds the windows that the weights learnt from."""
        if not self.earlier:
            return speech
        before = speech.silence_row().expand(min(self.earlier, len(speech.features)), -1)
        return replace(speech, features=torch.cat([before, speech.features])[:len(speech.features)])

    def check_encoder(self, encoder: SpeechEncoder) -> None:
        """What `checked` refuses, before anything is encoded.

        Raises:
            TalkingHeadsError: the avatar was trained with another encoder or layer.
        """
        facts = encoder.facts
        self._refuse_others(SpeechFormat(encoder=facts.id, dim=facts.dim, layer=encoder.layer, rate=facts.rate))

    def _refuse_others(self, came: SpeechFormat) -> None:
        same = (came.encoder, came.layer, came.dim) == (self.encoder, self.layer, self.dim)
        if not same or (self.rate is not None and came.rate is not None and abs(came.rate - self.rate) > _RATE_SLACK):
            raise TalkingHeadsError(f"This avatar understands speech encoded by {self}", f"{came}",
                                    f"Encode the audio with '{self.encoder}', layer {self.layer} (in Encode Speech, or with "
                                    "--encoder and --layer)")

    def same_model(self, silence: Tensor | None) -> bool:  # float32 [C]
        """Whether these features of silence can come from the same weights, in any precision; an id is but a folder's name."""
        if self.silence is None or silence is None:
            return True
        longer = torch.stack([silence.norm(), self.silence.norm()]).max().clamp_min(1e-6)
        return float((silence - self.silence).norm() / longer) < _ANOTHER_MODEL
