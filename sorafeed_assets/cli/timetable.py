"""`sorafeed timetable`: the time slots of a display's playlists."""

from typing import TYPE_CHECKING, Annotated, Final
from uuid import UUID

import typer

from sorafeed_assets.cli.common import DataDir, announce, commands_on, database, say
from sorafeed_assets.cli.files import AsFile, File, kind_asked, read_file
from sorafeed_assets.cli.output import As, AsJson, Output, chosen, print_list
from sorafeed_assets.domain.playlists.files import FileKind
from sorafeed_assets.domain.playlists.slot_files import parse_slots_csv, parse_slots_json
from sorafeed_assets.domain.playlists.time_slots import shown_days, shown_time
from sorafeed_assets.domain.playlists.timetable import ChosenBy
from sorafeed_assets.domain.text import counted

if TYPE_CHECKING:
    from sorafeed_assets.services.playlists.timetables import TimetableView

timetable = typer.Typer(no_args_is_help=True)

_REASONS: Final = {
    ChosenBy.SLOT: "by its time slot",
    ChosenBy.BASE: "as the base playlist",
    ChosenBy.HAND: "because it was activated by hand or is new",
}


@timetable.command("show")
def show(
    code: Annotated[str, typer.Argument(help="The display's code.")],
    as_json: AsJson = False,
    output: As = None,
    data_dir: DataDir = None,
) -> None:
    """Show the time slots of a display, which playlist is active, and until when."""
    from sorafeed_assets.services.playlists.timetables import timetable_of

    how = chosen(output, as_json)
    with database(data_dir) as (engine, _settings):
        view = timetable_of(engine, code)
    rows = [
        (
            view.playlists[slot.playlist_id],
            shown_days(slot.draft.days),
            shown_time(slot.draft.starts),
            shown_time(slot.draft.ends),
            slot.draft.time_zone,
            slot.draft.first_day,
            slot.draft.last_day,
            slot.draft.priority,
            str(slot.playlist_id),
        )
        for slot in view.slots
    ]
    columns = (
        *("playlist", "days", "starts", "ends", "time_zone", "first_day", "last_day"),
        *("priority", "playlist_id"),
    )
    if rows or how is not Output.TABLE:
        print_list(columns, rows, how, title=f"{code}: time slots")
    say(_active(view))
    for slot in view.unusable:
        zone = slot.draft.time_zone
        say(f"The time zone {zone} is unknown, so its time slot never begins. Change it.")


def _active(view: "TimetableView") -> str:
    """Which playlist is active, why, and what follows."""
    decision = view.decision
    if decision is None:
        return "No playlist has time slots: the newest, or the one activated by hand, is active."
    active = f"“{view.playlists[decision.active_id]}” is active {_REASONS[decision.chosen_by]}"
    if decision.next_switch is None or view.next_id is None:
        return f"{active}."
    following = view.playlists[view.next_id]
    return f"{active}, until {decision.next_switch:%Y-%m-%d %H:%M:%S UTC}, then “{following}”."


@timetable.command("export")
def export(
    playlist: Annotated[UUID, typer.Argument(help="The playlist's id.")],
    as_json: AsJson = False,
    output: AsFile = None,
    data_dir: DataDir = None,
) -> None:
    """Print the time slots of a playlist as a CSV or JSON file, which `import` reads."""
    from sorafeed_assets.services.playlists.files import export_slots

    kind = kind_asked(output, as_json)
    with database(data_dir) as (engine, _settings):
        text = export_slots(engine, playlist, kind)
    typer.echo(text, nl=False)


@timetable.command("import")
def import_slots(
    file: File,
    playlist: Annotated[UUID, typer.Option(help="The playlist's id.")],
    data_dir: DataDir = None,
) -> None:
    """Replace the time slots of a playlist by those of a CSV or JSON file.

    The columns are days, starts, ends, time_zone, first_day, last_day and priority. A file with
    none but its header removes all.
    """
    text, kind = read_file(file)
    drafts = parse_slots_json(text) if kind is FileKind.JSON else parse_slots_csv(text)
    with commands_on(data_dir) as commands:
        change = commands.replace_slots(playlist, drafts)
        slots = counted(len(drafts), "time slot")
        announce(commands, change, f"the playlist has {slots}; {change.display_id}")
