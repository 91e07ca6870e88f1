"""The pack as ComfyUI loads it, through the small host: for tests and for the scripts beside them."""
from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

from talking_heads.host.graph import Host

ROOT = Path(__file__).resolve().parents[1]
FOUND_FILES = (("HMTalker_LoadAvatar", "avatar_name"), ("MoDiTalker_LoadAToM", "atom_name"),
               ("MoDiTalker_LoadMToV", "mtov_name"), ("TalkingHead_LoadAudioBatch", "folder"))  # depends on the machine
OUTPUT_LABELS = {"sound": "audio", "atom": "AToM", "mtov": "MToV"}  # output names are forever: what the page shows instead
_TABLES = re.compile(r"## Inputs\n.*", re.DOTALL)  # of a help page, to its end


def make_host(base: Path, **folders: Any) -> Host:
    """A host with its models/, input/, output/, temp/ below `base`; the pack's demo files stand in input/."""
    for name in ("models", "input", "output", "temp"):
        (base / name).mkdir(parents=True, exist_ok=True)
    return Host(str(base), packs=(str(ROOT),), **folders)


def own_object_info(host: Host) -> dict[str, Any]:
    """`/object_info` of the pack's nodes, with what depends on the machine (found files) left out."""
    infos = host.object_info(sorted(host.packs[0].nodes))
    for info in infos.values():
        del info["python_module"]  # it carries the name of the folder
    for node_id, name in FOUND_FILES:
        infos[node_id]["input"]["required"][name][1]["options"] = []
    return infos


def english(infos: dict[str, Any]) -> dict[str, Any]:
    """The English texts of `/object_info` in the layout of a nodeDefs.json."""
    return {name: _entry(info) for name, info in sorted(infos.items())}


def _entry(info: dict[str, Any]) -> dict[str, Any]:
    inputs = {**info["input"].get("required", {}), **info["input"].get("optional", {})}
    return {
        "display_name": info["display_name"],
        "description": info["description"],
        "inputs": {name: {"name": label(name, spec), "tooltip": spec[1]["tooltip"]} for name, spec in inputs.items()},
        "outputs": {str(i): {"name": OUTPUT_LABELS.get(name, name), "tooltip": tip}
                    for i, (name, tip) in enumerate(zip(info["output_name"], info["output_tooltips"]))},
    }


def label(name: str, spec: list[Any]) -> str:
    """What the page calls an input: its own label, else its name."""
    return spec[1].get("display_name") or name.replace("_", " ")


def with_tables(page: str, entry: dict[str, Any], info: dict[str, Any]) -> str:
    """A help page with the tables of inputs and outputs written from the node's English texts.

    Args:
        page: Markdown whose last sections are Inputs and Outputs.
        entry: the node's entry in nodeDefs.json; info: the same node in `/object_info`.
    """
    inputs = [_row(name, own["name"], own["tooltip"]) for name, own in entry["inputs"].items()]
    outputs = [_row(name, own["name"], own["tooltip"]) for name, own in zip(info["output_name"], entry["outputs"].values())]
    tables = [f"## {title}\n\n| {title[:-1].lower()} | meaning |\n|---|---|\n" + "\n".join(rows)
              for title, rows in (("Inputs", inputs), ("Outputs", outputs)) if rows]
    return _TABLES.sub(lambda found: "\n\n".join(tables) + "\n", page)


def _row(name: str, shown: str, tooltip: str) -> str:
    """Name and label, where the label is more than the name with blanks."""
    return f"| {f'`{name}`' if shown in (name, name.replace('_', ' ')) else f'{shown} (`{name}`)'} | {tooltip} |"


def temporary_host() -> Host:
    """A host in a new folder, for scripts."""
    return make_host(Path(tempfile.mkdtemp(prefix="talking_heads_")))
