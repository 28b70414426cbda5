"""The project as it is installed from its wheel, without the checkout, and run by another user."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sorafeed_assets_tests.cli.running import wait_until
from sorafeed_assets_tests.deploy.files import DEPLOY, ROOT, copied_sources, image_environment

_NOBODY: Final = 65534


def as_ordinary_user() -> list[str]:
    """The prefix of a command that root runs as another user, in a user namespace.

    There, files are written to only where their mode lets their owner.
    """
    if os.geteuid() != 0:
        return []
    return ["unshare", "--user", f"--map-user={_NOBODY}", f"--map-group={_NOBODY}", "--"]


@dataclass(frozen=True, slots=True)
class Installation:
    """An environment with the wheel.

    Attributes:
        folder: has ``venv``, which nobody may write to.
    """

    folder: Path

    @property
    def programs(self) -> Path:
        """The folder of the installed commands."""
        return self.folder / "venv" / "bin"

    @property
    def package(self) -> Path:
        """The folder of the installed package."""
        (found,) = (self.folder / "venv" / "lib").glob("python*/site-packages/sorafeed_assets")
        return found


def install(folder: Path) -> Installation:
    """Build the wheel from a copy of the sources, and install it with its pinned dependencies."""
    sources = folder / "sources"
    sources.mkdir()
    ignored = shutil.ignore_patterns("__pycache__")
    for name in copied_sources():
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, sources / name, ignore=ignored)
        else:
            (sources / name).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, sources / name)
    pip = ("-m", "pip", "--quiet", "--disable-pip-version-check")
    _run(sys.executable, *pip, "wheel", "--no-deps", "--no-build-isolation",
         "--wheel-dir", folder, sources)  # fmt: skip
    shutil.rmtree(sources)
    (wheel,) = folder.glob("*.whl")
    _run(sys.executable, "-m", "venv", folder / "venv")
    _run(folder / "venv" / "bin" / "python", *pip, "install", "--constraint",
         ROOT / "requirements.txt", wheel)  # fmt: skip
    for path in (folder / "venv", *(folder / "venv").rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & ~0o222)
    return Installation(folder)


def _run(*command: object) -> None:
    """Run a command that must succeed, outside the checkout."""
    done = subprocess.run(
        [*map(str, command)],
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@dataclass(frozen=True, slots=True)
class Container:
    """What stands in for a container: the image's programs and variables, and folders of its own.

    Attributes:
        installation: the image's environment.
        folder: has what a container may write to, and the secrets.
        variables: those of the service, on top of the image's.
        addresses: text of a command or variable → what it is here.
    """

    installation: Installation
    folder: Path
    variables: Mapping[str, str]
    addresses: Mapping[str, str]

    def prepare(self) -> None:
        """Make the folders that its user may write to."""
        for name in ("tmp", "data"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)

    def environment(self) -> dict[str, str]:
        """Exactly the variables of the image and the service."""
        given = {**image_environment(), **self.variables}
        return {name: self._here(value) for name, value in given.items()}

    def command(self, command: Sequence[str]) -> list[str]:
        """A command as the image's entry point starts it, for an ordinary user."""
        here = (self._here(part) for part in command)
        return [*as_ordinary_user(), str(DEPLOY / "entrypoint.sh"), *here]

    def run(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            self.command(command),
            cwd=self.folder / "data",
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    @contextmanager
    def running(self, name: str, command: Sequence[str]) -> Iterator["Running"]:
        """Run a command for as long as the block lasts; SIGTERM must end it."""
        log = self.folder / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                self.command(command),
                cwd=self.folder / "data",
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            yield Running(process, log)
        finally:
            process.terminate()
            try:
                process.wait(120)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise

    def _here(self, text: str) -> str:
        # The longest of those that begin at one place, each only once.
        names = sorted(self.addresses, key=len, reverse=True)
        pattern = "|".join(map(re.escape, names))
        return re.sub(pattern, lambda found: self.addresses[found[0]], text)


@dataclass(frozen=True, slots=True)
class Running:
    """A program that runs, and its log."""

    process: subprocess.Popen[bytes]
    log: Path

    def wait_for(self, what: str, is_so: Callable[[], object]) -> None:
        """Wait until a condition holds; the program must not end before."""

        def holds() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            return bool(is_so())

        wait_until(holds, what)
