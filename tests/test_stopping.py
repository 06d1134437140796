"""Signals are held back until a block ends, and lost in no case."""

import os
import signal
import subprocess
import sys
import textwrap
import threading

import pytest

from partdisc.stopping import SIGNALS, held_back


class Asked(Exception):
    pass


@pytest.fixture(params=SIGNALS)
def number(request):
    """A signal that raises `Asked` where nothing holds it back."""

    def handler(*_):
        raise Asked

    before = {one: signal.signal(one, handler) for one in SIGNALS}
    yield request.param
    for one, old in before.items():
        signal.signal(one, old)


def test_it_comes_when_the_block_ends(number):
    done = []
    with pytest.raises(Asked), held_back() as asked:
        assert not asked()
        os.kill(os.getpid(), number)
        assert asked()
        done.append("saved")
    assert done == ["saved"]
    with pytest.raises(Asked):
        os.kill(os.getpid(), number)


def test_a_second_one_comes_at_once(number):
    done = []
    with pytest.raises(Asked), held_back():
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
        done.append("too late")
    assert done == []


def test_without_one_nothing_happens(number):
    handlers = [signal.getsignal(one) for one in SIGNALS]
    with held_back() as asked:
        pass
    assert not asked() and [signal.getsignal(one) for one in SIGNALS] == handlers
    with pytest.raises(ZeroDivisionError), held_back():
        raise ZeroDivisionError
    assert [signal.getsignal(one) for one in SIGNALS] == handlers


def test_what_is_ignored_stays_ignored(number):
    signal.signal(number, signal.SIG_IGN)
    with held_back() as asked:
        os.kill(os.getpid(), number)
        assert not asked()
    assert signal.getsignal(number) == signal.SIG_IGN


def test_a_thread_leaves_them_alone(number):
    found = []

    def work():
        with held_back() as asked:
            found.append((asked(), signal.getsignal(number)))

    before = signal.getsignal(number)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [(False, before)]


def test_who_did_not_ask_python_is_ended_by_the_signal_itself():
    code = """
    import os, signal
    from partdisc.stopping import held_back
    with held_back() as asked:
        os.kill(os.getpid(), signal.SIGTERM)
        print("saved", asked(), flush=True)
    print("never")
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True
    )
    assert (ended.stdout, ended.returncode) == ("saved True\n", -signal.SIGTERM)
