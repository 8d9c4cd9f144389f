"""Classes of users: what comes back, what is refused and where, and what happens when a class changes or is gone."""

import collections
import dataclasses
import enum
import functools
import sys
import threading
import typing

import pytest

from kitaru.errors import SchemaChanged, Unencodable, UsageError
from kitaru.model.encoding import Decoder, Encoder, Opaque, class_name, loaded_class, register_serializer


@dataclasses.dataclass
class Plan:
    title: str
    steps: list = dataclasses.field(default_factory=list)
    late: int = dataclasses.field(init=False)

    @functools.cached_property
    def size(self):
        return len(self.steps)


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    x: int
    y: object = None

    def __post_init__(self):
        assert not getattr(sys, "_decoding", False), "a decoder must not run this"


class Slotted:
    __slots__ = ("__hidden",)

    def hide(self, value):
        self.__hidden = value

    def shown(self):
        return self.__hidden


@dataclasses.dataclass
class Mixed(Slotted):
    a: int


class Point(typing.NamedTuple):
    x: int
    y: int = 0


class Colour(enum.Enum):
    RED = 1
    CRIMSON = 1
    LOCK = threading.Lock


class Mood(enum.StrEnum):
    GOOD = "good"


class Level(enum.IntEnum):
    LOW = 1


class Perm(enum.Flag):
    R = 1
    W = 2


class Kept(enum.IntFlag):
    A = 1


@dataclasses.dataclass
class Odd(dict):
    a: int = 0


ENCODER = Encoder()


def recorded(value):
    encoded = ENCODER.encode(value)
    return encoded.id, dict(encoded.objects).__getitem__


def back(value, **options):
    object_id, fetch = recorded(value)
    return Decoder(fetch, **options).decode(object_id)


def plan():
    made = Plan("t", [1, Frozen(1)])
    assert made.size == 2
    made.further = {"k": 1}
    return made


MEMBERS = [Colour.RED, Colour.CRIMSON, Colour.LOCK, Mood.GOOD, Level.LOW, Perm.R, Perm.R | Perm.W, Perm(0), Kept(9)]


@pytest.mark.parametrize("member", MEMBERS, ids=repr)
def test_members_come_back_as_themselves(member):
    assert back([member])[0] is member


@pytest.mark.parametrize("value", [Frozen(1, Frozen(2)), Point(1), Point(Point(1), [2]), Mood.GOOD], ids=repr)
def test_structures_come_back(value, monkeypatch):
    monkeypatch.setattr(sys, "_decoding", False, raising=False)
    object_id, fetch = recorded(value)
    monkeypatch.setattr(sys, "_decoding", True)
    again = Decoder(fetch).decode(object_id)
    assert type(again) is type(value)
    assert again == value


def test_everything_an_instance_holds_comes_back():
    again = back(plan())
    assert type(again) is Plan
    assert vars(again) == vars(plan())
    assert not hasattr(again, "late")
    mixed = Mixed(1)
    mixed.hide([2])
    assert (back(mixed).a, back(mixed).shown()) == (1, [2])


def test_equal_members_of_other_types_differ():
    assert len({ENCODER.digest(v) for v in (Mood.GOOD, "good", Level.LOW, 1, Perm.R, Kept.A, Point(1), (1, 0))}) == 8


def local_class():
    @dataclasses.dataclass
    class Local:
        a: int

    return Local(1)


def generator():
    yield


def holding(**further):
    made = plan()
    vars(made).update(further)
    return made


Hidden = dataclasses.make_dataclass("NotHidden", ["a"])
REFUSED = {
    'value["key"]': {"key": threading.Lock()},
    "value": lambda: None,
    "value[0]": [generator()],
    "value[1]": (1, sys),
    "value[2]": [1, 2, int],
    'value["a"].y[1]': {"a": Frozen(1, [1, object()])},
    "value.steps": Plan("t", iter([])),
    "value.further": holding(further=object()),
    'value.further["a"]': holding(further={"a": object()}),
    'value["o"]': {"o": collections.OrderedDict()},
    'value["d"]': {"d": collections.defaultdict(list)},
    "value{…}": {object()},
    "value[5]": {5: object()},
    'value["l"]': {"l": local_class()},
    'value["h"]': {"h": Hidden(1)},
    'value["odd"]': {"odd": Odd()},
}


@pytest.mark.parametrize(("path", "value"), REFUSED.items(), ids=REFUSED)
def test_what_cannot_be_stored_is_named_with_its_path(path, value):
    with pytest.raises(Unencodable) as caught:
        ENCODER.encode(value)
    assert caught.value.path == path
    assert str(caught.value).startswith(f"{path} is a ")
    with pytest.raises(Unencodable, match=r"^docs"):
        ENCODER.digest(value, path="docs")


def test_a_subclass_of_a_builtin_is_not_its_base():
    class Name(str):
        __slots__ = ()

    with pytest.raises(Unencodable, match=r"Name.*subclass of str"):
        ENCODER.encode(Name("x"))


def test_cycles_and_depth():
    loop: list = []
    loop.append({"again": loop})
    with pytest.raises(Unencodable, match="contains itself"):
        ENCODER.encode(loop)
    deep: object = 1
    for _ in range(199):
        deep = [deep]
    assert back(deep) == deep
    with pytest.raises(Unencodable, match="200 levels"):
        ENCODER.encode([[deep]])
    chain = None
    for _ in range(199):
        chain = Frozen(1, chain)
    assert ENCODER.digest(back(chain)) == ENCODER.digest(chain)


def test_a_full_call_stack_is_an_error_of_ours():
    def dig(n):
        if n:
            return dig(n - 1)
        return ENCODER.encode(functools.reduce(lambda inner, _: [inner], range(150), 1))

    limit = sys.getrecursionlimit()
    depth = len(__import__("inspect").stack())
    with pytest.raises(Unencodable, match="call stack"):
        dig(limit - depth - 60)


def test_a_refusal_is_not_remembered():
    class Later:
        pass

    with pytest.raises(Unencodable):
        ENCODER.encode(Later())
    register_serializer(Later, name="test.later", encode=lambda _: {"v": [1]}, decode=lambda data: (Later, data))
    object_id, fetch = recorded([Later()])
    assert Decoder(fetch).decode(object_id) == [(Later, {"v": [1]})]


def test_registered_serializers():
    class Money:
        def __init__(self, cents):
            self.cents = cents

    def encode(money):
        return {"cents": money.cents}

    register_serializer(Money, name="test.money", encode=encode, decode=lambda data: Money(data["cents"]))
    assert back(Money(5)).cents == 5
    with pytest.raises(Unencodable, match=r"value\[0\].*returned by the serializer 'test.money'"):
        ENCODER.encode([Money(object())])
    with pytest.raises(UsageError, match="belongs to"):
        register_serializer(Plan, name="test.money", encode=vars, decode=lambda data: Plan(**data))
    with pytest.raises(UsageError, match="itself"):
        register_serializer(dict, name="test.dict", encode=list, decode=dict)
    object_id, fetch = recorded(Money(5))
    register_serializer(Money, name="test.money2", encode=encode, decode=lambda data: Money(data["cents"]))
    with pytest.raises(SchemaChanged, match=r"test\.money"):
        Decoder(fetch).decode(object_id)
    assert Decoder(fetch, opaque=True).decode(object_id) == Opaque("test.money", {"value": {"cents": 5}})


def renamed(cls):
    return lambda name: cls


def test_a_dataclass_that_changed():
    @dataclasses.dataclass
    class Grown:
        x: int
        y: object
        z: list = dataclasses.field(default_factory=lambda: [9])

    @dataclasses.dataclass
    class Demanding:
        x: int
        y: object
        z: int

    @dataclasses.dataclass
    class Shrunk:
        x: int

    again = back(Frozen(1), class_of=renamed(Grown))
    assert (type(again), again.x, again.y, again.z) == (Grown, 1, None, [9])
    with pytest.raises(SchemaChanged, match=r"Frozen.*new field z has no default"):
        back(Frozen(1), class_of=renamed(Demanding))
    with pytest.raises(SchemaChanged, match=r"Frozen.*no field y"):
        back(Frozen(1), class_of=renamed(Shrunk))


def test_a_named_tuple_that_changed():
    class Point3(typing.NamedTuple):
        y: int
        x: int
        z: int = 7

    assert back(Point(1, 2), class_of=renamed(Point3)) == Point3(x=1, y=2, z=7)


def test_an_enum_that_changed():
    class Other(enum.Enum):
        BLUE = 1

    with pytest.raises(SchemaChanged, match="no member RED"):
        back(Colour.RED, class_of=renamed(Other))
    with pytest.raises(SchemaChanged, match="no member of value 3"):
        back(Perm.R | Perm.W, class_of=renamed(Other))
    with pytest.raises(SchemaChanged, match="no combination"):
        back(Kept(9), class_of=renamed(Perm))


VALUES = [Plan("t"), Frozen(1), Point(1), Colour.RED, Perm.R | Perm.W]


@pytest.mark.parametrize("value", VALUES, ids=lambda v: type(v).__name__)
@pytest.mark.parametrize("found", [None, dict, threading.Thread, Slotted])
def test_a_class_that_is_gone_or_not_of_a_kind_that_data_may_name(value, found):
    with pytest.raises(SchemaChanged, match=type(value).__name__):
        back([value], class_of=renamed(found))
    (shown,) = back([value], class_of=renamed(found), opaque=True)
    assert type(shown) is Opaque
    assert shown.class_name == class_name(type(value))


def test_opaque_values_read_well():
    shown = back(Point(1, 2), class_of=renamed(None), opaque=True)
    assert repr(shown) == "<Point x=1, y=2>"
    assert shown == Opaque(class_name(Point), {"x": 1, "y": 2})
    with pytest.raises(Unencodable):
        ENCODER.encode(shown)


def test_a_name_is_looked_up_without_importing_or_running_anything():
    assert loaded_class(class_name(Point)) is Point
    assert loaded_class("no.such.module:X") is None
    assert loaded_class("os:path.join") is None
    assert loaded_class("sys:modules.os") is None
    assert loaded_class("") is None
    assert "antigravity" not in sys.modules
    assert loaded_class("antigravity:X") is None
    assert "antigravity" not in sys.modules


def test_names_are_given_by_the_caller():
    encoder = Encoder(name_of=lambda cls: f"mine:{cls.__qualname__}")
    encoded = encoder.encode(Point(1))
    asked = []
    Decoder(dict(encoded.objects).__getitem__, class_of=lambda name: asked.append(name) or Point).decode(encoded.id)
    assert asked == ["mine:Point"]
