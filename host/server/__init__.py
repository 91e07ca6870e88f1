"""A web server over the small host: the real ComfyUI page (PyPI's comfyui-frontend-package) on a machine without ComfyUI.

Start reading at `app`. What it answers is ComfyUI 0.33's HTTP and WebSocket protocol (docs/serve.md), written afresh from the
notes in docs/comfyui.md, the page's own requests and the answers of a running ComfyUI. aiohttp comes with the extra `serve`.
"""
