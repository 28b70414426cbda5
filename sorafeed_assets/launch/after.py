"""`python -m sorafeed_assets.launch.after PORT PROGRAM …`: a program that needs another one.

It is imported at once, which takes seconds for Dagster's programs, and begins when the port of this
machine accepts connections: both programs can start together, and the first finds the second.
"""

import socket
import sys
import time
from importlib.metadata import entry_points
from typing import Final

_LOOK_SECONDS: Final = 0.05
_PROBE_SECONDS: Final = 0.5


def main() -> None:
    """Import the program, wait for the port, and run the program in this process."""
    port, name = int(sys.argv[1]), sys.argv[2]
    (script,) = entry_points(group="console_scripts", name=name)
    run = script.load()
    while not accepts(port):
        time.sleep(_LOOK_SECONDS)
    sys.argv = [name, *sys.argv[3:]]
    sys.exit(run())


def accepts(port: int) -> bool:
    """Whether a program on this machine accepts connections at a port."""
    with socket.socket() as probe:
        probe.settimeout(_PROBE_SECONDS)
        return probe.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    main()
