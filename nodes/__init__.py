"""The graph blocks: glue between ComfyUI and the cores. Start at extension.py."""
