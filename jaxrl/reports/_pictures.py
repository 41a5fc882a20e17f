"""Pictures as files: whether a path will do, and writing one."""

import errno
import io
import os
from pathlib import Path
from typing import Any


def picture_path(out: str | Path, figure: Any) -> Path:
    """The path of a picture whose format the figure can be written in.

    Raises:
        ValueError: the ending names no format of pictures.
    """
    out = Path(out)
    if out.suffix.lower().lstrip(".") not in figure.canvas.get_supported_filetypes():
        raise ValueError(f"{out} does not end as a picture does: try {out.with_suffix('.png')}")
    return out


# Where a format keeps a text about the picture.
_DESCRIPTION = {"png": "Description", "svg": "Description", "pdf": "Subject"}


def save_picture(figure: Any, out: Path, *, description: str = "") -> Path:
    """Writes a figure and returns its path.

    Args:
        figure: Matplotlib's.
        out: the file, whose ending is a format.
        description: what there is to see, for those who read the file instead of looking at it.

    Raises:
        ValueError: the file cannot be written.
    """
    picture = io.BytesIO()
    kind = out.suffix.lower().lstrip(".")
    known = description and kind in _DESCRIPTION
    metadata = {_DESCRIPTION[kind]: description} if known else None
    figure.savefig(picture, dpi=200, format=kind, metadata=metadata)
    try:
        # Not through a link, which a folder from elsewhere may have in the picture's place.
        handle = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o666)
        with os.fdopen(handle, "wb") as file:
            file.write(picture.getvalue())
    except OSError as error:
        reason = "it is a symbolic link" if error.errno == errno.ELOOP else error.strerror
        raise ValueError(f"cannot write {out}: {reason}") from None
    return out
