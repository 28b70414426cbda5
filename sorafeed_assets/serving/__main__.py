"""`python -m sorafeed_assets.serving PORT [MODULE …]`: one process of the API.

Each MODULE has a function ``routes()``, whose routes are served in addition to the API's. Several
processes may share a port.
"""

import argparse
import importlib
import sys
from pathlib import Path

from sorafeed_assets.domain.errors import SorafeedError
from sorafeed_assets.serving.notify import tell_ready
from sorafeed_assets.serving.server import Listening, log_as_json, serve
from sorafeed_assets.settings import load_settings


def main() -> None:
    """Serve on the port of the command line, with the settings of the environment."""
    parser = argparse.ArgumentParser("python -m sorafeed_assets.serving")
    parser.add_argument("port", type=int)
    parser.add_argument("modules", nargs="*")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--tls-certificate", type=Path)
    parser.add_argument("--tls-key", type=Path)
    given = parser.parse_args()
    log_as_json()
    routes = [route for name in given.modules for route in importlib.import_module(name).routes()]
    listening = Listening(given.port, given.host, given.tls_certificate, given.tls_key, routes)
    try:
        serve(load_settings(), listening, on_ready=tell_ready)
    except SorafeedError as error:
        sys.stderr.write(f"Error: {error}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
