"""`sorafeed backup` and `sorafeed restore`."""

from pathlib import Path
from typing import Annotated

import typer

from sorafeed_assets.cli.common import DataDir, console, settings_of


def backup(
    to: Annotated[
        Path | None, typer.Option(help="Folder of the backups (SORAFEED_BACKUP_DIR).")
    ] = None,
    keep: Annotated[
        int | None, typer.Option(min=1, help="How many backups to keep in the folder.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Write both databases, as of one moment, into a new folder, and print its name.

    Everything keeps running meanwhile.
    """
    from sorafeed_assets.launch.backup import back_up
    from sorafeed_assets.launch.servers import servers

    settings = settings_of(data_dir)
    with servers(settings) as addressed:
        made = back_up(addressed, to or settings.backup_dir, keep=keep)
    size = f"{made.bytes / 1e6:,.1f} MB in {made.seconds:.1f} s"
    console.print(f"{made.folder}: {size}", highlight=False, markup=False, soft_wrap=True)


def restore(
    folder: Annotated[Path, typer.Argument(help="A folder that `sorafeed backup` has printed.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace the contents of both databases.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Restore both databases from a backup; stop all other programs that use them first."""
    from sorafeed_assets.launch.restore import restore as restore_backup
    from sorafeed_assets.launch.servers import servers

    with servers(settings_of(data_dir)) as addressed:
        manifest = restore_backup(addressed, folder.absolute(), replace=replace)
    console.print(
        f"restored what was stored at {manifest.made_at:%Y-%m-%d %H:%M:%S} UTC;"
        " start `sorafeed up`, or the programs of the deployment",
        highlight=False,
        soft_wrap=True,
    )
