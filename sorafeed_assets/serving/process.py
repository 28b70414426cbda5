"""One process of the API, by the arguments of `python -m sorafeed_assets.serving`."""

import argparse
import importlib
import sys
from pathlib import Path
from typing import Final

from sorafeed_assets.domain.errors import SorafeedError
from sorafeed_assets.serving.app import NOT_FOR_PLAYERS
from sorafeed_assets.serving.forking import fork_when_asked
from sorafeed_assets.serving.notify import tell_ready
from sorafeed_assets.serving.server import Listening, log_as_json, serve
from sorafeed_assets.settings import load_settings

# What players do not need is imported later: a wall that has just started needs its cores.
_IDLE_SECONDS: Final = 20.0


def serve_as_told() -> None:
    """Serve on the port of the command line, with the settings of the environment."""
    parser = argparse.ArgumentParser("python -m sorafeed_assets.serving")
    parser.add_argument("port", type=int)
    parser.add_argument("modules", nargs="*")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--socket", type=int, help="file descriptor of a socket that listens")
    parser.add_argument("--fork", type=int, help="file descriptor at which processes are asked for")
    parser.add_argument("--tls-certificate", type=Path)
    parser.add_argument("--tls-key", type=Path)
    given = parser.parse_args()
    log_as_json()
    routes = [route for name in given.modules for route in importlib.import_module(name).routes()]
    if given.fork is not None:
        fork_when_asked(given.fork, NOT_FOR_PLAYERS, _IDLE_SECONDS)
    listening = Listening(
        given.port, given.host, given.tls_certificate, given.tls_key, routes, given.socket
    )
    try:
        serve(load_settings(), listening, on_ready=tell_ready)
    except SorafeedError as error:
        sys.stderr.write(f"Error: {error}\n")
        sys.exit(1)
