"""ComfyUI's stand-in: runs node graphs where ComfyUI is not installed.

`shim` stands in for its Python API, `graph` executes workflows. It knows no method: a pack is loaded from its folder, as ComfyUI
loads it, and of this package only `media_core` is imported. The command line built on it is in `cli/`.

Written afresh from docs/comfyui.md and the observed behaviour of ComfyUI 0.33; what it does not do is listed in `graph`.
The pack itself imports nothing from here.
"""
