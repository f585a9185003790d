"""Signals to the process itself: heard wherever it is, once."""

import signal
import subprocess
import sys

import pytest

from lt_lightning.interruption import Interruption

SWALLOWED = """
import os, signal
from lt_lightning.interruption import interruption, listen, stop_if_asked

class Careless:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)

listen()
stop_if_asked()
careless = Careless()
del careless
try:
    stop_if_asked()
except BaseException as error:
    print(error)
print(interruption(RuntimeError("of another thread")).code)
"""
TWICE = """
import os, signal
from lt_lightning.interruption import listen

listen()
try:
    os.kill(os.getpid(), signal.SIGTERM)
finally:
    os.kill(os.getpid(), signal.SIGINT)
"""
FORKED = """
import os, signal, time
from lt_lightning.interruption import listen

listen()
child = os.fork()
if not child:
    time.sleep(30)
    os._exit(0)
time.sleep(0.2)
os.kill(child, signal.SIGINT)
time.sleep(0.2)
print(os.waitpid(child, os.WNOHANG))
os.kill(child, signal.SIGTERM)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.parametrize(
    ("script", "code", "said"),
    [
        (SWALLOWED, 0, f"stopped by Ctrl-C: {Interruption(signal.SIGINT).advice}\n130\n"),
        (TWICE, 130, ""),
        (FORKED, 0, "(0, 0)\n-15\n"),
    ],
    ids=["where it was swallowed", "a second one ends at once", "not by the loaders of data"],
)
def test_a_signal_is_heard(script: str, code: int, said: str) -> None:
    heard = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (heard.returncode, heard.stdout) == (code, said)
