"""What can be read of the old system, before anything is imported."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from sorafeed_assets.domain.errors import SorafeedError
from sorafeed_assets.domain.legacy.queues import PlayReader, Problem, queue_problems, read_wall
from sorafeed_assets.domain.text import counted
from sorafeed_assets.storage.legacy.old_catalog import OldCatalog, old_catalog
from sorafeed_assets.storage.legacy.old_queues import old_queues
from sorafeed_assets.storage.legacy.old_server import version_name


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a check: what was found, or what is wrong and what to do."""

    side: str
    text: str
    is_problem: bool = False


def check_catalog(url: str, first_day: date) -> list[Finding]:
    """Look at the old catalogue; ``first_day`` is the first partition of catalog days here."""
    try:
        with old_catalog(url) as old:
            return _catalog(old, first_day)
    except SorafeedError as error:
        return [Finding("catalogue", str(error), is_problem=True)]


def check_queues(path: Path) -> list[Finding]:
    """Look at the old queues; the file is read as an import reads it."""
    try:
        with old_queues(path) as file:
            wall = read_wall(
                file.rows("displays"), file.rows("playlists"), file.rows("playlist_blocks")
            )
            plays = PlayReader(wall.refused)
            for _ in plays.read(file.plays()):
                pass
            problems: list[Problem] = [
                *wall.problems,
                *plays.problems,
                *queue_problems(wall, file.queued()),
            ]
    except SorafeedError as error:
        return [Finding("queues", str(error), is_problem=True)]
    found = (
        f"{path}: {counted(len(wall.displays), 'display')},"
        f" {counted(len(wall.playlists), 'playlist')} and {counted(plays.found, 'play')}"
        " can be imported"
    )
    return [
        Finding("queues", found),
        *(
            Finding("queues", f"{each.place}: {each.problem}", each.kind == "refused")
            for each in problems
        ),
    ]


def _catalog(old: OldCatalog, first_day: date) -> list[Finding]:
    server = old.inspect()
    where = (
        f"{server.where}: PostgreSQL {version_name(server.version)}, encoding {server.encoding},"
        f" zone {server.zone}, read by {server.user}"
    )
    findings = [Finding("catalogue", where)]
    findings += [Finding("catalogue", text, is_problem=True) for text in server.problems]
    findings += [Finding("catalogue", text) for text in server.warnings]
    if not server.problems:
        bounds = old.bounds()
        posts, creators = old.estimate("sora_posts"), old.estimate("creators")
        findings.append(
            Finding(
                "catalogue",
                "no post has a usable indexed_at"
                if bounds is None
                else f"about {posts:,} posts and {creators:,} creators can be copied, indexed from"
                f" {bounds[0]:%Y-%m-%d %H:%M} to {bounds[1]:%Y-%m-%d %H:%M} UTC",
            )
        )
        if bounds is not None and bounds[0].date() < first_day:
            findings.append(
                Finding(
                    "catalogue",
                    f"its first catalog day is {bounds[0]:%Y-%m-%d}, and Dagster's first partition"
                    f" {first_day}; set SORAFEED_CATALOG_FIRST_DAY={bounds[0]:%Y-%m-%d}",
                )
            )
    return findings
