"""The foundations of `comfy_api.latest.io`: what an input, an output and a socket type are.

ComfyUI spells a socket as a class with two inner classes, `Image.Input` and `Image.Output`; both ask their owner for its name.
The dictionaries built here are what /object_info carries, so keys, their order and the dropping of None are ComfyUI 0.33's.
"""
from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from types import new_class
from typing import Any, TypeVar

Owner = TypeVar("Owner")


class FolderType(str, Enum):
    """The three folders a saved result can lie in."""

    input = "input"
    output = "output"
    temp = "temp"


class UploadType(str, Enum):
    """Which upload button the page shows beside a Combo."""

    image = "image_upload"
    audio = "audio_upload"
    video = "video_upload"
    model = "file_upload"


class NumberDisplay(str, Enum):
    """How a number widget looks."""

    number = "number"
    slider = "slider"
    gradient_slider = "gradientslider"


class ControlAfterGenerate(str, Enum):
    """What the page does to a seed after each run."""

    fixed = "fixed"
    increment = "increment"
    decrement = "decrement"
    randomize = "randomize"


def without_none(**entries: Any) -> dict[str, Any]:
    """The entries that have a value, in the order given."""
    return {key: value for key, value in entries.items() if value is not None}


class Socket:
    """What inputs and outputs share: the type they belong to."""

    Parent: Any = None  # the ComfyType that owns this Input or Output class

    @property
    def io_type(self) -> str:
        return self.Parent.io_type

    @property
    def Type(self) -> Any:
        return self.Parent.Type

    def get_io_type(self) -> str:
        return self.io_type

    def validate(self) -> None:
        """Raises where a definition is impossible; plain sockets have nothing to check."""


class Input(Socket):
    """A plain input socket without a widget."""

    def __init__(self, id: str, display_name: str | None = None, optional: bool = False, tooltip: str | None = None,
                 lazy: bool | None = None, extra_dict: dict | None = None, raw_link: bool | None = None,
                 advanced: bool | None = None):
        self.id, self.display_name, self.optional, self.tooltip = id, display_name, optional, tooltip
        self.lazy, self.rawLink, self.advanced = lazy, raw_link, advanced
        self.extra_dict = {} if extra_dict is None else extra_dict

    def as_dict(self) -> dict[str, Any]:
        own = without_none(display_name=self.display_name, optional=self.optional, tooltip=self.tooltip, lazy=self.lazy,
                           rawLink=self.rawLink, advanced=self.advanced)
        return {**own, **without_none(**self.extra_dict)}

    def get_all(self) -> list[Input]:
        """This input and those nested in it."""
        return [self]


class WidgetInput(Input):
    """An input that the page draws as a widget unless it is linked."""

    def __init__(self, id: str, display_name: str | None = None, optional: bool = False, tooltip: str | None = None,
                 lazy: bool | None = None, default: Any = None, socketless: bool | None = None, widget_type: str | None = None,
                 force_input: bool | None = None, extra_dict: dict | None = None, raw_link: bool | None = None,
                 advanced: bool | None = None):
        super().__init__(id, display_name, optional, tooltip, lazy, extra_dict, raw_link, advanced)
        self.default, self.socketless, self.widget_type, self.force_input = default, socketless, widget_type, force_input

    def as_dict(self) -> dict[str, Any]:
        own = without_none(default=self.default, socketless=self.socketless, widgetType=self.widget_type,
                           forceInput=self.force_input)
        return {**super().as_dict(), **own}

    def get_io_type(self) -> str:
        return self.widget_type or self.io_type


class Output(Socket):
    """An output socket; `is_output_list` hands its items on one by one."""

    def __init__(self, id: str | None = None, display_name: str | None = None, tooltip: str | None = None,
                 is_output_list: bool = False):
        self.id, self.tooltip, self.is_output_list = id, tooltip, is_output_list
        self.display_name = display_name or id

    def as_dict(self) -> dict[str, Any]:
        return without_none(display_name=self.display_name or self.id, tooltip=self.tooltip, is_output_list=self.is_output_list)


class ComfyType:
    """Owner of an Input and an Output class."""

    io_type: str = ""
    Type: Any = Any
    Input: Any = Input
    Output: Any = Output


def owned(base: type, owner: type) -> type:
    """A copy of an Input or Output class that knows its owner."""
    names = {"__module__": base.__module__, "__qualname__": f"{owner.__name__}.{base.__name__}"}
    return type(base.__name__, (base,), {"Parent": owner, **names})


def comfytype(io_type: str) -> Callable[[type[Owner]], type[Owner]]:
    """Class decorator: names a socket type and gives it its own Input and Output classes."""

    def adopt(cls: type[Owner]) -> type[Owner]:
        own = {"__doc__": cls.__doc__, "__module__": __name__}
        new: Any = cls if issubclass(cls, ComfyType) else new_class(cls.__name__, (cls, ComfyType), None, lambda d: d.update(own))
        new.io_type = io_type
        new.Input = owned(new.Input, new)
        new.Output = owned(new.Output, new)
        return new

    return adopt


def named_type(name: str, io_type: str) -> type[ComfyType]:
    """A socket type without a widget, e.g. named_type("Image", "IMAGE")."""
    return comfytype(io_type)(type(name, (ComfyType,), {"__doc__": f"The {io_type} socket."}))


def Custom(io_type: str) -> type[ComfyType]:
    """A pack's own socket type; links are compared by this string."""
    return named_type("Custom_" + io_type, io_type)
