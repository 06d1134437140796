"""Signals that ask to stop, held back until what was done is saved."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

# The user's key, and what schedulers send before they kill.
SIGNALS = (signal.SIGINT, signal.SIGTERM)


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
