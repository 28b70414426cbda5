"""`sorafeed up`: the parent of everything, which imports little and only watches."""

import os
from typing import TYPE_CHECKING, Annotated, Final

import typer

from sorafeed_assets.cli import exits
from sorafeed_assets.cli.common import DataDir, console, engine_of, errors, say, settings_of
from sorafeed_assets.cli.links import printable

if TYPE_CHECKING:
    from sorafeed_assets.settings import Settings

_DEMO: Final = "sorafeed up"
_LINK: Final = "admin-link"


def up(
    once: Annotated[bool, typer.Option("--once", help="Do everything except serving.")] = False,
    posts: Annotated[
        int | None, typer.Option(min=0, help="Posts of the demo catalogue (20,000).")
    ] = None,
    displays: Annotated[
        int | None, typer.Option(min=0, max=10_000, help="Demo displays (12).")
    ] = None,
    data_dir: DataDir = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65_535, help="Port of the Dagster UI (3000).")
    ] = None,
    api_port: Annotated[
        int | None,
        typer.Option(min=1, max=65_535, help="Port of the API and the admin page (3080)."),
    ] = None,
    api_processes: Annotated[
        int, typer.Option(min=1, max=64, help="How many processes of the API share its port.")
    ] = 1,
) -> None:
    """Start the servers, load the demo, materialize everything, and serve the UI and the API.

    A program that exits is restarted.
    """
    from sorafeed_assets.launch.own_servers import embedded, owned_folder
    from sorafeed_assets.launch.processes import end_descendants
    from sorafeed_assets.launch.servers import publish
    from sorafeed_assets.launch.supervision import Supervisor
    from sorafeed_assets.launch.up import (
        DEFAULT_API_PORT,
        UNCLEAN,
        Up,
        choose_port,
        stop_on_signals,
    )

    settings = settings_of(data_dir)
    try:
        with stop_on_signals() as stop, owned_folder(settings) as folder:
            ui_port = None if once else choose_port(port)
            web_port = choose_port(api_port, DEFAULT_API_PORT, "--api-port")
            supervisor = Supervisor(folder, "up", say)
            with (
                embedded(settings, folder, supervisor) as addressed,
                Up(addressed, supervisor, stop) as programs,
            ):
                publish(folder, addressed)
                secret, is_later = _migrate(addressed)
                is_later &= ui_port is not None and posts is None and displays is None
                interface = f"http://127.0.0.1:{ui_port}"
                if ui_port is not None:
                    programs.start_api(web_port, interface, api_processes)
                is_shared = settings.dagster_url is not None
                code = 0
                if not is_later:
                    code = programs.prepare(posts, displays, is_shared=is_shared)
                if code not in (0, UNCLEAN):
                    raise typer.Exit(exits.FAILED)
                if ui_port is not None:
                    stop.wait(0)  # from here on a signal only sets the request to stop
                    programs.start_interface(ui_port)
                    if not is_later:
                        programs.start_reacting()
                    programs.wait_until_ready()
                    if not stop.is_set():
                        link = f"http://127.0.0.1:{web_port}/admin?token={secret}"
                        output = console.file.fileno()
                        shown = printable(link, folder / _LINK, output)
                        _say_ready(interface, shown, follows=addressed.follows_legacy)
                    if is_later:
                        programs.start_reacting()
                        programs.prepare_beside(is_shared=is_shared)
                    programs.watch()
    except KeyboardInterrupt:
        errors.print("stopped; start it again to continue")
        end_descendants()
        os._exit(exits.INTERRUPTED)  # background threads would continue to retry
    if once and code == UNCLEAN:
        raise typer.Exit(exits.FAILED)


def _migrate(settings: "Settings") -> tuple[str, bool]:
    """Migrate; returns an admin token and whether everything was materialized before.

    The token is for the printed link, and valid until the next start.
    """
    from sorafeed_assets.services.materialized import was_materialized
    from sorafeed_assets.services.tokens import Role, create_token, list_tokens, revoke_token
    from sorafeed_assets.storage.postgres.migrate import migrate

    engine = engine_of(settings)
    try:
        migrate(engine)
        for token in list_tokens(engine):
            if token.name == _DEMO and token.revoked_at is None:
                revoke_token(engine, token.id)
        return create_token(engine, Role.ADMIN, _DEMO)[1], was_materialized(engine)
    finally:
        engine.dispose()


def _say_ready(interface: str, admin: str, *, follows: bool) -> None:
    old = "Old system:  followed; see `sorafeed legacy status`\n" if follows else ""
    console.print(
        f"\nDagster UI:  {interface}\nAdmin page:  {admin}\n{old}Ctrl-C stops everything.",
        highlight=False,
        soft_wrap=True,
    )
