"""Exceptions come back so that `except` works, without running their code, and never fail to be recorded."""

import dataclasses
import sys

import pytest

from kitaru.model.encoding import Decoder, Encoder, RecordedError, loaded_class

ENCODER = Encoder()


class RateLimitError(ValueError):
    def __init__(self, message, *, retry_after):
        assert not getattr(sys, "_decoding", False), "a decoder must not run this"
        super().__init__(f"{message}, retry in {retry_after} s")
        self.retry_after = retry_after
        self.response = object()

    def __reduce__(self):
        raise AssertionError("nobody pickles here")


class Slotted(Exception):
    __slots__ = ("code",)


@dataclasses.dataclass(frozen=True)
class Structured(Exception):
    code: int


class Evil(Exception):
    def __str__(self):
        raise RuntimeError

    __repr__ = __str__


class EvilThing:
    __repr__ = Evil.__repr__


class Many(ExceptionGroup):
    pass


def back(error, **options):
    encoded = ENCODER.encode(error)
    return Decoder(dict(encoded.objects).__getitem__, **options).decode(encoded.id)


def caught(action):
    try:
        action()
    except BaseException as error:
        return error
    raise AssertionError


BUILTIN = [
    ValueError(),
    ValueError("x", 1, [2]),
    KeyError("k"),
    FileNotFoundError(2, "no such file", "a.txt"),
    OSError(28, "disk full", "a", None, "b"),
    OSError("only text"),
    PermissionError(13, "no"),
    UnicodeDecodeError("utf-8", b"\xff\xfe", 0, 1, "invalid start byte"),
    UnicodeEncodeError("ascii", "ä", 0, 1, "no"),
    UnicodeTranslateError("ä", 0, 1, "no"),
    SystemExit(3),
    StopIteration(5),
    KeyboardInterrupt(),
    caught(lambda: compile("a b", "f.py", "exec")),
    caught(lambda: None.nothing),
    caught(lambda: undefined),  # noqa: F821 - that is the point
    caught(lambda: __import__("no_such_module")),
    caught(lambda: 1 / 0),
    ExceptionGroup("several", [ValueError(1), ExceptionGroup("more", (KeyError(2),))]),
    BaseExceptionGroup("stop", [KeyboardInterrupt()]),
    Many("mine", [ValueError(1)]),
]


@pytest.mark.parametrize("error", BUILTIN, ids=lambda e: type(e).__name__)
def test_builtin_exceptions_come_back(error):
    again = back(error)
    assert type(again) is type(error)
    assert (str(again), repr(again), repr(again.args)) == (str(error), repr(error), repr(error.args))
    for name in ("errno", "filename", "filename2", "code", "value", "name", "path", "lineno", "text", "start"):
        assert getattr(again, name, None) == getattr(error, name, None)
    assert ENCODER.digest(again) == ENCODER.digest(error)


def test_a_users_exception_comes_back_without_its_code(monkeypatch):
    error = caught(lambda: raise_from(RateLimitError("slow down", retry_after=5), KeyError("why")))
    error.add_note("second try")
    encoded = ENCODER.encode(error)
    monkeypatch.setattr(sys, "_decoding", True, raising=False)
    again = Decoder(dict(encoded.objects).__getitem__).decode(encoded.id)
    assert type(again) is RateLimitError
    assert str(again) == "slow down, retry in 5 s"
    assert again.retry_after == 5
    assert again.response == "<object object>"
    assert again.__notes__ == ["second try"]
    assert repr(again.__cause__) == "KeyError('why')"
    assert again.__suppress_context__
    assert again.__traceback__ is None


def raise_from(error, cause):
    raise error from cause


def test_slots_and_fields_come_back():
    error = Slotted("x")
    error.code = [7]
    assert back(error).code == [7]
    again = back(Structured(5))
    assert (again.code, again.args) == (5, (5,))
    assert again == Structured(5)


def test_what_cannot_be_stored_is_kept_as_text():
    error = ValueError("kept", object(), [object()])
    assert back(error).args == ("kept", "<object object>", "[<object object>]")
    assert back(ValueError(EvilThing())).args == ("<EvilThing>",)
    assert type(back(Evil("x"))) is Evil


def test_objects_of_what_was_given_up_are_not_left_behind():
    encoded = ENCODER.encode(ValueError(["x" * 1000, object()]))
    assert all(b"x" * 1000 not in data or b"object" in data for _, data in encoded.objects)


def test_cycles_end():
    error = ValueError("a")
    error.me = [error, error]
    error.__cause__ = other = KeyError("b")
    other.back = error
    other.__cause__ = error
    again = back(error)
    assert str(again.__cause__) == "'b'"
    assert again.__cause__.__cause__ is None
    assert isinstance(again.me, str)


def test_a_long_chain_of_causes_ends():
    error = None
    for i in range(1000):
        error, cause = ValueError(i), error
        error.__cause__ = cause
    assert str(back(error)) == "999"


def test_a_class_that_is_gone_is_its_nearest_base():
    error = RateLimitError("slow", retry_after=1)

    def without(name):
        return None if name.endswith("RateLimitError") else loaded_class(name)

    again = back(error, class_of=without)
    assert type(again) is ValueError
    assert str(again) == str(error)
    assert again.retry_after == 1

    class Local(LookupError):
        pass

    assert type(back(Local("x"))) is LookupError


def test_without_a_telling_base_it_is_a_recorded_error():
    class Local(Exception):
        def __str__(self):
            return "told by itself"

    again = back(Local(1, 2))
    assert type(again) is RecordedError
    assert str(again) == "told by itself"
    assert again.class_name.endswith("Local")
    assert again.original_args == (1, 2)
    assert "Local: told by itself" in repr(again)


def test_reading_verbs_see_the_original_name():
    again = back(RateLimitError("slow", retry_after=1), class_of=lambda name: None, opaque=True)
    assert type(again) is RecordedError
    assert again.class_name.endswith("RateLimitError")


def test_a_class_whose_builder_is_its_own_is_its_base():
    pydantic = pytest.importorskip("pydantic")
    error = caught(lambda: pydantic.TypeAdapter(int).validate_python("x"))
    again = back(error)
    assert isinstance(again, ValueError)
    assert str(again) == str(error)
