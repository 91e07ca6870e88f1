"""Tiny HuBERT models with random weights, saved as folders: same convolutions in time as the large one, everything else small."""
from __future__ import annotations

from pathlib import Path

import pytest


def hubert_config(**changes):
    """A config of the large model's build (layer norms as there), 32 numbers wide, two layers."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed: HuBERT was not tested")
    facts = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64, "conv_dim": (16,) * 7,
                 "feat_extract_norm": "layer", "conv_bias": True, "do_stable_layer_norm": True, "num_conv_pos_embeddings": 128,
                 "num_conv_pos_embedding_groups": 4}
    return transformers.HubertConfig(**facts | changes)


def save_hubert(folder: Path, *, attention: bool = True, head: bool = False, **changes) -> Path:
    """Saves such a model.

    Args:
        folder: made where absent.
        attention: False makes every layer's attention add nothing, so that rows see only what convolutions show them.
        head: with a head for letters, as the published model comes.
        changes: of the config.
    """
    config = hubert_config(**changes)
    import torch
    from transformers import HubertForCTC, HubertModel

    torch.manual_seed(0)
    model = (HubertForCTC if head else HubertModel)(config)
    for name, value in model.named_parameters():
        if name.endswith(".bias"):  # they begin at 0, with which silence would stay 0 through the whole network
            torch.nn.init.normal_(value, std=0.2)
    if not attention:
        for layer in model.encoder.layers:
            torch.nn.init.zeros_(layer.attention.out_proj.weight)
            torch.nn.init.zeros_(layer.attention.out_proj.bias)
    model.save_pretrained(folder)
    return folder


def save_wav2vec2(folder: Path, **changes) -> Path:
    """The same of wav2vec 2.0."""
    config = hubert_config(**changes).to_dict()
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    torch.manual_seed(1)
    known = {name: value for name, value in config.items() if name in Wav2Vec2Config().to_dict() and name != "model_type"}
    Wav2Vec2Model(Wav2Vec2Config(**known)).save_pretrained(folder)
    return folder
