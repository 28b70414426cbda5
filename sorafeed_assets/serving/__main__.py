"""`python -m sorafeed_assets.serving PORT [MODULE …]`: the API as a child of `sorafeed up`.

Each MODULE has a function ``routes()``, whose routes are served in addition to the API's.
"""

import importlib
import sys

from sorafeed_assets.domain.errors import SorafeedError
from sorafeed_assets.serving.server import Listening, log_as_json, serve
from sorafeed_assets.settings import load_settings


def main() -> None:
    """Serve on the port of the command line, with the settings of the environment."""
    log_as_json()
    port, *modules = sys.argv[1:]
    routes = [route for name in modules for route in importlib.import_module(name).routes()]
    try:
        serve(load_settings(), Listening(int(port), routes=routes), on_ready=lambda: None)
    except SorafeedError as error:
        sys.stderr.write(f"Error: {error}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
