"""`python -m sorafeed_assets.serving PORT`: the API as a child of `sorafeed up`."""

import sys

from sorafeed_assets.domain.errors import SorafeedError
from sorafeed_assets.serving.server import Listening, log_as_json, serve
from sorafeed_assets.settings import load_settings


def main() -> None:
    """Serve on the port given, with the settings of the environment."""
    log_as_json()
    try:
        serve(load_settings(), Listening(int(sys.argv[1])), on_ready=lambda: None)
    except SorafeedError as error:
        sys.stderr.write(f"Error: {error}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
