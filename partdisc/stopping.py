"""Signals that ask to stop: what becomes of the program, and how they are held back."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator

from partdisc.errors import Stopped

# The user's key, and what schedulers send before they kill.
SIGNALS = (signal.SIGINT, signal.SIGTERM)


def heard(handler: Callable[[int, object], None]) -> None:
    """Have what asks to stop handled; what is ignored stays so.

    Args:
      handler: `end`, where nothing may be raised, as while libraries are loaded: their C code takes
        it for a fault of their own, or crashes; `stop` where there is work to be left in order.
    """
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handler)


def end(number: int, _) -> None:
    """End the process on the spot."""
    os._exit(told(number))


def told(number: int) -> int:
    """Say that the program was stopped; return its exit status."""
    heard(lambda another, _: os._exit(128 + another))  # It is said once.
    name = signal.Signals(number).name
    os.write(2, f"stopped by {name}; the same command goes on from here\n".encode())
    return 128 + number


def stop(number: int, _) -> None:
    """Raise errors.Stopped."""
    raise Stopped(number)


@contextlib.contextmanager
def held_back() -> Iterator[Callable[[], bool]]:
    """Hold back what asks to stop until the block ends; a second one comes at once.

    Yields:
      A function that says whether the block was asked to end.
    """
    came: list[int] = []
    before: dict[int, object] = {}

    def give_back() -> None:
        while before:
            number, handler = before.popitem()
            signal.signal(number, handler)

    def note(number: int, _) -> None:
        if came:
            give_back()
            signal.raise_signal(number)
        came.append(number)

    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            # None is a handler that is not Python's; what is ignored stays so.
            if signal.getsignal(number) not in (None, signal.SIG_IGN):
                before[number] = signal.signal(number, note)
    try:
        yield lambda: bool(came)
    finally:
        held = bool(before)
        give_back()
        if came and held:
            signal.raise_signal(came[0])
