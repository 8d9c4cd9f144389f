"""Values as content-addressed objects: Kitaru's own canonical encoding, which defines every id.

Owns: the bytes of values (docs/format-values.md). Knows nothing of where objects are kept, of runs, or of disks.
Decoding never imports, calls or unpickles anything on the data's word.
"""

from kitaru.model.encoding.classes import Opaque, class_name, loaded_class
from kitaru.model.encoding.decoder import Decoder
from kitaru.model.encoding.encoder import Encoded, Encoder
from kitaru.model.encoding.recorded import RecordedError
from kitaru.model.encoding.references import references
from kitaru.model.encoding.registry import register_serializer
from kitaru.model.encoding.wire import Malformed, Part

__all__ = [
    "Decoder",
    "Encoded",
    "Encoder",
    "Malformed",
    "Opaque",
    "Part",
    "RecordedError",
    "class_name",
    "loaded_class",
    "references",
    "register_serializer",
]
