"""When a failed attempt is made again, and after how long.

Owns: the policy, as pure arithmetic. Knows nothing of calls, records or sleeping; randomness is handed to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kitaru.errors import BadConfig, LimitReached, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

_RANDOM_BYTES = 4

_FINAL = (UsageError, LimitReached)
"""What comes out the same however often it is tried."""


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a failed call is attempted again, and how long is waited before: `initial`, then each time longer.

    What Kitaru itself refuses (a result that cannot be stored, a question asked in a checkpoint) is not attempted again
    unless `on` names it.

    Attributes:
        max_attempts: attempts in all, the first one included.
        initial: seconds before the second attempt.
        multiplier: by which each later delay is longer than the one before it.
        maximum: seconds that no delay exceeds.
        jitter: share of a delay, 0 to 1, that chance adds or takes away: many failures do not come back at once.
        on: exceptions that are worth another attempt.
        not_on: exceptions that are not, although `on` names a class of theirs.

    Raises:
        BadConfig: a number is out of its range, or what should be an exception is none.

    Source: capped exponential backoff with jitter, M. Brooker, AWS Architecture Blog, 2015.
    """

    max_attempts: int = 4
    initial: float = 1.0
    multiplier: float = 2.0
    maximum: float = 60.0
    jitter: float = 0.1
    on: tuple[type[BaseException], ...] = (Exception,)
    not_on: tuple[type[BaseException], ...] = ()

    def __post_init__(self) -> None:
        _check(
            type(self.max_attempts) is int and self.max_attempts >= 1, "max_attempts", self.max_attempts, "1 or more"
        )
        for name, value, low in (
            ("initial", self.initial, 0),
            ("maximum", self.maximum, 0),
            ("multiplier", self.multiplier, 1),
        ):
            _check(_is_number(value) and value >= low, name, value, f"a number, {low} or more")
        _check(_is_number(self.jitter) and 0 <= self.jitter <= 1, "jitter", self.jitter, "between 0 and 1")
        for name in ("on", "not_on"):
            given = getattr(self, name)
            classes = (given,) if isinstance(given, type) else tuple(given)
            fits = all(isinstance(c, type) and issubclass(c, BaseException) for c in classes)
            _check(fits, name, given, "exception classes")
            object.__setattr__(self, name, classes)

    def delay_us(self, attempt: int, error: BaseException, random_bytes: Callable[[int], bytes]) -> int | None:
        """Return the microseconds until the next attempt, or None where there is to be none.

        Args:
            attempt: number of the one that failed, from 1.
            error: by which it failed.
        """
        if attempt >= self.max_attempts or not self._is_worth_it(error):
            return None
        plain = min(self.maximum, self.initial * self._growth(attempt)) if self.initial else 0.0
        chance = int.from_bytes(random_bytes(_RANDOM_BYTES)) / (1 << (8 * _RANDOM_BYTES))  # 0 to 1
        return int(min(self.maximum, plain * (1 + self.jitter * (2 * chance - 1))) * 1_000_000)

    def _growth(self, attempt: int) -> float:
        try:
            return float(self.multiplier ** (attempt - 1))
        except OverflowError:
            return float("inf")

    def _is_worth_it(self, error: BaseException) -> bool:
        if isinstance(error, self.not_on) or not isinstance(error, self.on):
            return False
        return not isinstance(error, _FINAL) or any(issubclass(c, _FINAL) for c in self.on)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value  # noqa: PLR0124 - NaN is no number


def _check(fits: bool, name: str, value: object, wanted: str) -> None:
    if not fits:
        raise BadConfig(f"Retry({name}={value!r}) cannot be", hint=f"{name} is {wanted}")
