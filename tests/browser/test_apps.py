"""Each app (a workflow shown as a form), opened from the template browser and run once: is what it makes shown?"""
from __future__ import annotations

import json
import time

import pytest
from comfy_server import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.slow]

NAMES = sorted(path.stem for path in (ROOT / "workflows").glob("*.app.json"))


@pytest.mark.parametrize("name", NAMES, ids=[name.replace(" ", "_") for name in NAMES])
def test_app_runs_as_it_opens(page, name):
    file = json.loads((ROOT / "workflows" / f"{name}.json").read_text("utf8"))
    inputs, makes_video = file["extra"]["linearData"]["inputs"], any(node["type"] == "SaveVideo" for node in file["nodes"])
    page.open_template(name)
    assert not page.notices(within=3)
    labels = page.form_labels()
    assert len(labels) == len(inputs), f"the form shows {labels}, the file names {inputs}"
    begun = time.monotonic()
    page.run()
    entry = page.wait_done(900)
    shown = page.films_shown(entry) if makes_video else page.text_shown("Saved models/")
    print(f"{name}: {time.monotonic() - begun:.1f} s from Run to {shown}; {page.clicks} clicks; form: {', '.join(labels)}")
    assert not page.notices()
