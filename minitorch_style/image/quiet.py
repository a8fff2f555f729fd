"""Decoders made to work in silence: what they have to say goes into an error or a note, or nowhere."""

from __future__ import annotations

import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_LOCK = threading.RLock()  # warnings' filters, Pillow's limit and file descriptor 2 belong to the whole process

# Without a handler of its own, what Pillow logs would go to stderr where a program has set up no logging.
logging.getLogger("PIL").addHandler(logging.NullHandler())


@contextmanager
def no_warnings() -> Iterator[None]:
    """A context without Python's warnings, and for one thread at a time."""
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def no_native_messages() -> Iterator[None]:
    """A context in which C libraries (libtiff) write to nowhere in place of stderr. Kept to the decoding of one file."""
    if sys.__stderr__ is None:  # closed from the beginning: descriptor 2 may be any file, even the picture
        yield
        return
    try:
        before = os.dup(2)
    except OSError:
        yield
        return
    with suppress(OSError, ValueError):
        sys.__stderr__.flush()  # what is still waiting belongs to the real one
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)
