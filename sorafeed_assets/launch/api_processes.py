"""Several processes of the API behind one port, restarted one after another.

Each binds the port with SO_REUSEPORT, so the system divides new connections among them. A restart
starts the new process before it ends the old one: the port is never without one that listens.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Event
from typing import Final

from sorafeed_assets.domain.errors import SetupError
from sorafeed_assets.launch.processes import Child
from sorafeed_assets.launch.supervision import Supervisor
from sorafeed_assets.serving.notify import readiness

_READY_SECONDS: Final = 90.0
_LOOK_SECONDS: Final = 0.2


class ApiProcesses:
    """The processes; each that ends is started again.

    Args:
        arguments: those of `python -m sorafeed_assets.serving`.
        environment: their variables.
        folder: the data folder, for their logs.
        supervisor: watches them.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        supervisor: Supervisor,
    ) -> None:
        self._command = [sys.executable, "-m", "sorafeed_assets.serving", *arguments]
        self._environment = dict(environment)
        self._folder = folder
        self._supervisor = supervisor
        self._children: list[Child] = []

    def __enter__(self) -> "ApiProcesses":
        return self

    def __exit__(self, *_exception: object) -> None:
        self._supervisor.end()
        for child in self._children:
            child.stop()

    def start(self, processes: int) -> None:
        """Start the processes, and wait until each is ready.

        Raises:
            SetupError: one of them does not start.
        """
        for number in range(1, processes + 1):
            child = self._started("api" if number == 1 else f"api {number}")
            self._children.append(child)
            self._supervisor.watch(child)

    def restart(self) -> None:
        """Replace each process by a new one, one after another.

        Raises:
            SetupError: a new one does not start; the old one goes on.
        """
        for number, old in enumerate(self._children):
            new = self._started(old.name)
            self._children[number] = new
            self._supervisor.replace(old, new)
            old.stop()

    def _started(self, name: str) -> Child:
        with readiness() as ready:
            child = Child(name, self._command, self._environment, self._folder)
            # Not when it is started again: by then nothing listens at this socket.
            child.start(ready.environment)
            waited = 0.0
            while not ready.was_told(_LOOK_SECONDS):
                waited += _LOOK_SECONDS
                how = child.ended()
                if how is not None or waited > _READY_SECONDS:
                    child.stop()
                    raise SetupError(
                        f"{name} {'ended with ' + how if how else 'did not start'};"
                        f" see its log {child.log}"
                    )
        return child

    def watch(self, stop: Event, reload: Event) -> None:
        """Start processes that end again, and restart all on ``reload``, until ``stop``.

        Raises:
            SetupError: one of them keeps failing.
        """
        while not stop.wait(_LOOK_SECONDS):
            if reload.is_set():
                reload.clear()
                self._supervisor.say("restarting the processes of the API, one after another")
                try:
                    self.restart()
                except SetupError as error:
                    self._supervisor.say(f"not restarted: {error}")
                else:
                    self._supervisor.say("all processes of the API are new")
            self._supervisor.look()
