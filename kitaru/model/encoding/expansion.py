"""How much reading a value reads, where the value refers to the same parts again and again.

Owns: the count, over the objects alone and each of them once. To read such a value in order to see that it is too large
takes half a minute and gigabytes. The limit is `session.REPEAT_BUDGET`, for who writes as for who reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kitaru.model.encoding.references import Found, references
from kitaru.model.encoding.session import SHARED_TAGS, weight

if TYPE_CHECKING:
    from collections.abc import Callable


def repeated_bytes(root: bytes, fetch: Callable[[str], bytes]) -> int:
    """Return how much reading a value reads again, as `Session` counts it.

    Args:
        root: the value's root object.
        fetch: returns an object's bytes by id.

    Raises:
        Malformed: no encoder writes such bytes.
    """
    sizes: dict[str, int] = {}  # what one reading of an object reads, with all below it
    owns: dict[str, int] = {}  # what it has itself
    texts: set[str] = set()  # read once for all references to them, but anew as parts of a longer text
    parts: set[str] = set()
    waiting: list[tuple[str, bytes | None, Found]] = [("", root, references(root))]
    while waiting:
        object_id, data, below = waiting.pop()
        if data is None:
            if object_id in sizes:
                continue
            sizes[object_id] = 0  # where it is found in itself, as only a fetch that lies gives it
            data = fetch(object_id)
            below = references(data)
            if data[0] in SHARED_TAGS:
                texts.add(object_id)
        left = [part for part in dict.fromkeys(below) if part not in sizes]
        if left:
            waiting.append((object_id, data, below))
            waiting += [(part, None, below) for part in left]
            continue
        parts.update(below.parts)
        owns[object_id] = weight(data)
        read = [part for part in below if part not in texts] + [part for part in below.parts if part in texts]
        sizes[object_id] = owns[object_id] + sum([sizes[part] for part in read])
    return sizes[""] - sum(own for object_id, own in owns.items() if object_id not in texts or object_id in parts)
