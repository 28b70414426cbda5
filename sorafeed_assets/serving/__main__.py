"""`python -m sorafeed_assets.serving PORT [MODULE …]`: one process of the API.

Each MODULE has a function ``routes()``, whose routes are served in addition to the API's. Several
processes may share a port.
"""

import gc


def main() -> None:
    """Serve on the port of the command line, with the settings of the environment."""
    # Nothing that is imported is garbage: collections would scan it again and again. `serve` turns
    # them on.
    gc.disable()
    from sorafeed_assets.serving.process import serve_as_told

    serve_as_told()


if __name__ == "__main__":
    main()
