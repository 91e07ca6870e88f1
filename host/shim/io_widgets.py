"""Socket types with a widget: numbers, text, switches, choices, and unions of types."""
from __future__ import annotations

import copy
from enum import Enum
from typing import Any

from .io_base import ComfyType, Input, NumberDisplay, Output, UploadType, WidgetInput, comfytype, without_none


@comfytype("BOOLEAN")
class Boolean(ComfyType):
    """A switch."""

    class Input(WidgetInput):
        def __init__(self, id: str, display_name: str | None = None, optional: bool = False, tooltip: str | None = None,
                     lazy: bool | None = None, default: bool | None = None, label_on: str | None = None,
                     label_off: str | None = None, socketless: bool | None = None, force_input: bool | None = None,
                     extra_dict: dict | None = None, raw_link: bool | None = None, advanced: bool | None = None):
            super().__init__(id, display_name, optional, tooltip, lazy, default, socketless, None, force_input, extra_dict,
                                 raw_link, advanced)
            self.label_on, self.label_off = label_on, label_off

        def as_dict(self) -> dict[str, Any]:
            return {**super().as_dict(), **without_none(label_on=self.label_on, label_off=self.label_off)}


@comfytype("INT")
class Int(ComfyType):
    """A whole number."""

    class Input(WidgetInput):
        def __init__(self, id: str, display_name: str | None = None, optional: bool = False, tooltip: str | None = None,
                     lazy: bool | None = None, default: int | None = None, min: int | None = None, max: int | None = None,
                     step: int | None = None, control_after_generate: Any = None, display_mode: NumberDisplay | None = None,
                     socketless: bool | None = None, force_input: bool | None = None, extra_dict: dict | None = None,
                     raw_link: bool | None = None, advanced: bool | None = None):
            super().__init__(id, display_name, optional, tooltip, lazy, default, socketless, None, force_input, extra_dict,
                                 raw_link, advanced)
            self.min, self.max, self.step = min, max, step
            self.control_after_generate, self.display_mode = control_after_generate, display_mode

        def as_dict(self) -> dict[str, Any]:
            display = self.display_mode.value if self.display_mode else None
            own = without_none(min=self.min, max=self.max, step=self.step, control_after_generate=self.control_after_generate,
                               display=display)
            return {**super().as_dict(), **own}


@comfytype("FLOAT")
class Float(ComfyType):
    """A real number."""

    class Input(WidgetInput):
        def __init__(self, id: str, display_name: str | None = None, optional: bool = False, tooltip: str | None = None,
                     lazy: bool | None = None, default: float | None = None, min: float | None = None, max: float | None = None,
                     step: float | None = None, round: float | None = None, display_mode: NumberDisplay | None = None,
                     gradient_stops: list | None = None, socketless: bool | None = None, force_input: bool | None = None,
                     extra_dict: dict | None = None, raw_link: bool | None = None, advanced: bool | None = None):
            super().__init__(id, display_name, optional, tooltip, lazy, default, socketless, None, force_input, extra_dict,
                                 raw_link, advanced)
            self.min, self.max, self.step, self.round = min, max, step, round
            self.display_mode, self.gradient_stops = display_mode, gradient_stops

        def as_dict(self) -> dict[str, Any]:
            return {**super().as_dict(), **without_none(min=self.min, max=self.max, step=self.step, round=self.round,
                                                               display=self.display_mode, gradient_stops=self.gradient_stops)}


@comfytype("STRING")
class String(ComfyType):
    """A line or a field of text."""

    class Input(WidgetInput):
        def __init__(self, id: str, display_name: str | None = None, optional: bool = False, tooltip: str | None = None,
                     lazy: bool | None = None, multiline: bool = False, placeholder: str | None = None,
                     default: str | None = None, dynamic_prompts: bool | None = None, socketless: bool | None = None,
                     force_input: bool | None = None,
                     extra_dict: dict | None = None, raw_link: bool | None = None, advanced: bool | None = None):
            super().__init__(id, display_name, optional, tooltip, lazy, default, socketless, None, force_input, extra_dict,
                                 raw_link, advanced)
            self.multiline, self.placeholder, self.dynamic_prompts = multiline, placeholder, dynamic_prompts

        def as_dict(self) -> dict[str, Any]:
            return {**super().as_dict(), **without_none(multiline=self.multiline, placeholder=self.placeholder,
                                                               dynamicPrompts=self.dynamic_prompts)}


def plain(value: Any) -> Any:
    """An Enum's value, anything else as it is."""
    return value.value if isinstance(value, Enum) else value


@comfytype("COMBO")
class Combo(ComfyType):
    """One of several choices."""

    class Input(WidgetInput):
        multiselect = False

        def __init__(self, id: str, options: Any = None, display_name: str | None = None, optional: bool = False,
                     tooltip: str | None = None, lazy: bool | None = None, default: Any = None,
                     control_after_generate: Any = None, upload: UploadType | None = None,
                     image_folder: Any = None, remote: Any = None,
                     socketless: bool | None = None, extra_dict: dict | None = None, raw_link: bool | None = None,
                     advanced: bool | None = None):
            if isinstance(options, type) and issubclass(options, Enum):
                options = [member.value for member in options]
            super().__init__(id, display_name, optional, tooltip, lazy, plain(default), socketless, None, None, extra_dict,
                                 raw_link, advanced)
            self.options, self.control_after_generate, self.upload = options, control_after_generate, upload
            self.image_folder, self.remote = image_folder, remote

        def as_dict(self) -> dict[str, Any]:
            own = without_none(multiselect=self.multiselect, options=self.options,
                               control_after_generate=self.control_after_generate)
            if self.upload is not None:
                own[self.upload.value] = True
            own.update(without_none(image_folder=plain(self.image_folder), remote=self.remote.as_dict() if self.remote else None))
            return {**super().as_dict(), **own}

    class Output(Output):
        def __init__(self, id: str | None = None, display_name: str | None = None, options: list | None = None,
                     tooltip: str | None = None, is_output_list: bool = False):
            super().__init__(id, display_name, tooltip, is_output_list)
            self.options = options or []


@comfytype("COLOR")
class Color(ComfyType):
    """A colour as #rrggbb."""

    class Input(WidgetInput):
        def __init__(self, id: str, display_name: str | None = None, optional: bool = False, tooltip: str | None = None,
                     socketless: bool = True, advanced: bool | None = None, default: str = "#ffffff"):
            super().__init__(id, display_name, optional, tooltip, None, default, socketless, advanced=advanced)


@comfytype("COMFY_MULTITYPED_V3")
class MultiType(ComfyType):
    """An input that takes any of several types; given an Input instead of an id, it keeps that input's widget."""

    class Input(Input):
        def __init__(self, id: Any, types: list, display_name: str | None = None, optional: bool = False,
                     tooltip: str | None = None, lazy: bool | None = None, extra_dict: dict | None = None,
                     raw_link: bool | None = None, advanced: bool | None = None):
            self.input_override = None
            if isinstance(id, Input):
                self.input_override = copy.copy(id)
                optional = optional if id.optional is not True else True
                tooltip = tooltip if id.tooltip is None else id.tooltip
                display_name = display_name if id.display_name is None else id.display_name
                lazy = lazy if id.lazy is None else id.lazy
                if isinstance(self.input_override, WidgetInput):
                    self.input_override.widget_type = self.input_override.get_io_type()
                id = id.id
            super().__init__(id, display_name, optional, tooltip, lazy, extra_dict, raw_link, advanced)
            self.types = types

        def get_io_type(self) -> str:
            names = [kind.io_type for kind in self.types]
            if self.input_override is not None:
                names.insert(0, self.input_override.get_io_type())
            return ",".join(dict.fromkeys(names))

        def as_dict(self) -> dict[str, Any]:
            widget = self.input_override.as_dict() if self.input_override is not None else {}
            return {**widget, **super().as_dict()}
