"""What stands in for a recorded exception of which no class is loaded.

Owns: RecordedError. Knows no encoding.
"""

from __future__ import annotations


class RecordedError(Exception):
    """A recorded exception whose class is not here; `str()` gives the original's text.

    Attributes:
        class_name: `module:qualname` of the original's class.
        original_args: its `args`, as far as they could be recorded.
    """

    def __init__(self, text: str, *, class_name: str = "", original_args: tuple[object, ...] = ()) -> None:
        super().__init__(text)
        self.class_name = class_name
        self.original_args = original_args

    def __repr__(self) -> str:
        return f"<recorded {self.class_name.rpartition(':')[2] or 'error'}: {self}>"
