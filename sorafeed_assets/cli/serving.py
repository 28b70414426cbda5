"""`sorafeed serve`."""

import signal
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

from sorafeed_assets.cli.common import DataDir, console, engine_of, errors, say, settings_of
from sorafeed_assets.domain.errors import SetupError

if TYPE_CHECKING:
    from sorafeed_assets.settings import Settings


def serve(
    api_port: Annotated[
        int | None, typer.Option("--api-port", help="Port of the API (3080).")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    tls_certificate: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="A PEM file, for HTTPS."),
    ] = None,
    tls_key: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="The certificate's key, a PEM file."),
    ] = None,
    api_processes: Annotated[
        int, typer.Option(min=1, max=64, help="How many processes share the port.")
    ] = 1,
    reload: Annotated[
        bool,
        typer.Option(
            "--reload",
            help="Replace the processes of a running `serve` one after another.",
        ),
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Serve the API, the admin page and the players on the data folder or a running `up`.

    Several processes are restarted one after another by `--reload` or SIGHUP, without a refused
    connection.
    """
    if reload:
        from sorafeed_assets.launch.supervision import restart_served

        replaced = restart_served(settings_of(data_dir).data_dir)
        console.print(f"{replaced} processes of the API are new")
        return
    from sorafeed_assets.demo import clips
    from sorafeed_assets.launch.api_processes import listen
    from sorafeed_assets.launch.servers import servers
    from sorafeed_assets.launch.up import DEFAULT_API_PORT, choose_port
    from sorafeed_assets.serving.notify import tell_ready
    from sorafeed_assets.serving.server import Listening, log_as_json
    from sorafeed_assets.serving.server import serve as serve_api
    from sorafeed_assets.storage.postgres.migrate import migrate

    if (tls_certificate is None) != (tls_key is None):
        raise SetupError("--tls-certificate and --tls-key need each other; give both or neither")
    port = choose_port(api_port, DEFAULT_API_PORT, "--api-port")
    scheme = "http" if tls_certificate is None else "https"
    with servers(settings_of(data_dir), joinable=True) as settings:
        engine = engine_of(settings)
        try:
            migrate(engine)
        finally:
            engine.dispose()

        def say_ready() -> None:
            errors.print(f"API: {scheme}://{host}:{port}/admin", highlight=False)
            tell_ready()

        if api_processes == 1:
            log_as_json()
            listening = Listening(port, host, tls_certificate, tls_key, clips.routes())
            serve_api(settings, listening, say_ready)
            return
        arguments = [str(port), clips.__name__, "--host", host]
        if tls_certificate is not None:
            arguments += ["--tls-certificate", str(tls_certificate), "--tls-key", str(tls_key)]
        with listen(host, port) as socket:
            _serve_by_several(settings, socket, arguments, api_processes, say_ready)


def _serve_by_several(
    settings: "Settings",
    socket: int,
    arguments: list[str],
    processes: int,
    on_ready: Callable[[], None],
) -> None:
    from sorafeed_assets.launch import data_folder
    from sorafeed_assets.launch.api_processes import ApiProcesses
    from sorafeed_assets.launch.supervision import Supervisor

    stop, reload = Event(), Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    signal.signal(signal.SIGHUP, lambda *_: reload.set())
    folder = data_folder.prepare(settings.data_dir)
    supervisor = Supervisor(folder, "serve", say)
    with ApiProcesses(socket, arguments, settings.as_environment(), folder, supervisor) as api:
        api.start(processes)
        on_ready()
        api.watch(stop, reload)
