"""Features of HuBERT (docs/moditalker.md#speech-features), and of wav2vec 2.0, which is built alike, from a folder on this
machine, run by the transformers library.

The folder holds a model as Hugging Face publishes it: config.json, *.safetensors and, if it came with one,
preprocessor_config.json. Nothing is fetched and no pickle is read.

Long audio is encoded in chunks of 1000 rows (20 s), so that memory does not grow with its length. Published features come from
chunks that end where they end; there the network's position convolution (64 rows to either side) sees zeros instead of speech,
and rows near a border differ from those of one pass by most of a standard deviation. By default each chunk is therefore given
128 rows (2.56 s) of what stands before and behind it, whose own features are thrown away: what convolutions compute is then
exactly that of one pass, and only attention, which reaches everywhere, sees 25 s instead of the whole. `context=0` is the
published rule. The two agree on audio up to 20 s, which one chunk holds.
"""
from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..audio import Sound, fitted
from ..errors import FileFormatError, TalkingHeadsError, out_of_memory
from ..files import UNREADABLE
from ..json_files import read_json_object
from ..paths import is_temporary
from ..progress import Report, silent
from ..schema import WIDEST, described, flag, many, optional, real, record, text, whole
from .encoder import FolderEncoder, LayerError, encoded
from .facts import LAST, SAMPLE_RATE, EncoderFacts, known_facts
from .features import Speech

FIELD = 400  # samples a row depends on, before the transformer
STRIDE = 320  # samples from row to row
ROWS = 1000  # rows of a chunk
CONTEXT = 128  # rows of neighbouring audio a chunk is given on each side; 0: the published rule
_SILENCE = 4.0  # s of digital silence encoded to learn what it looks like; its middle does not see its ends
_UNUSED = ("masked_spec_embed",)  # weights that only pre-training reads
_WIDTH, _LAYERS = whole(1, WIDEST), whole(1, 256)
_SHARE = real(0, 1)
_CONFIG = record({}, {  # what decides how large a model is and how it is built; the rest is only for training
    "hidden_size": _WIDTH, "num_hidden_layers": _LAYERS, "num_attention_heads": _WIDTH, "intermediate_size": _WIDTH,
    "conv_dim": many(_WIDTH, most=64), "conv_stride": many(_WIDTH, most=64), "conv_kernel": many(_WIDTH, most=64),
    "num_conv_pos_embeddings": _WIDTH, "num_conv_pos_embedding_groups": _WIDTH, "num_feat_extract_layers": _LAYERS,
    "vocab_size": whole(1, 10 ** 7), "hidden_act": text(40), "feat_extract_activation": text(40), "feat_extract_norm": text(40),
    "layer_norm_eps": real(0, 1), "conv_bias": flag(), "do_stable_layer_norm": flag(), "feat_proj_layer_norm": flag(),
    "conv_pos_batch_norm": flag(), "hidden_dropout": _SHARE, "attention_dropout": _SHARE, "activation_dropout": _SHARE,
    "feat_proj_dropout": _SHARE, "layerdrop": _SHARE, "architectures": optional(many(text(200), most=16)),
    "_name_or_path": optional(text())}, others=True)
_CLASSES = {"hubert": "HubertModel", "wav2vec2": "Wav2Vec2Model"}  # kind -> in transformers
_FIT = ("hubert", 1024, 24)  # kind, width and layers of the large model

FACTS = EncoderFacts(id="hubert-large-ls960-ft", dim=1024, rate=SAMPLE_RATE / STRIDE, window=2, silence=None, channels="first",
                     delay=FIELD / 2 / SAMPLE_RATE,
                     description="HuBERT large, fine-tuned on LibriSpeech, 1024 numbers at 50 Hz; needs a model folder")


def row_count(samples: int) -> int:
    """Rows of audio: (N - 80) // 320, at least 1. The published chunks give this number for every N >= 400."""
    return max(1, (samples - FIELD + STRIDE) // STRIDE)


def chunks(rows: int, size: int = ROWS, context: int = CONTEXT) -> list[tuple[int, int, int, int]]:
    """(first, last, begin, end) of each chunk: rows first..last are kept of those computed, begin..end."""
    return [(first, min(first + size, rows), max(0, first - context), min(first + size + context, rows))
            for first in range(0, rows, size)]


@dataclass(frozen=True, eq=False)
class HubertEncoder:
    """A HuBERT or wav2vec 2.0 model ready to encode; made by `load`. Changed copies by dataclasses.replace (rows, context)."""

    model: Any  # of transformers, without the layers above `layer`
    facts: EncoderFacts  # id, width, rate
    layer: str = LAST  # whose output the features are
    normalise: bool = True  # the audio is brought to mean 0 and variance 1 first, as a whole
    rows: int = ROWS  # kept of each chunk; changes memory
    context: int = CONTEXT  # rows beside each chunk that are computed and thrown away; 0: the published rule

    @classmethod
    def load(cls, folder: str | os.PathLike, device: str | torch.device = "cpu", layer: str | int = LAST,
             dtype: torch.dtype = torch.float32) -> HubertEncoder:
        """Reads a model folder.

        The encoder's id is "hubert-large-ls960-ft" where the folder's name or config.json says that it holds that model, else
        the folder's own name: features of different models must not be taken for each other.

        Args:
            folder: with config.json and *.safetensors of a HuBERT or wav2vec 2.0 model of any size.
            device: where it runs.
            layer: "last" (the model's output), or 0 (what enters the first layer) .. the number of layers; negative from the end.
            dtype: of weights and computation; the features are float32 always.
        Raises:
            FileFormatError: no such folder, another kind of model, weights that are absent, pickled, truncated or incomplete.
            TalkingHeadsError: transformers is not installed, or no such layer.
        """
        folder = Path(folder)
        config = _config(folder)
        name = layer_name(layer, config["num_hidden_layers"])
        model = _model(folder, config)
        if name != LAST:
            _cut(model, int(name))
        id = encoder_id(folder, config)
        facts = replace(FACTS, id=id, dim=config["hidden_size"],
                        description=FACTS.description if id == FACTS.id else f"{config['model_type']} model '{id}'")
        return cls(model.to(device, dtype).eval().requires_grad_(False), facts, name, _normalised(folder))

    def encode(self, sound: Sound, report: Report = silent) -> Speech:
        """See `SpeechEncoder.encode`."""
        return encoded(self, self.features, sound, report)

    def features(self, mono: np.ndarray, report: Report = silent) -> np.ndarray:  # [N] -> [T, C]
        """The rows of features, T = (N - 80) // 320 (at least 1: audio under 400 samples is followed by silence).

        Args:
            mono: float32 at 16 kHz, N >= 1.
            report: called after each chunk with rows done and in all; may cancel.
        Raises:
            TalkingHeadsError: the model gives NaN or infinity.
        """
        total = row_count(mono.size)
        mean, scale = (mono.mean(), np.sqrt(mono.var() + np.float32(1e-7))) if self.normalise else (0.0, 1.0)
        wave = fitted(mono, max(FIELD, mono.size))
        out = np.empty((total, self.facts.dim), np.float32)
        for first, last, begin, end in chunks(total, self.rows, self.context):
            stop = wave.size if end == total else (end - 1) * STRIDE + FIELD
            piece = ((wave[begin * STRIDE:stop] - mean) / scale).astype(np.float32)
            if end == total:  # digital silence behind very short audio is 0 for the network too
                piece[max(0, mono.size - begin * STRIDE):] = 0
            out[first:last] = self._rows(piece)[first - begin:last - begin]
            report(last, total, {}, None)
        return out

    @torch.inference_mode()
    def _rows(self, piece: np.ndarray) -> np.ndarray:  # [n] -> [(n - 80) // 320, C]
        """One pass of the network."""
        weight = next(self.model.parameters())
        samples = torch.from_numpy(piece)[None].to(weight.device, weight.dtype)
        hidden = self.model(samples).last_hidden_state[0].float()
        if not bool(torch.isfinite(hidden).all()):
            raise TalkingHeadsError("HuBERT must give finite features",
                                    f"NaN or infinity from '{self.facts.id}' in {weight.dtype}",
                                    "Choose fp32; if that fails too, copy the model folder again")
        return hidden.cpu().numpy()

    @property
    def silence_features(self) -> torch.Tensor:  # float32 [C]
        """What the model makes of digital silence: the middle row of four seconds of it."""
        return self._silence_features

    @cached_property
    def _silence_features(self) -> torch.Tensor:
        rows = self.features(np.zeros(round(_SILENCE * SAMPLE_RATE), np.float32))
        return torch.from_numpy(rows[len(rows) // 2].copy())


def encoder_id(folder: Path, config: Mapping[str, Any]) -> str:
    """What the features of this folder's model are called in files."""
    size = (config["model_type"], config["hidden_size"], config["num_hidden_layers"])
    # Of the large models only the fine-tuned ones carry a head for letters; ls960-ft is the one with English letters.
    fine_tuned = "HubertForCTC" in (config.get("architectures") or ()) and config.get("vocab_size") == 32
    named = any(FACTS.id in str(name) for name in (folder.absolute().name, config.get("_name_or_path")))
    if size == _FIT and (fine_tuned or named):
        return FACTS.id
    id = re.sub(r"[^a-z0-9._-]+", "-", folder.absolute().name.lower()).strip("-") or "hubert"
    # ComfyUI's wav2vec 2.0, whose ids are known, normalises the audio in another way.
    return f"{id}-folder" if config["model_type"] != _FIT[0] and known_facts(id) else id


def _config(folder: Path) -> dict[str, Any]:
    """The folder's config.json, checked."""
    if not folder.is_dir():
        raise FileFormatError("The HuBERT model must be a folder", f"no folder at {folder}",
                              "Check the path; the folder holds config.json and model.safetensors")
    path = folder / "config.json"
    if not path.is_file():
        raise FileFormatError("The HuBERT folder must hold config.json", f"{folder.name} has none",
                              "Copy all files of the model, not only its weights")
    config = read_json_object(path, do="Copy the file again")
    kind = config.get("model_type")
    if kind not in _CLASSES or config.get("add_adapter"):
        more = " with an adapter, which changes its rate" if kind in _CLASSES else ""
        raise FileFormatError("The folder must hold a HuBERT model or a plain wav2vec 2.0",
                              f"{folder.name} holds one of kind '{kind}'{more}",
                              "Choose another folder; Whisper comes in through ComfyUI's Load Audio Encoder")
    described(config, _CONFIG, f"{folder.name}/config.json", "Copy the file again, or choose another model")
    sizes = [config.setdefault(name, default) for name, default in (("hidden_size", 768), ("num_hidden_layers", 12))]
    steps, widths = config.get("conv_stride", [5, 2, 2, 2, 2, 2, 2]), config.get("conv_kernel", [10, 3, 3, 3, 3, 2, 2])
    if any(type(size) is not int or size < 1 for size in sizes) or _reach(widths, steps) != (FIELD, STRIDE):
        raise FileFormatError(f"A HuBERT model's rows must stand {STRIDE} samples apart and see {FIELD} each",
                              f"{folder.name}: sizes {sizes}, kernels {widths}, strides {steps}", "Choose another model")
    return config


def _reach(kernels: list[int], strides: list[int]) -> tuple[int, int]:
    """(samples a row sees, samples between rows) of a stack of convolutions."""
    field, step = 1, 1
    for kernel, stride in zip(kernels, strides):
        field, step = field + (kernel - 1) * step, step * stride
    return field, step


def _normalised(folder: Path) -> bool:
    """Whether the model wants audio of mean 0 and variance 1; it does unless its preprocessor_config.json says no."""
    facts = read_json_object(folder / "preprocessor_config.json", absent={}, do="Copy the file again")
    rate = facts.get("sampling_rate", SAMPLE_RATE)
    if rate != SAMPLE_RATE:
        raise FileFormatError(f"The HuBERT model must read audio of {SAMPLE_RATE} Hz", f"{folder.name} wants {rate}",
                              "Choose another model")
    return bool(facts.get("do_normalize", True))


def layer_name(layer: str | int, count: int) -> str:
    """A layer as it is written into files: "last" or "0" .. str(count - 1); the highest number is the last."""
    text = str(layer)
    number = count if text == LAST else int(text) if re.fullmatch(r"-?\d+", text) else None
    if number is not None and number < 0:
        number += count + 1
    if number is None or not 0 <= number <= count:
        raise LayerError(f"The layer must be '{LAST}' or a number from 0 to {count} (or -1 to {-count - 1} from the end)",
                         f"{layer!r}", f"Choose '{LAST}' unless the model that listens wants another")
    return LAST if number == count else str(number)


def _weight_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.safetensors") if not is_temporary(path.name))


def _model(folder: Path, config: Mapping[str, Any]) -> Any:
    """The model of transformers with the folder's weights, all of them."""
    if not _weight_files(folder):
        pickles = sorted(path.name for path in folder.glob("*.bin"))
        came = f"{folder.name} holds {', '.join(pickles)}, a pickle" if pickles else f"{folder.name} holds no weights"
        raise FileFormatError("The HuBERT folder must hold its weights as safetensors", came,
                              f"Get model.safetensors, or convert once in Python: transformers.{_CLASSES[config['model_type']]}"
                              ".from_pretrained(folder).save_pretrained(other_folder)")
    try:
        import transformers
    except ImportError as error:
        raise TalkingHeadsError("HuBERT needs the library transformers", f"it does not import ({error})",
                                "ComfyUI brings it; elsewhere: pip install transformers") from error
    _check_weights(folder, config)
    try:
        kind = getattr(transformers, _CLASSES[config["model_type"]])
        loaded: Any = kind.from_pretrained(folder, local_files_only=True, use_safetensors=True, output_loading_info=True)
        model, about = loaded  # annotated as the model alone, which it is without output_loading_info
    except Exception as error:  # whatever transformers meets in a foreign config: each of its versions has classes of its own
        if out_of_memory(error):
            raise
        raise FileFormatError("The HuBERT folder must hold a whole model", f"{folder.name} cannot be read ({error})",
                              "It may be truncated, or config.json belongs to another model: copy the folder again") from error
    missing = sorted(name for name in about["missing_keys"] if name not in _UNUSED)
    if missing:
        raise FileFormatError("The HuBERT folder must hold all weights of its model",
                              f"{folder.name} lacks {len(missing)}, the first {missing[0]}", "Copy the folder again")
    return model


def _check_weights(folder: Path, config: Mapping[str, Any]) -> None:
    """The files must hold as many numbers as the config's layers ask for, before any memory is taken for them.

    Raises:
        FileFormatError: they hold fewer, or cannot be read.
    """
    from safetensors import safe_open

    width, inner = config["hidden_size"], config.get("intermediate_size", 3072)
    asked, held = config["num_hidden_layers"] * (4 * width * width + 2 * width * inner), 0
    try:
        for path in _weight_files(folder):
            with safe_open(path, framework="np") as file:
                held += sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())
    except UNREADABLE as error:
        raise FileFormatError("The HuBERT folder must hold a whole model", f"{folder.name} cannot be read ({error})",
                              "It may be truncated: copy the folder again") from error
    if asked > held:
        raise FileFormatError("The HuBERT folder must hold all weights of its model",
                              f"{folder.name}/config.json asks for {asked} numbers or more, its files hold {held}",
                              "It may be truncated, or config.json belongs to another model: copy the folder again")


def _cut(model: Any, layer: int) -> None:
    """Takes away what stands above layer `layer` (0: all layers), so that the model's output is that layer's."""
    from torch.nn import Identity

    model.encoder.layers = model.encoder.layers[:layer]
    if model.config.do_stable_layer_norm:  # that normalisation is the last layer's alone; otherwise it comes before the first
        model.encoder.layer_norm = Identity()


ENCODER = FolderEncoder(FACTS, HubertEncoder.load, model_type="hubert")
