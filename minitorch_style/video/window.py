"""A window that shows pictures, by the standard library's Tk, whose only importer this is."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from minitorch_style.arrays import Rgb8
from minitorch_style.errors import UnsupportedError
from minitorch_style.image.ppm import encode

SHORTEST = 480  # pixels: smaller pictures are shown two, three … times as large


CLOSING = ("q", "\x1b")


class Window:
    """Open from the start; `open` is false once a person has closed it, by q, Escape or its frame. `keys` are what to do at
    other keys."""

    def __init__(self, title: str, keys: Mapping[str, Any]) -> None:
        try:
            import tkinter
        except ImportError as error:
            raise UnsupportedError("a window needs Tk (Debian: python3-tk)") from error
        self._tk: Any = tkinter
        try:
            self._root = tkinter.Tk()
        except tkinter.TclError as error:
            raise UnsupportedError(f"no window can be opened here ({error})") from error
        self.open, self._keys = True, dict(keys)
        self._root.title(title)
        self._root.protocol("WM_DELETE_WINDOW", self.close)
        self._root.bind("<Key>", self._pressed)
        self._image: Any = None
        self._label: Any = tkinter.Label(self._root, borderwidth=0)
        self._label.pack()

    def show(self, picture: Rgb8, title: str) -> None:
        """A picture (H, W, 3); takes in what a person has done meanwhile."""
        with suppress(self._tk.TclError):  # closed this moment
            image = self._tk.PhotoImage(data=encode(picture), format="PPM")
            times = max(1, SHORTEST // max(picture.shape))
            if times > 1:
                image = image.zoom(times)
            self._label.configure(image=image)
            self._image = image  # Tk does not hold it
            self._root.title(title)
            self._root.update()

    def close(self) -> None:
        if self.open:
            self.open = False
            self._root.destroy()

    def _pressed(self, event: Any) -> None:
        if event.char in CLOSING:
            self.close()
        elif event.char in self._keys:
            self._keys[event.char]()
