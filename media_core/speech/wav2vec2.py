"""Features of wav2vec 2.0 from a model folder of Hugging Face: the network is built like HuBERT, so hubert.py runs it."""
from __future__ import annotations

from dataclasses import replace

from .encoder import FolderEncoder
from .hubert import FACTS as HUBERT
from .hubert import HubertEncoder

FACTS = replace(HUBERT, id="wav2vec2-base-960h", dim=768,
                description="wav2vec 2.0 base, fine-tuned on LibriSpeech, 768 numbers at 50 Hz; needs a model folder")
ENCODER = FolderEncoder(FACTS, HubertEncoder.load, model_type="wav2vec2")
