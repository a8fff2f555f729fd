"""What a file is by its first bytes, and what to do with the kinds that are not read here."""

from __future__ import annotations

CONVERT = "save it as JPEG or PNG"
VIDEO = "is a video, not a picture; save one of its frames as PNG"
WEB_PAGE = "is a web page, not a picture; download the picture itself"

# Bytes at an offset, and what to say of the file.
SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG", "is a damaged PNG file"),
    (0, b"\xff\xd8\xff", "is a damaged JPEG file"),
    (0, b"GIF8", "is a damaged GIF file"),
    (8, b"WEBP", "is a damaged WebP file"),
    (8, b"AVI ", VIDEO),
    (0, b"\x1aE\xdf\xa3", VIDEO),
    (8, b"CR\x02", f"is a camera's raw file, which is not read here; develop it first, and {CONVERT}"),
    (0, b"IIU\0", f"is a camera's raw file, which is not read here; develop it first, and {CONVERT}"),
    (0, b"FUJIFILMCCD-RAW", f"is a camera's raw file, which is not read here; develop it first, and {CONVERT}"),
    (0, b"II*\0", "is a TIFF of a kind that is not read here (or damaged); save it as RGB of 8 or 16 bits"),
    (0, b"MM\0*", "is a TIFF of a kind that is not read here (or damaged); save it as RGB of 8 or 16 bits"),
    (0, b"v/1\x01", "is an OpenEXR picture, whose light has no upper end; tone-map it, and save it as PNG or TIFF"),
    (
        0,
        b"#?RADIANCE",
        "is a Radiance HDR picture, whose light has no upper end; tone-map it, and save it as PNG or TIFF",
    ),
    (0, b"\xff\x0a", f"is a JPEG XL picture, which is not read here; {CONVERT}"),
    (4, b"JXL ", f"is a JPEG XL picture, which is not read here; {CONVERT}"),
    (4, b"jP  ", f"is a JPEG 2000 picture, which this Pillow cannot read; {CONVERT}"),
    (0, b"8BPS", "is a Photoshop file, which is not read here; export it as PNG or TIFF"),
    (0, b"%PDF", "is a PDF file, not a picture; export a page as PNG"),
    (0, b"%!PS", "is a PostScript file, not a picture in pixels; export it as PNG"),
    (0, b"version https://git-lfs", "is a Git LFS pointer, not the picture itself; `git lfs pull` fetches it"),
    (128, b"DICM", "is a DICOM file, which is not read here; export it as PNG"),
    (0, b"PK\x03\x04", "is a zip archive, not a picture; unpack it"),
)
# Brands of the ISO media container that `ftyp` opens.
HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
AVIF = (b"avif", b"avis")


def is_heic(head: bytes) -> bool:
    """Whether these are the first bytes of a HEIC photo, as phones make them."""
    return head[4:8] == b"ftyp" and head[8:12] in HEIC and not any(brand in head[8:64] for brand in AVIF)


def advice(head: bytes, readable: tuple[str, ...]) -> str:
    """What to say of a file that no decoder takes, from its first 512 bytes; `readable` are the formats that are read."""
    if head[4:8] == b"ftyp":
        if any(brand in head[8:64] for brand in AVIF):
            if "AVIF" in readable:
                return "is a damaged AVIF file"
            return f"is an AVIF picture: Pillow 11.3 or newer reads it (`pip install -U pillow`), or {CONVERT}"
        if is_heic(head):
            return f"is a HEIC photo (or a damaged one): `pip install pillow-heif` lets it be read, or {CONVERT}"
        return VIDEO
    for offset, signature, sentence in SIGNATURES:
        if head[offset : offset + len(signature)] == signature:
            return sentence
    text = head.lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return WEB_PAGE
    if text.startswith((b"<svg", b"<?xml")):
        return "is SVG or other XML, not a picture in pixels; export it as PNG"
    return f"not a picture in a format this program reads ({', '.join(readable)})"
