"""Writes what is derived from the schemas: `python tests/update_golden.py`. Run it when a test says so; look at the difference.

tests/nodes/object_info.json   what is published: may only grow
locales/en/nodeDefs.json       the English labels
web/docs/*.md                  the tables of inputs and outputs on the help pages
"""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pack import ROOT, english, own_object_info, temporary_host, with_tables


def write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", "utf8")
    print(path.relative_to(ROOT))


def main() -> None:
    infos = own_object_info(temporary_host())
    write(ROOT / "tests" / "nodes" / "object_info.json", infos)
    texts = english(infos)
    write(ROOT / "locales" / "en" / "nodeDefs.json", texts)
    for name, entry in texts.items():
        page = ROOT / "web" / "docs" / f"{name}.md"
        page.write_text(with_tables(page.read_text("utf8"), entry, infos[name]), "utf8")


if __name__ == "__main__":
    main()
