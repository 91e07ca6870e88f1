"""ComfyUI's AUDIO_ENCODER_OUTPUT as `Speech` (docs/comfyui.md#core-types).

Core's node Audio Encoder Encode gives a dict: "encoded_audio" [1, T, C] (the last layer), "encoded_audio_all_layers" (a tuple of
such tensors, what enters the first layer first, the last layer last) and "audio_samples", the audio's length at 16 kHz. It does
not say which model made it; width and number of layers do:

| model                     | C    | layers | rows                                            |
|---------------------------|------|--------|-------------------------------------------------|
| wav2vec 2.0 base          | 768  | 12     | 50 Hz, (N - 80) // 320                          |
| wav2vec 2.0 large, HuBERT | 1024 | 24     | the same                                        |
| Whisper large v3          | 1280 | 32     | 50 Hz, always 1500: the first 30 s of the audio |

HuBERT large cannot be told from wav2vec 2.0 large: core runs its weights in the same network. Measured: when the names carry
no "hubert." in front, every key fits and the features agree to 1e-5 in fp32; with it core refuses the file. Who loaded HuBERT
there names it here.
"""
from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from ..audio import Sound
from ..errors import TalkingHeadsError
from .facts import LAST, SAMPLE_RATE
from .features import Speech
from .hearing import heard
from .hubert import layer_name, row_count
from .registry import CORE_ENCODERS, get_encoder
from .silence import ATTACK, RELEASE, silent_rows

LAYERS = {"wav2vec2-base": 12, "wav2vec2-large": 24, "hubert-large-ls960-ft": 24, "whisper-large-v3": 32}  # transformer layers
AUTO = "auto"  # the encoder is told by its size
_WHISPER = "whisper-large-v3"
_WHISPER_ROWS = 1500  # of 30 s, whatever the audio
_SLACK = 0.05  # s by which connected audio may differ from what was encoded
_REDO = "Connect the output of ComfyUI's Audio Encoder Encode"


def speech_from_audio_encoder(output: Mapping[str, Any], *, encoder: str = AUTO, layer: str | int = LAST,
                              sound: Sound | None = None) -> Speech:
    """Features of one recording as core's audio encoder gave them.

    Args:
        output: core's dict.
        encoder: id of the model that made it, one of `LAYERS`; "auto" tells it by its size and takes 1024 numbers for
            wav2vec 2.0 large.
        layer: "last", or 0 (what enters the first layer) .. the number of layers; negative from the end.
        sound: what was encoded. Without it the length is the encoder's word (to 1/16000 s) and no row counts as silent.
    Raises:
        TalkingHeadsError: not such a dict, several recordings, NaN, no such layer, another model than `encoder`, audio
            longer than Whisper's 30 s, or a `sound` of another length.
    """
    last, layers, samples = _parts(output)
    id = _known(last.shape[-1], len(layers), encoder)
    name, chosen = _layer(layer, last, layers)
    features = _finite(chosen)
    seconds = samples / SAMPLE_RATE
    if sound is not None and abs(sound.duration - seconds) > _SLACK:
        raise TalkingHeadsError("The connected audio must be what was encoded",
                                f"{sound.duration:.2f} s of audio, {seconds:.2f} s encoded",
                                "Connect the same audio to both nodes")
    features, quiet = _cut(features, id, samples)
    rate = get_encoder(id).rate
    silence = np.zeros(len(features), bool)
    if sound is not None:
        silence = silent_rows(heard(sound, get_encoder(id)), rate, len(features))
    duration = seconds if sound is None else sound.duration
    return Speech(features, rate=rate, encoder=id, duration=duration, silence=torch.from_numpy(silence), layer=name,
                  silence_features=quiet, room=(ATTACK, RELEASE))


def _parts(output: Any) -> tuple[torch.Tensor, tuple, int]:  # [1, T, C], layers, samples at 16 kHz
    """The dict's three entries, checked."""
    keys = ("encoded_audio", "encoded_audio_all_layers", "audio_samples")
    if not isinstance(output, Mapping) or any(key not in output for key in keys):
        came = f"keys {sorted(map(str, output))}" if isinstance(output, Mapping) else type(output).__name__
        raise TalkingHeadsError(f"An audio encoder's output must be a dictionary with {', '.join(keys)}", came, _REDO)
    last, layers, samples = (output[key] for key in keys)
    if not isinstance(last, torch.Tensor) or last.ndim != 3 or 0 in last.shape:
        came = str(list(last.shape)) if isinstance(last, torch.Tensor) else type(last).__name__
        raise TalkingHeadsError("encoded_audio must be a tensor [1, rows, numbers]", came, _REDO)
    if len(last) != 1:
        raise TalkingHeadsError("One recording must be encoded at a time", f"a batch of {len(last)}",
                                "Encode them one by one")
    if not isinstance(layers, (tuple, list)) or not all(isinstance(x, torch.Tensor) and x.shape == last.shape for x in layers):
        raise TalkingHeadsError(f"encoded_audio_all_layers must be tensors of the last one's shape {list(last.shape)}",
                                f"{type(layers).__name__}", _REDO)
    if isinstance(samples, bool) or not isinstance(samples, (int, np.integer)) or samples < 1:
        raise TalkingHeadsError("audio_samples must be the audio's length in samples, 1 or more", f"{samples!r}", _REDO)
    return last, tuple(layers), int(samples)


def _known(width: int, count: int, encoder: str) -> str:
    """The id of the model with rows of `width` numbers and `count` - 1 layers, or what the user says it is."""
    fitting = [id for id, layers in LAYERS.items() if (get_encoder(id).dim, layers + 1) == (width, count)]
    if encoder == AUTO and fitting:
        return next(entry.id for entry in CORE_ENCODERS if entry.id in fitting)
    if encoder in fitting:
        return encoder
    sizes = {id: f"{id}: {get_encoder(id).dim} numbers, {layers} layers" for id, layers in LAYERS.items()}
    came = f"{width} numbers, {count - 1} layers"
    if encoder in LAYERS:
        must = f"The audio encoder must be '{encoder}' as stated ({sizes[encoder]})"
    else:
        must = f"The audio encoder must be one of these ({'; '.join(sizes.values())})"
        came += "" if encoder == AUTO else f", said to be '{encoder}'"
    raise TalkingHeadsError(must, came, "Load another model in Load Audio Encoder, or state the one that is loaded")


def _layer(layer: str | int, last: torch.Tensor, layers: tuple) -> tuple[str, torch.Tensor]:
    """(name in files, [1, T, C]) of the chosen layer."""
    name = layer_name(layer, len(layers) - 1)
    return name, last if name == LAST else layers[int(name)]


def _finite(tensor: torch.Tensor) -> torch.Tensor:  # [1, T, C] -> float32 [T, C] on the CPU, a copy
    rows = tensor[0].detach().to("cpu", torch.float32, copy=True)
    bad = int((~torch.isfinite(rows)).sum())
    if bad:
        raise TalkingHeadsError("The encoded audio must be finite", f"{bad} of {rows.numel()} numbers are NaN or infinite",
                                "Start ComfyUI with --fp32-text-enc, or look for NaN in the audio")
    return rows


def _cut(rows: torch.Tensor, id: str, samples: int) -> tuple[torch.Tensor, torch.Tensor | None]:  # [T, C], [C]
    """The rows of the audio itself and, from Whisper's padding to 30 s, what silence looks like."""
    if id != _WHISPER:
        wanted = row_count(samples)
        if abs(len(rows) - wanted) > 1:
            raise TalkingHeadsError(f"{samples} samples must give {wanted} rows", f"{len(rows)}", _REDO)
        return rows, None
    wanted = math.ceil(samples * 50 / SAMPLE_RATE)
    if wanted > _WHISPER_ROWS or len(rows) != _WHISPER_ROWS:
        raise TalkingHeadsError("Whisper encodes 30 s at most, as 1500 rows", f"{samples / SAMPLE_RATE:.1f} s, {len(rows)} rows",
                                "Cut the audio into parts, or choose a wav2vec 2.0 model or HuBERT")
    return rows[:wanted].clone(), rows[(wanted + _WHISPER_ROWS) // 2].clone() if _WHISPER_ROWS - wanted >= 100 else None
