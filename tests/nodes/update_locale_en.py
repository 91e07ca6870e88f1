"""Writes locales/en/nodeDefs.json from the schemas: `python tests/nodes/update_locale_en.py` (the test says when it is due)."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def english(infos: dict[str, Any]) -> dict[str, Any]:
    """The English texts of `/object_info` in the layout of a nodeDefs.json."""
    return {name: _entry(info) for name, info in sorted(infos.items())}


def _entry(info: dict[str, Any]) -> dict[str, Any]:
    inputs = {**info["input"].get("required", {}), **info["input"].get("optional", {})}
    return {
        "display_name": info["display_name"],
        "description": info["description"],
        "inputs": {name: {"name": name.replace("_", " "), "tooltip": spec[1]["tooltip"]} for name, spec in inputs.items()},
        "outputs": {str(i): {"name": name, "tooltip": tip}
                    for i, (name, tip) in enumerate(zip(info["output_name"], info["output_tooltips"]))},
    }


def main() -> None:
    from pack import object_info

    text = json.dumps(english(object_info()), indent=2, ensure_ascii=False) + "\n"
    (ROOT / "locales" / "en" / "nodeDefs.json").write_text(text, "utf8")


if __name__ == "__main__":
    main()
