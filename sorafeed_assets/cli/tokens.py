"""`sorafeed tokens`."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from sorafeed_assets.cli.common import DataDir, console, database
from sorafeed_assets.cli.output import As, AsJson, chosen, print_list
from sorafeed_assets.domain.roles import Role

if TYPE_CHECKING:
    from sorafeed_assets.settings import Settings

tokens = typer.Typer(no_args_is_help=True)


@tokens.command("create")
def create(
    name: Annotated[str, typer.Argument(help="The user or program that gets the token.")],
    role: Annotated[Role, typer.Option(help="What the token permits.")] = Role.READER,
    display: Annotated[
        str | None, typer.Option(help="The display's code, for the role display.")
    ] = None,
    days: Annotated[
        int | None,
        typer.Option(min=1, help="Days until the token expires; never by default."),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Create a token and print it once: only its hash is stored."""
    from sorafeed_assets.services.tokens import create_token

    with database(data_dir) as (engine, _settings):
        life = None if days is None else timedelta(days=days)
        _, secret = create_token(engine, role, name, display_id=display, life=life)
    typer.echo(secret)


@tokens.command("list")
def show(as_json: AsJson = False, output: As = None, data_dir: DataDir = None) -> None:
    """List all tokens, without their secrets."""
    from sorafeed_assets.services.tokens import list_tokens

    how = chosen(output, as_json)
    with database(data_dir) as (engine, _settings):
        rows = [
            (
                str(each.id),
                each.name,
                each.role,
                each.display_id,
                each.created_at,
                each.expires_at,
                each.revoked_at,
            )
            for each in list_tokens(engine)
        ]
    columns = ("id", "name", "role", "display", "created", "expires", "revoked")
    print_list(columns, rows, how)


@tokens.command("revoke")
def revoke(
    token: Annotated[UUID, typer.Argument(help="The token's id.")], data_dir: DataDir = None
) -> None:
    """Revoke a token immediately."""
    from sorafeed_assets.services.tokens import revoke_token

    with database(data_dir) as (engine, settings):
        revoke_token(engine, token)
        _tell_servers(settings)
    console.print(f"revoked {token}")


def _tell_servers(settings: "Settings") -> None:
    """Have servers check their cached tokens again; without Redis they do so within 5 s."""
    from redis.exceptions import RedisError

    from sorafeed_assets.storage.cache.redis import create_redis_client, tell

    with create_redis_client(str(settings.redis_url)) as redis:
        try:
            tell(redis, ["tokens"])
        except RedisError:
            console.print("Redis does not answer; servers refuse the token within 5 s")
