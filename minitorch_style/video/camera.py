"""Where live frames come from: a camera by OpenCV, or a film file that plays as fast as it was filmed. Only the newest frame
counts: those that nobody had time for are gone."""

from __future__ import annotations

import threading
import time
from contextlib import AbstractContextManager
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from minitorch_style.arrays import Rgb8
from minitorch_style.errors import ImageError, UnsupportedError
from minitorch_style.image.resize import reduced_size
from minitorch_style.video.frames import Frame, Reader

WAITING = 5.0  # seconds for a camera's next frame


class Source(AbstractContextManager["Source"], Protocol):
    """A context. `size` is (height, width) of the frames."""

    size: tuple[int, int]

    def newest(self) -> Rgb8 | None:
        """The frame of this moment, one that was not given before; None when there are no more."""
        ...


class Camera:
    """The camera number `number` of this machine; frames arrive in a thread. ImageError if there is none."""

    def __init__(self, number: int) -> None:
        try:
            import cv2
        except ImportError as error:
            raise UnsupportedError("a camera needs OpenCV: pip install 'minitorch-style[video]'") from error
        self._cv2: Any = cv2
        self.name = f"camera {number}"
        logging: Any = cv2.utils.logging
        level = logging.setLogLevel(logging.LOG_LEVEL_SILENT)  # of a camera that is not there, this says it in one line
        self._capture: Any = cv2.VideoCapture(number)
        logging.setLogLevel(level)
        there, frame = self._capture.read() if self._capture.isOpened() else (False, None)
        if not there or frame is None:
            self._capture.release()
            raise ImageError(f"{self.name}: there is none, or another program has it")
        self.size = frame.shape[0], frame.shape[1]
        self._fresh, self._frame, self._open = threading.Condition(), frame, True
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Camera:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._open = False
        self._thread.join(WAITING)
        self._capture.release()

    def _read(self) -> None:
        while self._open:
            there, frame = self._capture.read()
            with self._fresh:
                self._open = self._open and there
                self._frame = frame if there else None
                self._fresh.notify()

    def newest(self) -> Rgb8 | None:
        with self._fresh:
            self._fresh.wait_for(lambda: self._frame is not None or not self._open, WAITING)
            frame, self._frame = self._frame, None
        return None if frame is None else np.asarray(self._cv2.cvtColor(frame, self._cv2.COLOR_BGR2RGB), np.uint8)


class Playing:
    """A film file, its longer side reduced to `longest` pixels. ImageError for what is none."""

    def __init__(self, path: Path, longest: int) -> None:
        self._reader = Reader(path)
        self.size = reduced_size(self._reader.size, longest)
        self._frames = self._reader.frames(self.size)
        self._next: Frame | None = next(self._frames, None)
        self._began: float | None = None

    def __enter__(self) -> Playing:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()

    def newest(self) -> Rgb8 | None:
        now = time.monotonic()
        self._began = now if self._began is None else self._began
        found = self._next
        if found is None:
            return None
        time.sleep(max(0.0, float(found.time) - (now - self._began)))
        seconds = Fraction(time.monotonic() - self._began)
        self._next = next(self._frames, None)
        while self._next is not None and self._next.time <= seconds:
            found, self._next = self._next, next(self._frames, None)
        return found.pixels
