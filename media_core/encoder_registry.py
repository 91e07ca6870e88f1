"""The registry of speech encoders: the names that menus and `--encoder` offer.

Adding an encoder takes a file in speech/ and its name here (docs/adding.md). This module imports nothing, since node menus and
`--help` read it.
"""
from __future__ import annotations

ENCODERS = ("mel", "hubert", "ave", "wav2vec2")  # modules of media_core/speech that define ENCODER, in menu order
