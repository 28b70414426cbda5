"""`sorafeed serve`."""

from pathlib import Path
from typing import Annotated

import typer

from sorafeed_assets.cli.common import DataDir, engine_of, errors, settings_of
from sorafeed_assets.demo import clips
from sorafeed_assets.domain.errors import SetupError
from sorafeed_assets.launch.servers import servers
from sorafeed_assets.launch.up import DEFAULT_API_PORT, choose_port
from sorafeed_assets.serving.server import Listening, log_as_json
from sorafeed_assets.serving.server import serve as serve_api
from sorafeed_assets.storage.postgres.migrate import migrate


def serve(
    api_port: Annotated[
        int | None, typer.Option("--api-port", help=f"Port of the API ({DEFAULT_API_PORT}).")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    tls_certificate: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="A PEM file, for HTTPS.")
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Its key.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Serve the API, the admin page and the players on the data folder or a running `up`."""
    if (tls_certificate is None) != (tls_key is None):
        raise SetupError("--tls-certificate and --tls-key go together")
    port = choose_port(api_port, DEFAULT_API_PORT, "--api-port")
    scheme = "http" if tls_certificate is None else "https"
    with servers(settings_of(data_dir), joinable=True) as settings:
        engine = engine_of(settings)
        try:
            migrate(engine)
        finally:
            engine.dispose()
        log_as_json()
        serve_api(
            settings,
            Listening(port, host, tls_certificate, tls_key, clips.routes()),
            on_ready=lambda: errors.print(f"API: {scheme}://{host}:{port}/admin", highlight=False),
        )
