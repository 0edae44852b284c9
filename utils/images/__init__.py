"""Image files: which are there, and how they are read, written, resized and cropped.

``read_image`` and ``write_image`` read and write one file, as (H, W, 3) uint8 RGB everywhere.
``find_images`` returns the files that arguments name, and ``list_images`` those of a folder.
``read_image_apart`` decodes a file of unknown origin in a process of its own, so that the crash of
a decoder costs that file alone. What is wrong with a file is an ``ImageError``.
"""

from utils.images.files import (
    SourceError,
    find_images,
    is_utf8,
    name_copies,
    names_folder,
)
from utils.images.formats import ImageError
from utils.images.kinds import IMAGE_SUFFIXES, VIDEO_SUFFIXES, is_mac_note
from utils.images.listing import (
    PassedOver,
    describe_passed_over,
    list_folder,
    make_text,
    name_below,
    split_by_name,
)
from utils.images.read import (
    decode_image,
    list_for_table,
    list_images,
    read_image,
    read_upright_size,
    write_image,
)
from utils.images.reader_process import (
    decode_image_apart,
    end_readers,
    measure_image_apart,
    read_image_apart,
    start_reader,
)
from utils.images.resize import crop_image, fit_image, limit_size, resize_image, stretch_to_square

__all__ = [
    "IMAGE_SUFFIXES",
    "VIDEO_SUFFIXES",
    "ImageError",
    "PassedOver",
    "SourceError",
    "crop_image",
    "decode_image",
    "decode_image_apart",
    "describe_passed_over",
    "end_readers",
    "find_images",
    "fit_image",
    "is_mac_note",
    "is_utf8",
    "limit_size",
    "list_folder",
    "list_for_table",
    "list_images",
    "make_text",
    "measure_image_apart",
    "name_below",
    "name_copies",
    "names_folder",
    "read_image",
    "read_image_apart",
    "read_upright_size",
    "resize_image",
    "split_by_name",
    "start_reader",
    "stretch_to_square",
    "write_image",
]
