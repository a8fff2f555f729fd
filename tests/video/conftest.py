"""What tests of films share."""

from __future__ import annotations

import pytest

from minitorch_style.video import flow


@pytest.fixture
def finder() -> flow.Flow:
    pytest.importorskip("cv2", reason="needs OpenCV (the video extra)")
    return flow.Flow()
