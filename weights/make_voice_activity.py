"""The command that made weights/voice_activity.safetensors from silero-vad's own model file, numbers untouched:

    pip download silero-vad==6.2.3 --no-deps
    python -m talking_heads.weights.make_voice_activity silero_vad-6.2.3-py3-none-any.whl

The model is a TorchScript archive: a zip with code, a pickle, and the numbers of each tensor as a plain record. Only the records
are read, in the order that this very file has (its checksum is compared first): nothing of it is run.
"""
from __future__ import annotations

import argparse
import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..media_core.speech.voice_activity import SHIPPED, VoiceNet, save_voice_net

VERSION = "6.2.3"
MODEL = "silero_vad/data/silero_vad.jit"
SHA256 = "e1122837f4154c511485fe0b9c64455f7b929c96fbb8d79fbdb336383ebd3720"
RECORDS = "VADr_v6_10_25_noths_re/data/{}"
FIRST = 2  # the number of the first record of the 16 kHz model; the others follow in this order
ORDER = ("stft.weight", *(f"convolutions.{i}.{part}" for i in range(4) for part in ("weight", "bias")), "memory.weight_ih_l0",
         "memory.weight_hh_l0", "memory.bias_ih_l0", "memory.bias_hh_l0", "out.weight", "out.bias")
LICENCE = "MIT, (c) 2020-present Silero Team: records renamed, numbers unchanged; see LICENSE-silero.txt"


def tensors(archive: bytes) -> dict[str, Tensor]:
    """The 16 kHz model's tensors by our names.

    Raises:
        RuntimeError: a record is of another size.
    """
    shapes = {name: value.shape for name, value in VoiceNet().state_dict().items()}
    with zipfile.ZipFile(io.BytesIO(archive)) as records:
        return {name: torch.from_numpy(np.frombuffer(records.read(RECORDS.format(FIRST + k)), "<f4").copy()).reshape(shapes[name])
                for k, name in enumerate(ORDER)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path, help=f"silero_vad-{VERSION}-*.whl")
    parser.add_argument("--out", type=Path, default=SHIPPED)
    args = parser.parse_args()
    with zipfile.ZipFile(args.wheel) as wheel:
        archive = wheel.read(MODEL)
    if hashlib.sha256(archive).hexdigest() != SHA256:
        raise SystemExit(f"{MODEL} in {args.wheel.name} is another one than that of silero-vad {VERSION}")
    net = VoiceNet()
    net.load_state_dict(tensors(archive))
    save_voice_net(net, args.out, {"licence": LICENCE, "package": f"silero-vad {VERSION} (PyPI)",
                                   "source": {"file": MODEL, "sha256": SHA256}})
    print(f"{args.out}: {sum(p.numel() for p in net.parameters())} numbers, {args.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
