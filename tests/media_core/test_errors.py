"""The names under which the pack's errors are shown, and that they survive a way through another process."""
from __future__ import annotations

import copy
import pickle
import re
import sys
import traceback

import pytest
from pack import ROOT
from prompts import collector, failure, keep, node, own
from talking_heads.host.execute import full_type_name
from talking_heads.host.graph import InvalidPrompt
from talking_heads.host.load import PackError
from talking_heads.host.validate import Validation
from talking_heads.host.workflow import WorkflowError
from talking_heads.media_core.errors import Cancelled, FileFormatError, TalkingHeadsError
from talking_heads.media_core.schema import Unfit

PARTS = ("media_core", "training_core", "hmtalker_core", "moditalker_core", "nodes")
ERROR_CLASS = re.compile(r"^class \w+\(.*(Error|Exception)\b", re.MULTILINE)
SAID = ("The image must show a face", "none found", "Turn it upright")


class Reader:
    class Short(FileFormatError):
        """A class within another one."""


ERRORS = [Reader.Short(*SAID), TalkingHeadsError(*SAID), FileFormatError(*SAID), Cancelled("stopped"),
          Unfit("fps", "a number", "x"), WorkflowError("no such file"), PackError("no such pack"),
          InvalidPrompt(Validation(False, {"message": "refused"}, [], {}))]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_keeps_its_class_and_words_on_every_way(error):
    name = type(error).__qualname__
    assert type(error).__module__ == "builtins" and traceback.format_exception_only(error)[0].startswith(f"{name}: ")
    error.extra = 7
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(again) is type(error) and again.args == error.args and vars(again) == vars(error)
        assert again is not error


def test_families_are_as_they_were():
    assert issubclass(FileFormatError, TalkingHeadsError) and issubclass(TalkingHeadsError, ValueError)
    assert not issubclass(Cancelled, ValueError) and issubclass(InvalidPrompt, WorkflowError)
    assert str(TalkingHeadsError(*SAID)) == "The image must show a face. Got: none found. Turn it upright."


def test_every_exception_class_that_a_user_may_read_has_the_short_name(host):
    """Also those of a pack that was imported under a path, as ComfyUI does."""
    errors = own(host, "media_core.errors")
    assert errors.TalkingHeadsError is not TalkingHeadsError
    for name in ("TalkingHeadsError", "FileFormatError", "Cancelled"):
        assert full_type_name(getattr(errors, name)) == name
    again = pickle.loads(pickle.dumps(errors.TalkingHeadsError(*SAID)))
    assert type(again) is errors.TalkingHeadsError and again.do == SAID[2]
    for path in (path for part in PARTS for path in (ROOT / part).rglob("*.py") if ERROR_CLASS.search(path.read_text("utf8"))):
        own(host, ".".join(path.relative_to(ROOT).with_suffix("").parts))
    raised = [kind for name, module in list(sys.modules.items()) if name.startswith(host.packs[0].module.__name__)
              for kind in vars(module).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert not [kind for kind in raised if host.packs[0].module.__name__ in kind.__module__]


def test_the_panel_leads_with_the_short_name(host, tmp_path):
    folder = tmp_path / "base" / "models" / "talking_heads"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "text.safetensors").write_text("hello")
    collector(host)
    result = host.run({"a": node("HMTalker_LoadAvatar", avatar_name="text.safetensors"), "k": keep("a")})
    assert result.error["exception_type"] == "FileFormatError" and "Got:" in failure(result)
