"""The remote control among `sorafeed displays`: what a display's page can tell its player."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Final

import typer

from sorafeed_assets.cli.common import DataDir, commands_on, console, database
from sorafeed_assets.cli.output import AsJson, print_object

if TYPE_CHECKING:
    from sorafeed_assets.services.commands import Commands
    from sorafeed_assets.services.timelines.remote import Report

Code = Annotated[str, typer.Argument(help="The display's code.")]


def add_to(displays: typer.Typer) -> None:
    """Add the commands of the remote control."""
    for name, work in _COMMANDS:
        displays.command(name)(work)


def play(code: Code, data_dir: DataDir = None) -> None:
    """Start a display, or let a paused one continue."""
    _play_back(code, "playing", data_dir)


def pause(code: Code, data_dir: DataDir = None) -> None:
    """Pause a display; its video stays on screen."""
    _play_back(code, "paused", data_dir)


def stop(code: Code, data_dir: DataDir = None) -> None:
    """Stop a display, which then shows nothing."""
    _play_back(code, "idle", data_dir)


def _play_back(code: str, state: str, data_dir: DataDir) -> None:
    from sorafeed_assets.services.commands import PlaybackState

    with commands_on(data_dir) as commands:
        commands.set_playback(code, PlaybackState(state))
    console.print(f"{code}: {'stopped' if state == 'idle' else state}")


def skip(code: Code, data_dir: DataDir = None) -> None:
    """Skip the video on screen; prints the one that plays now."""
    with commands_on(data_dir) as commands:
        commands.skip(code)
        _print_now(commands, code)


def previous(code: Code, data_dir: DataDir = None) -> None:
    """Show the previous video once more; the one on screen follows it. Prints it."""
    with commands_on(data_dir) as commands:
        commands.previous(code)
        _print_now(commands, code)


def play_now(
    code: Code,
    post: Annotated[str, typer.Argument(help="The id of a post of the display's plan or history.")],
    data_dir: DataDir = None,
) -> None:
    """Show a video of the display's plan or history at once; the others follow it."""
    with commands_on(data_dir) as commands:
        commands.play_now(code, post)
        _print_now(commands, code)


def _print_now(commands: "Commands", code: str) -> None:
    now = commands.timeline(code).now
    found = "nothing" if now is None else f"{now.video_id}, video {now.position + 1} of its loop"
    console.print(f"{code} plays {found}")


def mute(code: Code, data_dir: DataDir = None) -> None:
    """Mute a display."""
    with commands_on(data_dir) as commands:
        commands.set_sound(code, is_muted=True)
    console.print(f"{code}: muted")


def unmute(code: Code, data_dir: DataDir = None) -> None:
    """Unmute a display."""
    with commands_on(data_dir) as commands:
        commands.set_sound(code, is_muted=False)
    console.print(f"{code}: not muted")


def set_volume(
    code: Code,
    percent: Annotated[int, typer.Argument(help="The volume, 0 to 100.")],
    data_dir: DataDir = None,
) -> None:
    """Set the volume of a display, in percent."""
    with commands_on(data_dir) as commands:
        commands.set_sound(code, volume=percent)
    console.print(f"{code}: volume {percent} %")


def seek(
    code: Code,
    seconds: Annotated[float, typer.Argument(help="Seconds from the start of the video.")],
    data_dir: DataDir = None,
) -> None:
    """Go to a position in the video on screen."""
    with commands_on(data_dir) as commands:
        commands.seek(code, seconds)
    console.print(f"{code}: moved to second {seconds:g}")


def show_state(code: Code, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Show the state that is set for a display, and what its player reports."""
    from sorafeed_assets.services.timelines.remote import read_remote
    from sorafeed_assets.services.timelines.views import timeline_view

    with database(data_dir) as (engine, _settings):
        found = read_remote(engine, code)
        now = timeline_view(engine, code).now
    report = found.report
    if as_json:
        print_object(
            {
                "display": code,
                "post": now and now.video_id,
                "is_connected": found.is_online,
                "told": {"state": found.state, "muted": found.is_muted, "volume": found.volume},
                "reported": report and _report(report),
            }
        )
        return
    console.print(f"{code} is set to: {found.state}, {_sound(found.is_muted, found.volume)}")
    if not found.is_online:
        console.print("no player is connected; a player that connects uses these settings")
    if report is None:
        console.print("no player has reported yet")
        return
    place = "" if report.seconds_now is None else f" at second {report.seconds_now:.0f}"
    console.print(
        f"its player reported at {report.since:%Y-%m-%d %H:%M:%S} UTC: {report.view}{place},"
        f" {_sound(report.is_muted, report.volume)}"
    )


def _report(report: "Report") -> dict[str, object]:
    return {
        "view": report.view,
        "muted": report.is_muted,
        "volume": report.volume,
        "since": report.since,
        "seconds": report.seconds_now,
        "duration": report.duration,
    }


def _sound(is_muted: bool, volume: int) -> str:  # noqa: FBT001  # a value, not a mode
    return f"muted, volume {volume} %" if is_muted else f"volume {volume} %"


_COMMANDS: Final[tuple[tuple[str, Callable[..., None]], ...]] = (
    ("state", show_state),
    ("play", play),
    ("pause", pause),
    ("stop", stop),
    ("skip", skip),
    ("previous", previous),
    ("play-now", play_now),
    ("mute", mute),
    ("unmute", unmute),
    ("volume", set_volume),
    ("seek", seek),
)
