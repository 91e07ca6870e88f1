"""Writes the page forms of workflows/: layout, notes, apps and blueprints. `python tests/make_workflows.py` runs it."""
