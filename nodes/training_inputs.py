"""The inputs that every training node has."""
from __future__ import annotations

from comfy_api.latest import io

from .automatic import Automatic

BATCH = Automatic("batch", 1, 4096, whole=True, label="batch size")
MEMORY = Automatic("memory_gb", 0.5, 10_000, label="memory (GB)")


def run_inputs(name: str, items: str, least: float = 0.0001, name_tip: str = "Name of the file in models/talking_heads.") -> list:
    """How long, from which seed, to which file, and whether to resume.

    Args:
        name: the file's default name.
        items: what the dataset is made of, such as "clips".
        least: smallest multiplier of the preset's steps.
        name_tip: what the name is of.
    """
    return [
        io.Float.Input("steps", display_name="training length (×)", default=1.0, min=least, max=10.0, step=least,
                       round=least,
                       tooltip="Multiplies the preset's number of training steps: 0.1 for a quick look, 2 to train longer."),
        io.Int.Input("seed", default=0, min=0, max=0xFFFFFFFF,
                     tooltip=f"Determines the initial weights and the order of the {items}."),
        io.String.Input("name", display_name="file name", default=name,
                        tooltip=f"{name_tip} An existing finished file of that name is replaced when training ends."),
        io.Boolean.Input("resume", default=True,
                         tooltip="Continue an interrupted training run of that name with the same settings; off: start over."),
    ]


def batch_inputs(items: str, result: str = "same result") -> list:
    """How much is computed at once.

    Args:
        items: what a batch consists of, such as "Clips".
        result: what accumulation does to the result.
    """
    return [
        BATCH.input(f"{items} per step.", "the preset's value", advanced=True),
        io.Int.Input("accumulation", display_name="gradient accumulation", default=1, min=1, max=256, advanced=True,
                     tooltip=f"Split each step into this many micro-batches: less memory, {result}."),
    ]


def memory_input() -> io.Input:
    """How much memory may be taken."""
    return MEMORY.input("Memory of the GPU (of the computer, without one) that training may take: batches are split until they "
                        "fit, and the node says so before it starts if they cannot.", "22 GB, or what is free if that is less",
                        optional=True, advanced=True)


def licence_input(loader: str) -> io.Input:
    """What is stored with the weights; `loader` is the node that shows it."""
    return io.String.Input("licence", default="", advanced=True,
                           tooltip=f"What the weights may be used for: stored in the file and shown by {loader}.")
