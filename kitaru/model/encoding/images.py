"""PIL images as plain values: mode, size, pixels, palette, and what of `info` can be stored.

Owns: their round trip. An image read from a file (`PngImageFile`) comes back as a plain `Image` with its `format`.
"""

from __future__ import annotations

from typing import Any

from PIL import Image, ImageFile

from kitaru.model.encoding.extensions import Extension
from kitaru.model.encoding.refusal import Refused

# Bytes per pixel; a mode that is not here is refused. "1" packs eight pixels into a byte, each row on its own.
_PIXEL_BYTES = {
    **dict.fromkeys(("L", "P"), 1),
    **dict.fromkeys(("LA", "PA", "La", "I;16", "I;16L", "I;16B"), 2),
    **dict.fromkeys(("RGB", "YCbCr", "LAB", "HSV"), 3),
    **dict.fromkeys(("RGBA", "RGBa", "RGBX", "CMYK", "I", "F"), 4),
}
_INFO_TYPES = frozenset({str, bytes, int, float, bool, type(None)})


def _size_bytes(mode: str, width: int, height: int) -> int:
    if mode == "1":
        return (width + 7) // 8 * height
    return _PIXEL_BYTES[mode] * width * height


def _plain(value: Any) -> bool:  # noqa: ANN401 - any value of info
    if type(value) in (tuple, list):
        return all(map(_plain, value))
    return type(value) in _INFO_TYPES


def _take(value: Any) -> object:  # noqa: ANN401 - an image
    value.load()
    if value.mode != "1" and value.mode not in _PIXEL_BYTES:
        raise Refused(value, f"its mode is {value.mode}")
    palette = value.palette.getdata() if value.palette is not None else None
    info = {key: part for key, part in value.info.items() if type(key) is str and _plain(part)}
    return (value.mode, value.size, value.tobytes(), palette, info, value.format)


def _make(data: Any) -> Any:  # noqa: ANN401 - a plain value; an image
    mode, (width, height), pixels, palette, info, file_format = data
    if type(pixels) is not bytes or min(width, height) < 0 or len(pixels) != _size_bytes(mode, width, height):
        raise ValueError("its size does not fit its pixels")
    made = Image.frombytes(mode, (width, height), pixels) if pixels else Image.new(mode, (width, height))
    if palette is not None:
        raw_mode, colours = palette
        if raw_mode not in ("RGB", "RGBA", "RGBX", "BGR", "L"):
            raise ValueError("its palette is of an unknown mode")
        made.putpalette(bytes(colours), raw_mode)
    made.info = dict(info)
    if file_format is not None:
        made.format = str(file_format)
    return made


_IMAGE = Extension("PIL.Image", _take, _make)
EXTENSIONS = {_IMAGE.name: _IMAGE}


def extension_of(cls: type) -> Extension | None:
    """Return how an exact type of PIL is stored, or None."""
    return _IMAGE if cls is Image.Image or issubclass(cls, ImageFile.ImageFile) else None
