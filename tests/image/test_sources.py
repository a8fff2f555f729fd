"""Whatever stands for a picture gives the same pixels, and values that are not what their type says are refused."""

from __future__ import annotations

import subprocess
import sys
from io import BytesIO, StringIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minitorch_style.errors import ImageError, ShapeError
from minitorch_style.image.io import Picture, load_picture
from minitorch_style.image.sources import is_one, picture_of

PHOTO = Path(__file__).resolve().parents[2] / "examples" / "photo.jpg"


@pytest.mark.parametrize("size", [None, 96, 4000])
@pytest.mark.parametrize("kind", ["name", "path", "bytes", "bytearray", "file", "pipe", "pillow", "uint8"])
def test_every_source_gives_the_same_pixels(kind: str, size: int | None) -> None:
    data = PHOTO.read_bytes()

    class Pipe(BytesIO):
        def seekable(self) -> bool:
            return False

    sources = {
        "name": str(PHOTO), "path": PHOTO, "bytes": data, "bytearray": bytearray(data), "file": BytesIO(data),
        "pipe": Pipe(data), "pillow": Image.open(PHOTO), "uint8": np.asarray(Image.open(PHOTO)),
    }  # fmt: skip
    picture, expected = picture_of(sources[kind], size), load_picture(PHOTO, size)
    assert np.array_equal(picture.pixels, expected.pixels) and picture.alpha is None
    assert is_one(sources[kind])


def grey() -> np.ndarray:
    return np.linspace(0, 1, 35).reshape(5, 7)


@pytest.mark.parametrize(
    "dtype", ["uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float16", "float32", "float64", ">u2"]
)  # fmt: skip
@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 3), (5, 7, 4)])
def test_arrays_of_every_type_and_shape(dtype: str, shape: tuple[int, ...]) -> None:
    kind = np.dtype(dtype)
    white = 1 if kind.kind == "f" else np.iinfo(kind).max * 0.9999  # which a float64 of 2⁶³ − 1 would exceed
    values = np.repeat(grey()[..., None], 4, axis=2)[..., : shape[2] if len(shape) == 3 else 1]
    if len(shape) == 3 and shape[2] == 4:
        values[..., 3] = 0.5
    picture = picture_of((values * white).astype(kind).reshape(shape))
    alpha = shape[-1] == 4 and len(shape) == 3
    expected = 0.5 * grey() + 0.5 if alpha else grey()
    step = 1.01 / 127 if dtype == "int8" else 1.01 / 255
    assert picture.pixels.shape == (5, 7, 3) and picture.pixels.dtype == np.float32
    assert np.abs(picture.pixels - expected[..., None]).max() < step
    assert (picture.alpha is not None) == alpha
    if alpha:
        assert np.abs(picture.alpha - 0.5).max() < step


def test_booleans_are_black_and_white() -> None:
    assert np.array_equal(picture_of(grey() > 0.5).pixels[..., 0], grey() > 0.5)


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (255.0 * grey(), "found 0 to 255"),
        (grey() * 1.2, "found 0 to 1.2"),
        (grey() - 0.5, "found -0.5"),
        (np.full((4, 4, 3), np.nan), "found NaN"),
        (np.full((4, 4, 3), np.inf), "found infinity"),
        (np.round(255 * grey()).astype(np.int64), r"none above 255.*astype\(np.uint8\)"),
        (np.round(255 * grey()).astype(np.int32), "none above 255"),
        (np.full((4, 4), -1, np.int16), "found -1"),
        (np.full((4, 4), 1j), "expected numbers"),
        (np.full((4, 4), "a"), "expected numbers"),
    ],
)
def test_values_that_lie_are_refused_with_what_was_found(array: np.ndarray, found: str) -> None:
    with pytest.raises(ImageError, match=f"style 2: .*{found}"):
        picture_of(array, name="style 2")
    if array.ndim == 3:
        with pytest.raises(ImageError, match=found):
            picture_of(Picture(array))


def test_floats_may_be_out_by_a_rounding() -> None:
    pixels = picture_of(grey() * 1.002 - 0.001).pixels
    assert pixels.min() == 0 and pixels.max() == 1


@pytest.mark.parametrize("shape", [(5,), (5, 7, 2), (5, 7, 5), (0, 7, 3), (2, 5, 7, 3)])
def test_arrays_of_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="expected pixels"):
        picture_of(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("source", [None, 5, StringIO("text"), open, {"a": 1}])
def test_what_is_no_picture(source: object) -> None:
    with pytest.raises(ImageError, match=r"content: (expected a file|is open for text)"):
        picture_of(source, name="content")


def test_a_closed_file() -> None:
    file = BytesIO(PHOTO.read_bytes())
    file.close()
    with pytest.raises(ImageError, match="cannot be read"):
        picture_of(file)


def test_sizes_apply_to_everything_and_alpha_alike() -> None:
    pixels, alpha = np.full((40, 80, 3), 0.25, np.float32), np.full((40, 80), 0.5, np.float32)
    picture = picture_of(Picture(pixels, alpha, ("a note",)), 20)
    assert picture.size == (10, 20) and picture.alpha is not None and picture.alpha.shape == (10, 20)
    assert np.allclose(picture.pixels, 0.25) and picture.notes == ("a note",)
    assert picture_of(Picture(pixels), 4000).pixels is pixels


def test_an_image_of_pillow_stays_as_it_is() -> None:
    image = Image.new("RGBA", (8, 6), (10, 20, 30, 128))
    before = image.tobytes()
    assert picture_of(image, 4).size == (3, 4) and picture_of(image).alpha is not None
    assert image.tobytes() == before and image.size == (8, 6)


def test_without_pillow() -> None:
    """Arrays are taken, PPM files read, all else refused with what is missing."""
    code = (
        "import sys; sys.modules['PIL'] = None\n"
        "import numpy as np\n"
        "from minitorch_style.errors import ImageError\n"
        "from minitorch_style.image.sources import picture_of\n"
        "assert picture_of(np.full((8, 8, 4), 255, np.uint8), 4).pixels.shape == (4, 4, 3)\n"
        "assert picture_of(np.full((8, 8), 65535, np.uint16)).pixels.min() == 1\n"
        "assert picture_of(b'P6 2 1 255\\n' + bytes(6)).size == (1, 2)\n"
        "try:\n    picture_of('examples/photo.jpg')\nexcept ImageError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PHOTO.parents[1])
    assert done.stdout.strip() == "examples/photo.jpg: without Pillow only binary PPM pictures (P6) can be read", (
        done.stderr
    )
