"""One thread for BLAS, and all of them back at the end."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from minitorch_style.kernels.blas import one_thread

threadpoolctl = pytest.importorskip("threadpoolctl")


def threads() -> set[int]:
    np.ones((2, 2)) @ np.ones((2, 2))  # loaded
    return {pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"}


def test_contexts_lie_in_one_another() -> None:
    with threadpoolctl.threadpool_limits(3, "blas"):
        before = threads()
        with one_thread():
            with one_thread():
                assert threads() == {1}
            assert threads() == {1}, "the inner one does not end the outer"
        assert threads() == before
        with pytest.raises(ZeroDivisionError), one_thread():
            raise ZeroDivisionError
        assert threads() == before


def test_a_thread_begun_within_one_has_a_limit_of_its_own() -> None:
    seen: list[set[int]] = []

    def other() -> None:
        with one_thread():
            seen.append(threads())

    with one_thread():
        beside = threading.Thread(target=other)
        beside.start()
        beside.join()
    assert seen == [{1}]
