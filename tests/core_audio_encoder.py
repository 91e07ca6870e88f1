"""What travels through ComfyUI's socket AUDIO_ENCODER, with invented features: a row says when it is, and how loud."""
from __future__ import annotations

import torch


class FakeAudioEncoder:
    """Answers as core's wav2vec 2.0 base does, or as Whisper: a row each 20 ms; of Whisper always 1500."""

    def __init__(self, width: int = 768, layers: int = 12, whisper: bool = False):
        self.width, self.layers, self.whisper = width, layers, whisper
        self.asked: list[int] = []  # samples of each pass

    def encode_audio(self, audio: torch.Tensor, sample_rate: int) -> dict:
        assert audio.ndim == 3 and audio.shape[:2] == (1, 1) and sample_rate == 16000
        samples = audio.shape[2]
        self.asked.append(samples)
        rows = 1500 if self.whisper else (samples - 80) // 320
        padded = torch.nn.functional.pad(audio[0, 0], (0, max(0, rows * 320 + 400 - samples)))
        loud = padded.unfold(0, 400, 320)[:rows].square().mean(1, keepdim=True)
        layers = tuple(loud * torch.linspace(1, 2, self.width) + k for k in range(self.layers + 1))
        return {"encoded_audio": layers[-1][None], "encoded_audio_all_layers": tuple(x[None] for x in layers),
                "audio_samples": samples}
