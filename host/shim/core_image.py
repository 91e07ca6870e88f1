"""ComfyUI's image nodes as workflows see them: LoadImage, SaveImage, PreviewImage.

V1 classes in ComfyUI, V3 here: same ids, inputs and outputs, the choice of files is spelled differently in /object_info.
"""
from __future__ import annotations

import os
from typing import TYPE_CHECKING

from . import folder_paths, io, ui
from .core_audio import file_digest

if TYPE_CHECKING:
    import torch


class LoadImage(io.ComfyNode):
    """An image of input/ as IMAGE, its transparency as MASK (1 where transparent)."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        folder = folder_paths.get_input_directory()
        files = [name for name in os.listdir(folder) if os.path.isfile(os.path.join(folder, name))]
        files = sorted(folder_paths.filter_files_content_types(files, ["image"]))
        return io.Schema(
            node_id="LoadImage", display_name="Load Image", category="image", essentials_category="Basics",
            inputs=[io.Combo.Input("image", options=files, upload=io.UploadType.image)],
            outputs=[io.Image.Output(), io.Mask.Output()])

    @classmethod
    def execute(cls, image: str) -> io.NodeOutput:
        import torch

        from ...media_core.image_reading import colours_of, opened_picture

        with opened_picture(folder_paths.get_annotated_filepath(image)) as opened:
            colours, opacity = colours_of(opened)  # colours under transparent places stay: ComfyUI leaves them to MASK
        seen = torch.from_numpy(colours).float()[None] / (255 if colours.dtype == "uint8" else 1)
        mask = torch.zeros(1, 64, 64) if opacity is None else 1 - torch.from_numpy(opacity).float()[None] / 255
        return io.NodeOutput(seen, mask)

    @classmethod
    def fingerprint_inputs(cls, image: str) -> str:
        return file_digest(image)

    @classmethod
    def validate_inputs(cls, image: str) -> bool | str:
        return True if folder_paths.exists_annotated_filepath(image) else f"Invalid image file: {image}"


class SaveImage(io.ComfyNode):
    """IMAGE to PNG files of output/."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SaveImage", display_name="Save Image", category="image", essentials_category="Basics",
            description="Saves the input images to your ComfyUI output directory.",
            inputs=[io.Image.Input("images", tooltip="The images to save."),
                    io.String.Input("filename_prefix", default="ComfyUI")],
            is_output_node=True, outputs=[io.Image.Output("images")])

    @classmethod
    def execute(cls, images: torch.Tensor, filename_prefix: str = "ComfyUI") -> io.NodeOutput:
        return io.NodeOutput(images, ui=ui.ImageSaveHelper.get_save_images_ui(images, filename_prefix, cls))


class PreviewImage(io.ComfyNode):
    """IMAGE to the page."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="PreviewImage", display_name="Preview Image", category="image",
            description="Preview the images without saving them to the ComfyUI output directory.",
            inputs=[io.Image.Input("images")], is_output_node=True, outputs=[io.Image.Output("images")])

    @classmethod
    def execute(cls, images: torch.Tensor) -> io.NodeOutput:
        return io.NodeOutput(images, ui={"images": ui.PreviewImage(images, cls=cls).values})


NODES = (LoadImage, SaveImage, PreviewImage)
