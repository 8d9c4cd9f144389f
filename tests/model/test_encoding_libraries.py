"""pydantic, numpy, pandas and PIL: exact round trips, changed models, and what is refused."""

import datetime as dt
import functools
import subprocess
import sys
import typing
from zoneinfo import ZoneInfo

import pydantic
import pytest
from pydantic import Field, PrivateAttr

from kitaru.errors import Damaged, SchemaChanged, Unencodable
from kitaru.model.encoding import Decoder, Encoder, Opaque

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")
Image = pytest.importorskip("PIL.Image")

ENCODER = Encoder()
T = typing.TypeVar("T")


class Inner(pydantic.BaseModel):
    n: int = 1


class Outer(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow", validate_assignment=True)
    name: str = Field(alias="Name")
    inner: Inner | None = None
    tags: set[str] = Field(default_factory=set)
    _count: int = PrivateAttr(default=0)

    @pydantic.field_validator("name")
    @classmethod
    def check(cls, value):
        assert not getattr(sys, "_decoding", False), "a decoder must not run this"
        return value

    @functools.cached_property
    def shout(self):
        return self.name.upper()


class Box(pydantic.BaseModel, typing.Generic[T]):
    v: T


class Numbers(pydantic.RootModel[list[int]]):
    pass


@pydantic.dataclasses.dataclass
class Checked:
    a: int
    b: list[int] = Field(default_factory=list)


def back(value, **options):
    encoded = ENCODER.encode(value)
    return Decoder(dict(encoded.objects).__getitem__, **options).decode(encoded.id)


def outer():
    made = Outer(Name="x", inner=Inner(), more={"k": [1]})
    made._count = 7
    assert made.shout == "X"
    return made


MODELS = [
    outer(),
    Inner(),
    Inner(n=2),
    Inner.model_construct(n="not a number"),
    Outer.model_construct(),
    Box(v=1),
    Box[int](v=1),
    Box[list[str]](v=["a"]),
    Box[Box[Inner] | None](v=Box[Inner](v=Inner())),
    Box[typing.Optional[int]](v=None),  # noqa: UP045 - another object than int | None before Python 3.14
    Box[typing.Literal["a", 1]](v=1),
    Box[dict[str, tuple[int, ...]]](v={"a": (1, 2)}),
    Numbers([1, 2]),
    Checked(1),
]


@pytest.mark.parametrize("value", MODELS, ids=lambda v: type(v).__name__)
def test_models_come_back_without_validators(value, monkeypatch):
    encoded = ENCODER.encode(value)
    monkeypatch.setattr(sys, "_decoding", True, raising=False)
    again = Decoder(dict(encoded.objects).__getitem__).decode(encoded.id)
    assert type(again) is type(value)
    assert again == value
    assert vars(again) == vars(value)
    assert ENCODER.digest(again) == encoded.id
    if isinstance(value, pydantic.BaseModel):
        assert again.model_fields_set == value.model_fields_set
        assert again.__pydantic_private__ == value.__pydantic_private__
        again.model_copy(deep=True)


def test_set_fields_are_content():
    assert ENCODER.digest(Inner()) != ENCODER.digest(Inner(n=1))


def test_models_in_paths():
    value = outer()
    value.more["k"].append(object())
    with pytest.raises(Unencodable, match=r'^value\[0\]\.more\["k"\]\[1\] is a object'):
        ENCODER.encode([value])
    hidden = outer()
    hidden._count = object()
    with pytest.raises(Unencodable, match=r"^value\._count is a object"):
        ENCODER.encode(hidden)

    class Local(pydantic.BaseModel):
        a: int = 1

    with pytest.raises(Unencodable, match="inside a function"):
        ENCODER.encode(Local())
    with pytest.raises(Unencodable, match="inside a function"):
        ENCODER.encode(Box[Local](v=Local()))


def test_a_changed_model_is_validated():
    class Grown(pydantic.BaseModel):
        n: float
        m: str = "new"
        _p: int = PrivateAttr(default=3)

    class Aliased(pydantic.BaseModel):
        n: int = Field(alias="N")

    class Demanding(pydantic.BaseModel):
        n: int
        must: str

    class Narrow(pydantic.BaseModel):
        n: typing.Annotated[int, Field(gt=5)] = 9

    again = back(Inner(n=2), class_of=lambda _: Grown)
    assert (again.n, type(again.n), again.m, again._p, again.model_fields_set) == (2.0, float, "new", 3, {"n"})
    assert back(Inner(), class_of=lambda _: Grown).model_fields_set == set()
    assert back(Inner(n=2), class_of=lambda _: Aliased).n == 2
    for changed, word in ((Demanding, "must"), (Narrow, "n")):
        with pytest.raises(SchemaChanged, match=f"Inner no longer fits its class: {word}"):
            back([Inner(n=2)], class_of=lambda _, cls=changed: cls)
        assert type(back(Inner(n=2), class_of=lambda _, cls=changed: cls, opaque=True)) is Opaque


def test_a_missing_model_is_opaque():
    shown = back(Box[list[int] | None](v=[1]), class_of=lambda _: None, opaque=True)
    assert repr(shown) == "<Box[list[int] | NoneType] v=[1]>"
    with pytest.raises(SchemaChanged, match=r"Box\[int\]"):
        back(Box[int](v=1), class_of=lambda _: None)


ARRAYS = [
    np.arange(1000),
    np.zeros((3, 4), order="F"),
    np.zeros((0, 5)),
    np.array(3.5),
    np.array(["a", "bb", ""]),
    np.array([b"a", b""]),
    np.array([(1, (2.0, 3.0))], dtype=[("a", "<i4"), ("b", ">f8", (2,))]),
    np.zeros(2, dtype=np.dtype([("a", "i1"), ("b", "f8")], align=True)),
    np.array(["2020-01-01", "NaT"], dtype="M8[D]"),
    np.array([1, 2], dtype="m8[ms]"),
    np.array([True, False]),
    np.arange(6, dtype=">i4").reshape(2, 3),
    np.array([1 + 2j], dtype="complex64"),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: f"{a.dtype}{a.shape}")
def test_arrays_come_back(array):
    again = back([array])[0]
    assert type(again) is np.ndarray
    assert (again.dtype, again.shape, again.flags.f_contiguous) == (array.dtype, array.shape, array.flags.f_contiguous)
    assert again.tobytes() == array.tobytes()
    assert again.flags.writeable
    assert ENCODER.digest(again) == ENCODER.digest(array)


def test_padding_is_no_content():
    dtype = np.dtype([("a", "i1"), ("b", [("c", "i1"), ("d", "f8")], (2,))], align=True)
    clean, dirty = np.zeros((2, 2), dtype, order="F"), np.frombuffer(bytearray(b"\xff" * 4 * dtype.itemsize), dtype)
    dirty = dirty.reshape((2, 2), order="F")
    dirty["a"] = 0
    dirty["b"]["c"] = 0
    dirty["b"]["d"] = 0
    assert dirty.tobytes() != clean.tobytes()
    assert ENCODER.digest(dirty) == ENCODER.digest(clean)
    assert back(dirty).flags.f_contiguous


def test_a_view_is_its_content():
    assert np.array_equal(back(np.arange(10)[::3]), np.arange(10)[::3])


SCALARS = [np.float64(1.5), np.int8(-3), np.bool_(True), np.str_("x\0"), np.bytes_(b"a"), np.datetime64("2020", "Y")]


@pytest.mark.parametrize("scalar", [*SCALARS, np.timedelta64(3, "s"), np.array([(1, 2.0)], dtype="i1,f8")[0]], ids=repr)
def test_scalars_come_back(scalar):
    again = back(scalar)
    assert type(again) is type(scalar)
    assert (again, again.dtype) == (scalar, scalar.dtype)
    assert ENCODER.digest(scalar) != ENCODER.digest(scalar.item())


def frame():
    return pd.DataFrame(
        {
            "int": [1, 2, 3],
            "float": [1.0, float("nan"), 3.0],
            "text": ["x", None, "z"],
            "object": pd.Series([{"a": 1}, [2], (3,)], dtype=object),
            "same length": pd.Series([[1, 2], [3, 4], [5, 6]], dtype=object),
            "category": pd.Categorical(["u", "v", None], categories=["v", "u", "w"], ordered=True),
            "zone": pd.date_range("2024-10-26", periods=3, tz=ZoneInfo("Europe/Berlin")),
            "utc": pd.date_range("2024-01-01", periods=3, tz=dt.UTC),
            "naive": pd.to_datetime(["2024-01-01", None, "2024-01-03"]),
            "delta": pd.to_timedelta([1, 2, None], unit="s"),
            "Int64": pd.array([1, None, 3], dtype="Int64"),
            "Float32": pd.array([1.5, None, 3], dtype="Float32"),
            "boolean": pd.array([True, None, False], dtype="boolean"),
            "string": pd.array(["a", None, "b"], dtype=pd.StringDtype("python")),
        }
    )


def test_a_frame_comes_back():
    value = frame()
    value.attrs["source"] = "here"
    again = back(value)
    pd.testing.assert_frame_equal(again, value)
    assert again.attrs == {"source": "here"}
    assert ENCODER.digest(again) == ENCODER.digest(value)


FRAMES = [pd.DataFrame(), pd.DataFrame(index=[1, 2]), pd.DataFrame([[1, "a"]], columns=["x", "x"]), frame().iloc[:0]]


@pytest.mark.parametrize("value", FRAMES, ids=lambda f: str(f.shape))
def test_odd_frames_come_back(value):
    pd.testing.assert_frame_equal(back(value), value)


INDEXES = [
    pd.RangeIndex(1, 9, 2, name="r"),
    pd.Index([1, 2], name=("a", 1)),
    pd.Index(["a", "b"]),
    pd.Index(["a", 1], dtype=object),
    pd.date_range("2020", periods=3, tz=ZoneInfo("Europe/Berlin")),
    pd.date_range("2020", periods=3, freq="h"),
    pd.to_timedelta([1, 2], unit="s"),
    pd.CategoricalIndex(["a", "b"], ordered=True),
    pd.MultiIndex.from_product([["a", "b"], [1, 2]], names=["x", None]),
]


@pytest.mark.parametrize("index", INDEXES, ids=lambda i: type(i).__name__)
def test_indexes_and_series_come_back(index):
    pd.testing.assert_index_equal(back(index), index, exact=True)
    series = pd.Series(range(len(index)), index=index, name="s", dtype="int16")
    pd.testing.assert_series_equal(back(series), series)


STAMPS = [
    pd.Timestamp("2020-01-01 00:00:00.123456789"),
    pd.Timestamp("2024-10-27 01:30", tz=dt.UTC).tz_convert(ZoneInfo("Europe/Berlin")),
    pd.Timestamp("2024-01-01", tz=dt.UTC).as_unit("s"),
    pd.Timedelta(5, "ms"),
]


@pytest.mark.parametrize("value", STAMPS, ids=repr)
def test_pandas_scalars_come_back(value):
    again = back(value)
    assert (type(again), again, again.unit) == (type(value), value, value.unit)


def test_pandas_nothings_come_back():
    assert back([pd.NA, pd.NaT]) == [pd.NA, pd.NaT] or (back(pd.NA) is pd.NA and back(pd.NaT) is pd.NaT)


MODES = ["1", "L", "P", "LA", "RGB", "RGBA", "CMYK", "I", "F", "HSV", "LAB", "YCbCr", "I;16"]


@pytest.mark.parametrize("mode", MODES)
def test_images_come_back(mode):
    image = Image.new(mode, (11, 3))
    if mode not in ("F", "I;16"):
        image.putpixel((1, 1), image.getpixel((0, 0)) if mode != "L" else 200)
    image.info = {"dpi": (72, 72), "reader": object()}
    again = back(image)
    assert type(again) is Image.Image
    assert (again.mode, again.size, again.tobytes()) == (image.mode, image.size, image.tobytes())
    assert again.info == {"dpi": (72, 72)}


def test_palettes_and_files_come_back(tmp_path):
    image = Image.linear_gradient("L").convert("RGB").quantize(16)
    assert back(image).convert("RGB").tobytes() == image.convert("RGB").tobytes()
    image.save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as opened:
        again = back(opened)
    assert (type(again), again.format) == (Image.Image, "PNG")
    assert again.convert("RGB").tobytes() == image.convert("RGB").tobytes()


REFUSED = {
    "objects": (np.array([object()]), "dtype object"),
    "long double": (np.longdouble(1), "dtype"),
    "masked": (np.ma.array([1]), "cannot be stored"),
    "period": (pd.DataFrame({"p": pd.period_range("2020", periods=2)}), "column 'p': a column of dtype period"),
    "element": (pd.Series([1, object()]), "a object"),
    "interval": (pd.Series([1], index=pd.interval_range(0, 1)), "reset_index"),
    "a": (np.random.default_rng(1), "cannot be stored"),
}


@pytest.mark.parametrize(("value", "why"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_covered_is_refused(value, why):
    with pytest.raises(Unencodable, match=r'^value\["x"\].*' + why):
        ENCODER.encode({"x": value})


@pytest.mark.parametrize("name", ["numpy.ndarray", "numpy.scalar", "pandas.DataFrame", "pandas.Index", "PIL.Image"])
@pytest.mark.parametrize(
    "payload", [None, (), ("O", (1,), "C", b""), ("<i8", (-1, -8), "C", b""), ("<i8", (10**12,), "C", b"")]
)
def test_a_payload_that_lies_is_damage(name, payload):
    raw = name.encode()
    data = b"xs" + bytes([len(raw)]) + raw + ENCODER.encode(payload).objects[-1][1]
    with pytest.raises(Damaged, match=name):
        Decoder({"id": data}.__getitem__).decode("id")


def test_a_huge_image_is_not_allocated():
    payload = ("RGB", (10**6, 10**6), b"", None, {}, None)
    data = b"xs\x09PIL.Image" + ENCODER.encode(payload).objects[-1][1]
    with pytest.raises(Damaged, match="size"):
        Decoder({"id": data}.__getitem__).decode("id")


def test_plain_values_load_no_library():
    code = (
        "import sys; from kitaru.model.encoding import Encoder, Decoder; e = Encoder().encode({'a': [1, 'x', 2.5]});"
        "Decoder(dict(e.objects).__getitem__).decode(e.id);"
        "print([m for m in ('numpy', 'pandas', 'PIL', 'pydantic', 'decimal', 'zoneinfo', 'uuid') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
