"""numpy arrays and scalars as plain values: element type, shape, order and raw bytes.

Owns: their exact round trip, less what numpy itself does not promise (strides, flags, dtype metadata).
"""

from __future__ import annotations

import math
from typing import Any, Literal, cast

import numpy as np

from kitaru.model.encoding import texts
from kitaru.model.encoding.extensions import Extension
from kitaru.model.encoding.refusal import Refused
from kitaru.model.encoding.session import Lent
from kitaru.model.encoding.wire import Buffer

# Not the long double ("g"): it differs between machines, and has bytes that nobody sets.
_KINDS = frozenset("?bBhHiIlLqQnNpPefdFDmMSUV")


def dtype_data(dtype: Any, owner: object) -> object:  # noqa: ANN401 - a numpy dtype
    """Return an element type as a plain value.

    Raises:
        Refused: elements are objects, or not of a fixed size.
    """
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return ("subarray", dtype_data(base, owner), tuple(shape))
    if dtype.names is not None:
        parts = tuple((name, dtype_data(dtype.fields[name][0], owner), dtype.fields[name][1]) for name in dtype.names)
        return ("struct", dtype.itemsize, dtype.isalignedstruct, parts)
    if dtype.hasobject or dtype.char not in _KINDS:
        raise Refused(owner, f"its elements are of dtype {dtype}; use a list, or a numeric, text or time dtype")
    return dtype.str


def dtype_from(data: Any) -> Any:  # noqa: ANN401 - a plain value; a numpy dtype
    """Return the element type that `dtype_data` described; ValueError or TypeError if it is none."""
    if type(data) is str:
        dtype = np.dtype(data)
        if dtype.hasobject or dtype.char not in _KINDS or dtype.names is not None or dtype.str != data:
            raise ValueError(f"{data!r} is not an element type")
        return dtype
    if data[0] == "subarray":
        return np.dtype((dtype_from(data[1]), data[2]))
    _, itemsize, aligned, parts = data
    return np.dtype(
        {
            "names": [name for name, _, _ in parts],
            "formats": [dtype_from(part) for _, part, _ in parts],
            "offsets": [offset for _, _, offset in parts],
            "itemsize": itemsize,
        },
        align=aligned,
    )


def _copy_fields(target: Any, source: Any) -> None:  # noqa: ANN401 - numpy arrays
    """Copy a structured array field by field, and so not the bytes between the fields, which nobody sets."""
    for name in source.dtype.names:
        part = source[name]
        if part.dtype.names is not None:
            _copy_fields(target[name], part)
        else:
            target[name] = part


def take_array(value: Any) -> object:  # noqa: ANN401 - a numpy array
    """Return an array as `(element type, shape, "C" or "F", bytes)`; the bytes of a huge one as a `Buffer`."""
    described = dtype_data(value.dtype, value)
    order: Literal["C", "F"] = "F" if value.flags.f_contiguous and not value.flags.c_contiguous else "C"
    if value.dtype.names is not None:
        clean = np.zeros(value.shape, value.dtype, order=order)
        _copy_fields(clean, value)
        value = clean
    return (described, value.shape, order, _raw(value, order))


def _raw(value: Any, order: Literal["C", "F"]) -> bytes | Buffer:  # noqa: ANN401 - a numpy array
    """Return the bytes of an array; those of a huge one without a copy, if they lie in order."""
    if value.nbytes <= texts.HUGE or not (value.flags.c_contiguous or value.flags.f_contiguous):
        return cast("bytes", value.tobytes(order=order))
    flat = value.reshape(-1, order=order).view(np.uint8)  # bytes first: not every dtype can be seen as a buffer
    return Buffer(memoryview(flat))


def make_array(data: Any) -> Any:  # noqa: ANN401 - a plain value; a numpy array
    """Return the array that `take_array` described."""
    described, shape, order, raw = data
    dtype = dtype_from(described)
    raw = raw.raw if type(raw) is Lent else bytearray(raw) if type(raw) is bytes else None
    if raw is None or math.prod(shape) * dtype.itemsize != len(raw) or any(side < 0 for side in shape):
        raise ValueError("its shape does not fit its bytes")
    if not raw:
        return np.empty(shape, dtype, order=order)
    return np.ndarray(shape, dtype, raw, order=order)


def _take_scalar(value: Any) -> object:  # noqa: ANN401 - a numpy scalar
    if isinstance(value, np.str_ | np.bytes_):  # an array would cut their trailing zeros off
        return (value.dtype.char, value[:])
    described, _, _, raw = cast("tuple[object, ...]", take_array(np.asarray(value)))
    return (described, raw)


def _make_scalar(data: Any) -> Any:  # noqa: ANN401 - a plain value; a numpy scalar
    described, raw = data
    if described == "U" and type(raw) is str:
        return np.str_(raw)
    if described == "S" and type(raw) is bytes:
        return np.bytes_(raw)
    return make_array((described, (), "C", raw))[()]


_ARRAY = Extension("numpy.ndarray", take_array, make_array, keeps_bytes=True)
_SCALAR = Extension("numpy.scalar", _take_scalar, _make_scalar)
EXTENSIONS = {extension.name: extension for extension in (_ARRAY, _SCALAR)}


def extension_of(cls: type) -> Extension | None:
    """Return how an exact type of numpy is stored, or None."""
    if cls is np.ndarray:
        return _ARRAY
    is_scalar = issubclass(cls, np.generic) and cls.__module__ == "numpy" and cls is not np.object_
    return _SCALAR if is_scalar else None
