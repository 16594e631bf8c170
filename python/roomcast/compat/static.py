"""Files that an `ASGIApp` serves beside its server.

A mapping says which: a URL path stands for a file, or for a folder with all below it, and ``""`` for the file that a folder's own path
means (``index.html``). A value is a path, or a dict of ``filename`` and ``content_type``.

Source:
    python-engineio, ``static_files``. Differs from it: no path leads out of a folder, however it is spelled.
"""

import mimetypes
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["StaticFile", "StaticFiles", "find_static_file"]

StaticFiles = Mapping[str, str | Mapping[str, str]]


class StaticFile(NamedTuple):
    """A file that is there, and its type."""

    path: Path
    content_type: str


def find_static_file(path: str, files: StaticFiles) -> StaticFile | None:
    """Return the file of a URL path, if there is one."""
    found = _find(path, files)
    if found is None:
        return None
    entry, rest = found
    filename, content_type = _read(entry)
    segments = [segment for segment in rest.split("/") if segment]
    if any(not _is_name(segment) for segment in segments):
        return None
    folder = filename + "/".join(["", *segments]) if rest else filename
    if (rest or filename).endswith("/"):
        index, index_type = _read(files.get("", "index.html"))
        folder = f"{folder.rstrip('/')}/{index}"
        content_type = index_type or content_type
    file = Path(folder)
    if not file.is_file():
        return None
    return StaticFile(file, content_type or _type_of(file))


def _find(path: str, files: StaticFiles) -> tuple[Any, str] | None:
    """Return what the longest beginning of a path stands for, and the rest of the path."""
    if path in files:
        return files[path], ""
    start = path
    while start:
        start, _, _ = start.rpartition("/")
        for key in (start, f"{start}/"):
            if key and key in files:
                return files[key], path[len(start) :]
    return None


def _read(entry: Any) -> tuple[str, str | None]:
    if isinstance(entry, str):
        return entry, None
    return entry["filename"], entry.get("content_type")


def _is_name(segment: str) -> bool:
    return segment not in (".", "..") and "\\" not in segment and "\0" not in segment


def _type_of(file: Path) -> str:
    guessed, encoding = mimetypes.guess_type(file.name)
    return "application/octet-stream" if guessed is None or encoding else guessed
