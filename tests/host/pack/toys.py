from __future__ import annotations

import asyncio
import time

import comfy.utils
from comfy_api.latest import ComfyAPISync, ComfyExtension, io

RUNS: list[str] = []  # which nodes ran, in order; read by the tests
FINGERPRINT = {"value": 1}  # what ToyFingerprint answers
Toy = io.Custom("TOY")


def schema(node_id: str, inputs: list, outputs: list, **more) -> io.Schema:
    return io.Schema(node_id=node_id, display_name=node_id, category="Toys", inputs=inputs, outputs=outputs, **more)


class ToyNumber(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema("ToyNumber", [io.Int.Input("value", default=1, min=0, max=10, tooltip="A number."),
                                    io.Combo.Input("mode", options=["plain", "double"], default="plain"),
                                    io.Int.Input("seed", default=0, min=0, max=0xFFFFFFFFFFFFFFFF, control_after_generate=True),
                                    io.String.Input("note", default="", multiline=True, optional=True)],
                      [io.Int.Output("number", tooltip="The number.")], search_aliases=["digit"], description="Gives a number.")

    @classmethod
    def execute(cls, value, mode, seed, note=""):
        RUNS.append(f"number {value}")
        return io.NodeOutput(value * (2 if mode == "double" else 1))


class ToyAdd(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema("ToyAdd", [io.Int.Input("a", default=0), io.Int.Input("b", default=0), Toy.Input("toy", optional=True)],
                      [io.Int.Output("sum"), Toy.Output("toy")])

    @classmethod
    def execute(cls, a, b, toy=None):
        RUNS.append("add")
        return io.NodeOutput(a + b, {"sum": a + b, "toy": toy})


class ToyShow(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema("ToyShow", [io.AnyType.Input("value")], [], is_output_node=True, hidden=[io.Hidden.unique_id])

    @classmethod
    def execute(cls, value):
        RUNS.append(f"show {value}")
        return io.NodeOutput(ui={"text": [str(value)], "id": [cls.hidden.unique_id], "prompt": [len(cls.hidden.prompt)]})


class ToyLazy(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema("ToyLazy", [io.Boolean.Input("first", default=True), io.Int.Input("a", default=0, lazy=True, optional=True),
                                  io.Int.Input("b", default=0, lazy=True, optional=True)], [io.Int.Output("chosen")])

    @classmethod
    def check_lazy_status(cls, first, a=None, b=None):
        return ["a"] if first else ["b"]

    @classmethod
    def execute(cls, first, a=None, b=None):
        return io.NodeOutput(a if first else b)


class ToySplit(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema("ToySplit", [io.Int.Input("count", default=3, min=1)], [io.Int.Output("items", is_output_list=True)])

    @classmethod
    def execute(cls, count):
        return io.NodeOutput(list(range(count)))


class ToyJoin(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema("ToyJoin", [io.Int.Input("items", default=0), io.String.Input("comma", default="-")],
                      [io.String.Output("text")], is_input_list=True)

    @classmethod
    def execute(cls, items, comma):
        return io.NodeOutput(comma[0].join(map(str, items)))


class ToySteps(io.ComfyNode):
    """Long work that reports, shows a picture and can be stopped."""

    @classmethod
    def define_schema(cls):
        return schema("ToySteps", [io.Int.Input("steps", default=5, min=1, max=1000)], [io.Int.Output("done")])

    @classmethod
    def execute(cls, steps):
        from PIL import Image

        bar = comfy.utils.ProgressBar(steps)
        for step in range(steps):
            RUNS.append(f"step {step}")
            time.sleep(0.001)
            bar.update_absolute(step + 1, steps, ("JPEG", Image.new("RGB", (8, 8)), 64))
        return io.NodeOutput(steps)


class ToyFail(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema("ToyFail", [io.Int.Input("value", default=3)], [io.Int.Output("never")])

    @classmethod
    def execute(cls, value):
        raise ValueError("The value must be kind. Got: 3. Be kind.")


class ToyStubborn(io.ComfyNode):
    """Tries to keep state on its class."""

    @classmethod
    def define_schema(cls):
        return schema("ToyStubborn", [], [io.Int.Output("never")])

    @classmethod
    def execute(cls):
        cls.cache = 1
        return io.NodeOutput(1)


class ToyFingerprint(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema("ToyFingerprint", [io.String.Input("file", default="x")], [io.String.Output("text")])

    @classmethod
    def fingerprint_inputs(cls, file):
        return FINGERPRINT["value"]

    @classmethod
    def execute(cls, file):
        RUNS.append("fingerprint")
        return io.NodeOutput(file)


class ToyJudge(io.ComfyNode):
    """Judges one of its inputs itself."""

    @classmethod
    def define_schema(cls):
        return schema("ToyJudge", [io.Int.Input("even", default=2, min=0, max=4), io.Int.Input("plain", default=0, max=4)],
                      [io.Int.Output("same")])

    @classmethod
    def validate_inputs(cls, even):
        return True if even is None or even % 2 == 0 else "must be even"

    @classmethod
    def execute(cls, even, plain):
        return io.NodeOutput(even)


class ToyBlock(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema("ToyBlock", [io.Boolean.Input("values", default=True)], [io.Int.Output("a"), io.Int.Output("b")])

    @classmethod
    def execute(cls, values):
        return io.NodeOutput(None, None, block_execution="closed") if values else io.NodeOutput(block_execution="closed")


class ToyDynamic(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        custom = [io.Int.Input("width", default=64, min=8), io.Int.Input("height", default=64, min=8)]
        options = [io.DynamicCombo.Option("small", []), io.DynamicCombo.Option("custom", custom)]
        return schema("ToyDynamic", [io.DynamicCombo.Input("size", options=options),
                                     io.Float.Input("scale", default=1.0, min=0.0, max=2.0, step=0.1)],
                      [io.String.Output("text")])

    @classmethod
    def execute(cls, size, scale):
        return io.NodeOutput(f"{sorted(size.items())} {scale}")


class ToyAsync(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema("ToyAsync", [io.String.Input("name", default="a"), io.Int.Input("after", default=0, optional=True)],
                      [io.String.Output("name")])

    @classmethod
    async def execute(cls, name, after=0):
        RUNS.append(f"begin {name}")
        await asyncio.sleep(0.05)
        RUNS.append(f"end {name}")
        return io.NodeOutput(name)


class ToyPicture(io.ComfyNode):
    """An IMAGE and an AUDIO of one colour and one tone; tells whether gradients are off."""

    @classmethod
    def define_schema(cls):
        return schema("ToyPicture", [io.Int.Input("frames", default=5, min=1)],
                      [io.Image.Output("images"), io.Audio.Output("audio"), io.Boolean.Output("inference")])

    @classmethod
    def execute(cls, frames):
        import torch

        ComfyAPISync().execution.set_progress(1, 2)
        inference = torch.is_inference_mode_enabled()
        sound = torch.sin(torch.arange(frames * 640) / 16000 * 440 * 6.2832) * 0.3
        audio = {"waveform": sound[None, None], "sample_rate": 16000}
        return io.NodeOutput(torch.full((frames, 32, 48, 3), 0.5), audio, inference)


class ToyAuto(io.ComfyNode):
    """A text field that also takes a number by a link."""

    @classmethod
    def define_schema(cls):
        field = io.String.Input("value", display_name="the value", default="auto", tooltip="A word or a number.", advanced=True)
        return schema("ToyAuto", [io.MultiType.Input(field, types=[io.Float, io.Int])],
                      [io.String.Output("text"), Toy.Output("toy")])

    @classmethod
    def validate_inputs(cls, value):
        return value != "many" or "must be auto or a number"

    @classmethod
    def execute(cls, value):
        return io.NodeOutput(repr(value), value)


class ToyExtension(ComfyExtension):
    async def get_node_list(self):
        return [ToyNumber, ToyAdd, ToyShow, ToyLazy, ToySplit, ToyJoin, ToySteps, ToyFail, ToyStubborn, ToyFingerprint, ToyJudge,
                ToyBlock, ToyDynamic, ToyAsync, ToyPicture, ToyAuto]


async def comfy_entrypoint():
    return ToyExtension()
