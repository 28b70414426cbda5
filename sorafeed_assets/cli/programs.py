"""`sorafeed env` and `sorafeed exec`: other programs join the instance."""

import shlex
from typing import Annotated

import typer

from sorafeed_assets.cli.common import DataDir, settings_of


def print_environment(data_dir: DataDir = None) -> None:
    """Print shell lines with which `dagster dev -w workspace.yaml` joins the running instance."""
    from sorafeed_assets.launch.dagster_home import environment, prepare_home
    from sorafeed_assets.launch.servers import joined

    settings = joined(settings_of(data_dir))
    prepare_home(settings)
    for name, value in environment(settings).items():
        typer.echo(f"export {name}={shlex.quote(value)}")


def run_program(
    context: typer.Context,
    program: Annotated[str, typer.Argument(help="The program, for example dagster-daemon.")],
    data_dir: DataDir = None,
) -> None:
    """Run a program, such as one of Dagster's, with the variables of `sorafeed env`.

    It replaces this command's process, so signals and exit codes are its own.
    """
    from sorafeed_assets.launch.dagster_home import run_in_place
    from sorafeed_assets.launch.servers import joined

    run_in_place(joined(settings_of(data_dir)), program, context.args)
