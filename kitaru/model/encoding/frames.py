"""pandas Series, DataFrames, indexes and scalars as plain values.

Owns: the dtypes that come back exactly: numpy's, objects whose values can be stored, categorical, times with a zone,
nullable numbers and booleans, strings. Anything else is refused.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]  # its stubs are a package of their own

from kitaru.model.encoding.arrays import make_array, take_array
from kitaru.model.encoding.extensions import Extension
from kitaru.model.encoding.refusal import Refused

_MASKED: dict[type, Any] = {
    **dict.fromkeys((pd.Int8Dtype, pd.Int16Dtype, pd.Int32Dtype, pd.Int64Dtype), pd.arrays.IntegerArray),
    **dict.fromkeys((pd.UInt8Dtype, pd.UInt16Dtype, pd.UInt32Dtype, pd.UInt64Dtype), pd.arrays.IntegerArray),
    **dict.fromkeys((pd.Float32Dtype, pd.Float64Dtype), pd.arrays.FloatingArray),
    pd.BooleanDtype: pd.arrays.BooleanArray,
}
_MASKED_NAMES = {cls.__name__: cls for cls in _MASKED}


def _take_column(values: Any, owner: object) -> object:  # noqa: ANN401 - a Series or Index
    """Return a column as a tuple whose first element says which kind of dtype it has."""
    dtype = values.dtype
    array = values.array
    if isinstance(dtype, pd.CategoricalDtype):
        return ("category", take_array(np.asarray(array.codes)), _take_index(dtype.categories), dtype.ordered)
    if isinstance(dtype, pd.DatetimeTZDtype):
        return ("zoned", dtype.unit, dtype.tz, take_array(array.asi8))
    if type(dtype) in _MASKED:
        # pandas has no public way to both halves: NaN and NA differ in a nullable float.
        return ("masked", type(dtype).__name__, take_array(array._data), take_array(array._mask))
    if isinstance(dtype, pd.StringDtype):
        missing = "nan" if dtype.na_value is not pd.NA else "NA"
        return ("string", dtype.storage, missing, [None if pd.isna(text) else str(text) for text in array])
    if not isinstance(dtype, np.dtype):
        raise Refused(owner, f"a column of dtype {dtype}; convert it to a numpy, nullable or categorical dtype")
    if dtype.hasobject:
        return ("object", list(np.asarray(values, dtype=object)))
    return ("numpy", take_array(np.asarray(array)))


def _make_column(data: Any) -> Any:  # noqa: ANN401 - a plain value; an array
    kind, *parts = data
    return _MAKERS[kind](*parts)


def _make_category(codes: Any, categories: Any, ordered: Any) -> Any:  # noqa: ANN401 - plain values; an array
    dtype = pd.CategoricalDtype(_make_index(categories), ordered=bool(ordered))
    return pd.Categorical.from_codes(make_array(codes), dtype=dtype)


def _make_zoned(unit: Any, zone: Any, stamps: Any) -> Any:  # noqa: ANN401 - plain values; an array
    utc = make_array(stamps).view(f"M8[{unit}]")
    return pd.DatetimeIndex(utc).tz_localize("UTC").tz_convert(zone).array


def _make_masked(name: Any, values: Any, mask: Any) -> Any:  # noqa: ANN401 - plain values; an array
    return _MASKED[_MASKED_NAMES[name]](make_array(values), make_array(mask))


def _make_string(storage: Any, missing: Any, texts: Any) -> Any:  # noqa: ANN401 - plain values; an array
    named = {} if missing == "NA" else {"na_value": np.nan}
    return pd.array(np.array(texts, dtype=object), dtype=pd.StringDtype(storage, **named))


def _make_object(values: Any) -> Any:  # noqa: ANN401 - plain values; an array
    made = np.empty(len(values), dtype=object)
    for i, value in enumerate(values):  # one by one: numpy would take lists of equal length for a second dimension
        made[i] = value
    return made


_MAKERS: dict[str, Any] = {
    "category": _make_category,
    "zoned": _make_zoned,
    "masked": _make_masked,
    "string": _make_string,
    "object": _make_object,
    "numpy": make_array,
}


def _take_index(index: Any) -> object:  # noqa: ANN401 - an Index
    """Return an index as a tuple whose first element says which class it is."""
    cls = type(index)
    if cls is pd.RangeIndex:
        return ("range", index.start, index.stop, index.step, index.name)
    if cls is pd.MultiIndex:
        levels = [_take_index(level) for level in index.levels]
        codes = [take_array(np.asarray(code)) for code in index.codes]
        return ("multi", levels, codes, list(index.names))
    if cls in (pd.DatetimeIndex, pd.TimedeltaIndex):
        return ("times", _take_column(index, index), index.freqstr, index.name)
    if cls in (pd.Index, pd.CategoricalIndex):
        return ("plain", _take_column(index, index), index.name)
    raise Refused(index, "this kind of index is not covered; use reset_index()")


def _make_index(data: Any) -> Any:  # noqa: ANN401 - a plain value; an Index
    kind, *parts = data
    if kind == "range":
        start, stop, step, name = parts
        return pd.RangeIndex(start, stop, step, name=name)
    if kind == "multi":
        levels, codes, names = parts
        made = [_make_index(level) for level in levels]
        return pd.MultiIndex(levels=made, codes=[make_array(code) for code in codes], names=names)
    if kind == "times":
        column, freq, name = parts
        array = _make_column(column)
        cls = pd.TimedeltaIndex if getattr(array.dtype, "kind", "") == "m" else pd.DatetimeIndex
        return cls(array, freq=freq, name=name)
    column, name = parts
    array = _make_column(column)
    return pd.Index(array, dtype=array.dtype, name=name)


def _take_series(series: Any) -> object:  # noqa: ANN401 - a Series
    return (_take_column(series, series), _take_index(series.index), series.name, dict(series.attrs))


def _make_series(data: Any) -> Any:  # noqa: ANN401 - a plain value; a Series
    column, index, name, attrs = data
    array = _make_column(column)
    made = pd.Series(array, index=_make_index(index), dtype=array.dtype, name=name)
    made.attrs = dict(attrs)
    return made


def _take_frame(frame: Any) -> object:  # noqa: ANN401 - a DataFrame
    columns = []
    for i, name in enumerate(frame.columns):
        try:
            columns.append(_take_column(frame.iloc[:, i], frame))
        except Refused as refused:
            refused.why = f"column {name!r}: {refused.why}"
            raise
    return (_take_index(frame.columns), _take_index(frame.index), columns, dict(frame.attrs))


def _make_frame(data: Any) -> Any:  # noqa: ANN401 - a plain value; a DataFrame
    columns, index, parts, attrs = data
    rows = _make_index(index)
    arrays = [_make_column(part) for part in parts]
    series = {i: pd.Series(array, index=rows, dtype=array.dtype) for i, array in enumerate(arrays)}
    made = pd.DataFrame(series, index=rows)
    made.columns = _make_index(columns)
    made.attrs = dict(attrs)
    return made


def _take_stamp(stamp: Any) -> object:  # noqa: ANN401 - a Timestamp
    # The wall clock is kept by fold, which the UTC value already says.
    return (stamp.unit, stamp.as_unit(stamp.unit)._value, stamp.tzinfo)


def _make_stamp(data: Any) -> Any:  # noqa: ANN401 - a plain value; a Timestamp
    unit, number, zone = data
    stamp = pd.Timestamp(np.datetime64(number, unit))
    return stamp if zone is None else stamp.tz_localize("UTC").tz_convert(zone)


def _take_delta(delta: Any) -> object:  # noqa: ANN401 - a Timedelta
    return (delta.unit, delta._value)


def _make_delta(data: Any) -> Any:  # noqa: ANN401 - a plain value; a Timedelta
    unit, number = data
    return pd.Timedelta(np.timedelta64(number, unit))


_TYPES: dict[type, Extension] = {
    pd.Series: Extension("pandas.Series", _take_series, _make_series),
    pd.DataFrame: Extension("pandas.DataFrame", _take_frame, _make_frame),
    **dict.fromkeys(
        (pd.Index, pd.RangeIndex, pd.MultiIndex, pd.DatetimeIndex, pd.TimedeltaIndex, pd.CategoricalIndex),
        Extension("pandas.Index", _take_index, _make_index),
    ),
    pd.Timestamp: Extension("pandas.Timestamp", _take_stamp, _make_stamp),
    pd.Timedelta: Extension("pandas.Timedelta", _take_delta, _make_delta),
    type(pd.NA): Extension("pandas.NA", lambda _: None, lambda _: pd.NA),
    type(pd.NaT): Extension("pandas.NaT", lambda _: None, lambda _: pd.NaT),
}
EXTENSIONS = {extension.name: extension for extension in _TYPES.values()}


def extension_of(cls: type) -> Extension | None:
    """Return how an exact type of pandas is stored, or None."""
    return _TYPES.get(cls)
