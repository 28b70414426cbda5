"""Links with a token: printed only where no other user can read them."""

import os
import stat
from pathlib import Path
from typing import Final

_PRIVATE: Final = 0o600


def printable(link: str, file: Path, descriptor: int) -> str:
    """Return what to print of a link to the output with this descriptor.

    On a terminal it is the link. A file that output is redirected to becomes private first. Into a
    pipe, which may end in a log, goes the path of a private ``file`` with the link.
    """
    if os.isatty(descriptor):
        return link
    output = os.fstat(descriptor)
    if stat.S_ISREG(output.st_mode) and output.st_uid == os.geteuid():
        os.fchmod(descriptor, _PRIVATE)
        return link
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _PRIVATE), "w") as written:
        # The file may exist with other permissions.
        os.fchmod(written.fileno(), _PRIVATE)
        written.write(f"{link}\n")
    return f"the link is in {file}"
