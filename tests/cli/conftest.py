"""The page's files, for tests of servers."""
from __future__ import annotations

import pytest


@pytest.fixture
def pages(tmp_path):
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "index.html").write_text("<html>the page</html>")
    return tmp_path / "pages"
