"""Pictures as files: whether a path will do, and writing one."""

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


def save_picture(figure: Any, out: Path) -> Path:
    """Writes a figure and returns its path.

    Raises:
        ValueError: the file cannot be written.
    """
    try:
        figure.savefig(out, dpi=200)
    except OSError as error:
        raise ValueError(f"cannot write {out}: {error.strerror}") from None
    return out
