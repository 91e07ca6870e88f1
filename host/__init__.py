"""Runs the pack's node graph where ComfyUI is not installed.

`shim` stands in for its Python API, `graph` executes workflows, `cli` is the command line.

Written afresh from docs/comfyui.md and the observed behaviour of ComfyUI 0.33; what it does not do is listed in `graph`.
Nothing here is imported by the pack itself.
"""
