"""`sorafeed blocklist`: posts and creators that no display plays."""

from typing import Annotated

import typer

from sorafeed_assets.cli.common import DataDir, commands_on, console, database, say
from sorafeed_assets.cli.flags import actor
from sorafeed_assets.cli.output import As, AsJson, chosen, print_list, print_object
from sorafeed_assets.domain.catalog.blocklist import Kind, check_target
from sorafeed_assets.domain.text import counted

blocklist = typer.Typer(no_args_is_help=True)

_KIND = Annotated[Kind, typer.Argument(help="`post`, or `creator` for all posts of a creator.")]
_ID = Annotated[str, typer.Argument(help="The id of the post or creator.")]


@blocklist.command("list")
def show(
    most: Annotated[int, typer.Option(min=1, help="How many entries to show.")] = 1000,
    as_json: AsJson = False,
    output: As = None,
    data_dir: DataDir = None,
) -> None:
    """List what is excluded, by whom and why, the latest first."""
    from sorafeed_assets.services.timelines.excluding import list_blocklist

    how = chosen(output, as_json)
    with database(data_dir) as (engine, _settings):
        rows = [
            (
                each.kind.value,
                each.target_id,
                each.label,
                each.excluded_at,
                each.excluded_by,
                each.note,
            )
            for each in list_blocklist(engine, most)
        ]
    print_list(("kind", "id", "label", "excluded_at", "excluded_by", "note"), rows, how)


@blocklist.command("exclude")
def exclude(
    kind: _KIND,
    id: _ID,  # noqa: A002  # the argument's name in the help
    note: Annotated[str, typer.Option(help="The reason, for the list of exclusions.")] = "",
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Exclude a post, or all posts of a creator, on every display, and plan displays again."""
    target = check_target(kind, id)
    with commands_on(data_dir) as commands:
        excluded, outcomes = commands.many.exclude(
            target, by=actor("sorafeed blocklist exclude"), note=note
        )
    problems = {each.display_id: each.problem for each in outcomes if each.problem}
    if as_json:
        found: dict[str, object] = {
            "kind": kind.value,
            "id": target.id,
            "is_new": excluded.is_new,
            "displays": list(excluded.displays),
            "problems": problems,
        }
        print_object(found)
        return
    done = "is excluded now" if excluded.is_new else "was excluded already"
    displays = f"{counted(len(excluded.displays), 'display')} planned again"
    console.print(f"{target} {done}: {displays}", markup=False, highlight=False, soft_wrap=True)
    for display, problem in problems.items():
        say(f"{display}: {problem}")


@blocklist.command("allow")
def allow(
    kind: _KIND,
    id: _ID,  # noqa: A002  # the argument's name in the help
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Allow an excluded post, or the posts of an excluded creator, again."""
    target = check_target(kind, id)
    with commands_on(data_dir) as commands:
        was_excluded = commands.many.allow(target)
    if as_json:
        print_object({"kind": kind.value, "id": target.id, "was_excluded": was_excluded})
        return
    done = "is allowed again" if was_excluded else "was not excluded"
    console.print(f"{target} {done}", markup=False, highlight=False, soft_wrap=True)
