"""A link with a token is printed only where no other user can read it."""

import os
import pty
from pathlib import Path
from typing import Final

from sorafeed_assets.cli.links import printable

LINK: Final = "http://127.0.0.1:3080/admin?token=sfd_secret"


def _mode(file: Path) -> int:
    return file.stat().st_mode & 0o777


def test_a_terminal_shows_the_link(tmp_path: Path) -> None:
    controller, terminal = pty.openpty()
    assert printable(LINK, tmp_path / "link", terminal) == LINK
    os.close(controller)
    os.close(terminal)
    assert list(tmp_path.iterdir()) == []


def test_a_file_with_the_link_becomes_private(tmp_path: Path) -> None:
    output = tmp_path / "output"
    output.touch(0o644)
    with output.open("w") as redirected:
        assert printable(LINK, tmp_path / "link", redirected.fileno()) == LINK
    assert _mode(output) == 0o600
    assert not (tmp_path / "link").exists()


def test_a_pipe_gets_the_path_of_a_private_file(tmp_path: Path) -> None:
    file = tmp_path / "link"
    # One of an earlier start, with other permissions and a longer text.
    file.write_text("x" * 1_000)
    file.chmod(0o644)
    reading, writing = os.pipe()
    printed = printable(LINK, file, writing)
    os.close(reading)
    os.close(writing)
    assert printed == f"the link is in {file}"
    assert file.read_text() == f"{LINK}\n"
    assert _mode(file) == 0o600
