"""Writes what the page opens, from workflows/api/*.json: `python tests/make_workflows.py`.

workflows/<title>.json and, where a workflow has a form, <title>.app.json; subgraphs/*.json. What they are called and how they
are laid out stands in tests/pages/.
"""
from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pack import ROOT, temporary_host
from pages.apps import app_form
from pages.blueprints import BLUEPRINTS, blueprint_file
from pages.catalogue import BY_NAME, PAGES
from pages.page_form import page_form
from pages.sizes import PREVIEWS

__all__ = ["NOTES", "PREVIEWS", "files"]
NOTES = {page.name: page.note for page in PAGES}


def files(info: Mapping[str, Any]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every generated file and what it must hold."""
    for path in sorted((ROOT / "workflows" / "api").glob("*.json")):
        page, prompt = BY_NAME[path.stem], json.loads(path.read_text("utf8"))
        yield ROOT / "workflows" / f"{page.title}.json", page_form(prompt, info, page.note, page.plan)
        if page.app:
            made = page_form(prompt, info, page.note, page.plan)
            yield ROOT / "workflows" / f"{page.title}.app.json", app_form(made, page.app, info)
    for one in BLUEPRINTS:
        prompt = json.loads((ROOT / "workflows" / "api" / f"{one.workflow}.json").read_text("utf8"))
        yield ROOT / "subgraphs" / f"{one.title}.json", blueprint_file(one, prompt, info)


def main() -> None:
    for path, made in files(temporary_host().object_info()):
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", "utf8")
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
