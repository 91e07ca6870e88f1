"""What is raised for a workflow file that cannot be used."""
from __future__ import annotations

from ..media_core.errors import ShortName


class WorkflowError(ShortName, Exception):
    """A workflow file cannot be used; the message says why and what to do."""
