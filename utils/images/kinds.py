"""What kind of file a file is: by its suffix, and by its first bytes if the suffix says nothing."""

from __future__ import annotations

import re
from pathlib import Path

# The formats that OpenCV reads.
IMAGE_SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif",
    ".avif", ".jp2", ".j2k", ".pbm", ".pgm", ".ppm", ".pnm", ".ras", ".sr",
)  # fmt: skip
VIDEO_SUFFIXES = (
    ".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".m2ts", ".mts",
    ".wmv", ".flv", ".3gp", ".3g2", ".ogv", ".h264", ".264", ".h265", ".hevc", ".vob", ".asf",
    ".mjpg", ".mjpeg", ".dav",
)  # fmt: skip
# Images that cannot be read, by suffix: what they are called in a sentence.
UNREADABLE_SUFFIXES = {
    ".heic": "HEIC", ".heif": "HEIC", ".hif": "HEIC", ".jxl": "JPEG XL", ".psd": "Photoshop",
    ".svg": "SVG", ".svgz": "SVG", ".xcf": "GIMP", ".ico": "icon", ".icns": "icon", ".tga": "TGA",
    ".pcx": "PCX", ".dds": "DDS", ".exr": "OpenEXR", ".hdr": "Radiance HDR", ".qoi": "QOI",
    ".cr2": "camera raw", ".cr3": "camera raw", ".nef": "camera raw", ".arw": "camera raw",
    ".dng": "camera raw", ".orf": "camera raw", ".rw2": "camera raw", ".raf": "camera raw",
    ".blp": "BLP", ".bufr": "BUFR", ".cur": "cursor", ".dcx": "PCX", ".dcm": "DICOM",
    ".dpx": "DPX", ".cin": "Cineon", ".fit": "FITS", ".fits": "FITS", ".flc": "FLI", ".fli": "FLI",
    ".ftc": "FTEX", ".ftu": "FTEX", ".gbr": "GIMP brush", ".grib": "GRIB", ".icb": "TGA",
    ".iim": "IPTC", ".im": "IM", ".mic": "Microsoft MIC", ".msp": "Microsoft Paint 1",
    ".palm": "Palm", ".pcd": "Photo CD", ".pfm": "PFM", ".pct": "PICT", ".pict": "PICT",
    ".ps": "PostScript",
    ".pxr": "PIXAR", ".bw": "SGI", ".rgb": "SGI", ".rgba": "SGI", ".sgi": "SGI", ".spi": "SPIDER",
    ".vda": "TGA", ".vst": "TGA", ".wal": "Quake 2", ".xbm": "XBM", ".xpm": "XPM",
    ".jxr": "JPEG XR", ".wdp": "JPEG XR", ".djvu": "DjVu", ".jbig2": "JBIG2", ".jb2": "JBIG2",
    ".pef": "camera raw", ".srw": "camera raw", ".eps": "PostScript", ".wmf": "WMF", ".emf": "WMF",
}  # fmt: skip
# Never opened to see whether they are images. ``.part`` is a file that is being written, and
# ``.body`` an answer of a recorded crawl.
OTHER_SUFFIXES = frozenset(
    (
        *VIDEO_SUFFIXES,
        ".txt", ".md", ".rst", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".toml",
        ".ini", ".cfg", ".log", ".html", ".htm", ".css", ".js", ".py", ".ipynb", ".sh", ".bat",
        ".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".npy", ".npz", ".mat", ".pkl",
        ".h5", ".keras", ".onnx", ".pt", ".pb", ".tflite", ".parquet", ".db", ".pdf", ".doc",
        ".docx", ".xls", ".xlsx", ".ods", ".odt", ".ppt", ".pptx", ".mp3", ".wav", ".m4a", ".ogg",
        ".lnk", ".url", ".lock", ".part", ".body", ".names", ".aae", ".xmp", ".thm",
    )
)  # fmt: skip

START_BYTES = 64  # enough for every signature below
SIGNATURES = (
    re.compile(rb"\xff\xd8\xff"),  # JPEG
    re.compile(rb"\x89PNG\r\n"),
    re.compile(rb"GIF8[79]a"),
    re.compile(rb"RIFF....WEBP", re.DOTALL),
    re.compile(rb"BM.{4}\0{4}.{4}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", re.DOTALL),
    re.compile(rb"II[*+]\0|MM\0[*+]"),  # TIFF
    re.compile(rb"\0\0\0\x0cjP  \r\n|\xff\x4f\xff\x51"),  # JPEG 2000
    re.compile(rb"P[1-6]\s+(#[^\n]*\n)?\s*\d+\s+\d+\s"),  # PBM, PGM, PPM
    re.compile(rb"\x59\xa6\x6a\x95"),  # Sun raster
)
UNREADABLE_SIGNATURES = {
    "JPEG XL": re.compile(rb"\xff\x0a|\0\0\0\x0cJXL \r\n"),
    "Photoshop": re.compile(rb"8BPS\0"),
    "OpenEXR": re.compile(rb"\x76\x2f\x31\x01"),
    "DDS": re.compile(rb"DDS \x7c"),
    "QOI": re.compile(rb"qoif"),
    "GIMP": re.compile(rb"gimp xcf"),
    "BLP": re.compile(rb"BLP[012]"),
    "FITS": re.compile(rb"SIMPLE  ="),
    "FLI": re.compile(rb".{4}[\x11\x12]\xaf", re.DOTALL),
    "SGI": re.compile(rb"\x01\xda[\0\x01][\x01\x02]"),
    "XPM": re.compile(rb"/\* XPM \*/"),
    "Radiance HDR": re.compile(rb"#\?RADIANCE|#\?RGBE"),
}
RAW = "camera raw"
# Kinds whose names are spoken with a vowel at the beginning.
AN_KINDS = ("FLI", "FTEX", "IM", "IPTC", "icon", "OpenEXR", "SGI", "XBM", "XPM")
AVIF_BRANDS = (b"avif", b"avis")
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")

# Files that systems, cameras and this program put beside images. They are passed over in silence,
# as all hidden files are.
COMPANION_NAMES = ("thumbs.db", "ehthumbs.db", "desktop.ini", "picasa.ini")
COMPANION_SUFFIXES = (".xmp", ".aae", ".thm", ".lock", ".part", ".body")

MAC_FOLDER = "__MACOSX"  # in archives that a Mac made: notes about the files, not the files
MAC_PREFIX = "._"  # the same notes beside the files

READABLE = ""  # what ``explain`` and ``identify`` return for an image that can be read
NO_IMAGE = "no image"  # what ``explain`` returns for an unknown kind of file


def is_mac_note(name: str) -> bool:
    """Return whether a file or folder of this name holds a Mac's notes about other files."""
    return name.startswith(MAC_PREFIX) or name in (MAC_FOLDER, ".DS_Store")


def is_companion(file: str) -> bool:
    """Return whether a file is passed over in silence: it is hidden, or a note about an image.

    Args:
        file: its POSIX path relative to the listed folder.
    """
    *folders, name = file.split("/")
    if name.startswith(".") or any(folder.startswith(".") for folder in folders):
        return True
    name = name.lower()
    return name in COMPANION_NAMES or name.endswith(COMPANION_SUFFIXES)


def explain(path: Path) -> str | None:
    """Return why an image file cannot be read: ``READABLE`` if it can, None if it is no image.

    A file that is no image has the reason ``NO_IMAGE`` if its suffix is unknown.

    The file is opened if its suffix does not say what it is, or names an image that cannot be read:
    files named ``.heic`` are often JPEG.
    """
    suffix = path.suffix.lower()
    if suffix in IMAGE_SUFFIXES:
        return READABLE
    if suffix in OTHER_SUFFIXES:
        return None
    try:
        with open(path, "rb") as file:
            start = file.read(START_BYTES)
    except OSError as error:
        return f"a file that cannot be read ({error.strerror}): change its permissions"
    kind_of_suffix = UNREADABLE_SUFFIXES.get(suffix)
    kind = identify(start)
    if kind is None:
        kind = kind_of_suffix
    elif kind == READABLE and kind_of_suffix == RAW and start.startswith((b"II", b"MM")):
        kind = RAW  # a kind of TIFF whose first picture is a small preview
    if kind is None:
        return NO_IMAGE if suffix else None
    if kind == READABLE:
        return READABLE
    article = "an" if kind in AN_KINDS else "a"
    return f"{article} {kind} file, which cannot be read: save it as JPEG or PNG"


def identify(start: bytes) -> str | None:
    """Return the kind of an image that cannot be read, such as "HEIC", from its first bytes.

    It is ``READABLE`` for an image that can be read, and None for anything else.
    """
    if start[4:8] == b"ftyp":
        size = int.from_bytes(start[:4], "big")
        brands = [start[at : at + 4] for at in range(8, min(size, len(start)), 4)]
        if any(brand in AVIF_BRANDS for brand in brands):
            return READABLE
        if any(brand in HEIC_BRANDS for brand in brands):
            return "HEIC"
        return None
    if any(signature.match(start) for signature in SIGNATURES):
        return READABLE
    for kind, signature in UNREADABLE_SIGNATURES.items():
        if signature.match(start):
            return kind
    return None
