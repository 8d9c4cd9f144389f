"""What the benchmark of isolated calls calls: in a module of its own, for a worker imports it."""

from __future__ import annotations

import numpy as np

from kitaru import checkpoint


@checkpoint(runtime="isolated")
def there(n: int) -> int:
    return n


@checkpoint
def here(n: int) -> int:
    return n


@checkpoint(runtime="isolated")
def halved(array: np.ndarray) -> np.ndarray:
    array *= 0.5  # the work is little, and no more memory is touched
    return array
