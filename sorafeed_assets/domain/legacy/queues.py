"""Displays, playlists and plays of the old system as ours, and what of them is refused.

A display's code is upper-cased; two displays of one code are both refused. A playlist is taken as a
whole or refused as a whole. Its blocks keep their order, numbered from 0.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from sorafeed_assets.domain.digest import content_digest
from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.domain.legacy.values import clean_text, id_of, is_true, moment, whole
from sorafeed_assets.domain.playlists.playlist import (
    MAX_BLOCKS,
    MAX_NAME_LENGTH,
    Block,
    check_display_code,
    draft_block,
    playlist_version,
)
from sorafeed_assets.domain.text import counted
from sorafeed_assets.domain.wording import in_words

_AGAIN: Final = "correct it in the old system, and import again"

OldRow = Mapping[str, object]


class Problem(NamedTuple):
    """What an import shows: a refusal, a conflict, or the state of an old queue."""

    kind: str
    place: str
    problem: str


@dataclass(frozen=True, slots=True)
class OldDisplay:
    """A display."""

    id: str
    name: str
    created_at: datetime | None
    is_muted: bool

    @property
    def digest(self) -> str:
        """Of what both systems let a person change."""
        return content_digest([self.name])


@dataclass(frozen=True, slots=True)
class OldBlock:
    """A block, and what was counted about it."""

    block: Block
    times_played: int
    last_played_at: datetime | None


@dataclass(frozen=True, slots=True)
class OldPlaylist:
    """A playlist with its blocks in order."""

    id: UUID
    display_id: str
    name: str
    created_at: datetime | None
    is_active: bool
    loop_count: int
    blocks: tuple[OldBlock, ...]

    @property
    def digest(self) -> str:
        """Of what both systems let a person change."""
        return playlist_digest(self.display_id, self.name, [each.block for each in self.blocks])


class OldPlay(NamedTuple):
    """A video that was shown, in the columns of `video_history`."""

    id: UUID
    display_id: str
    video_id: str
    block_id: UUID | None
    loop_iteration: int
    played_at: datetime


@dataclass(slots=True)
class OldWall:
    """The displays and playlists of an old file that can be taken, and the problems of the rest.

    ``refused`` has the codes of refused displays, and the ids of refused playlists and of theirs.
    """

    displays: dict[str, OldDisplay] = field(default_factory=dict)
    playlists: dict[UUID, OldPlaylist] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)

    def active(self) -> dict[str, str]:
        """Display → the id of its active playlist, or an empty text.

        Of several active ones the newest by (created_at, id) is.
        """
        active = dict.fromkeys(self.displays, "")
        ordered = sorted(
            (each for each in self.playlists.values() if each.is_active),
            key=lambda each: (each.created_at is not None, each.created_at, each.id),
        )
        active.update({each.display_id: str(each.id) for each in ordered})
        return active


def playlist_digest(display_id: str, name: str, blocks: Sequence[Block]) -> str:
    """Of what both systems let a person change about a playlist."""
    return content_digest([display_id, name, playlist_version(blocks)])


def read_wall(
    displays: Iterable[OldRow],
    playlists: Iterable[OldRow],
    blocks: Iterable[OldRow],
) -> OldWall:
    """Convert the rows of an old file; its plays, of any number, are read by `PlayReader`."""
    wall = OldWall()
    _read_displays(wall, displays)
    _read_playlists(wall, playlists, blocks)
    return wall


def _read_displays(wall: OldWall, rows: Iterable[OldRow]) -> None:
    by_code: dict[str, list[OldRow]] = {}
    for row in rows:
        by_code.setdefault(_code(row["id"]), []).append(row)
    for code, same in by_code.items():
        written = ", ".join(repr(clean_text(row["id"])) for row in same)
        try:
            _check_code(code, len(same))
        except InvalidInputError as error:
            wall.refused.add(code)
            wall.problems.append(Problem("refused", f"display {written}", _why(error)))
            continue
        row = same[0]
        name = clean_text(row["name"]).strip()[:MAX_NAME_LENGTH].strip() or code
        wall.displays[code] = OldDisplay(
            code, name, moment(row["created_at"]), is_true(row.get("is_muted", 1))
        )


def _read_playlists(wall: OldWall, rows: Iterable[OldRow], blocks: Iterable[OldRow]) -> None:
    of_playlist: dict[UUID, list[OldRow]] = {}
    for block in blocks:
        of_playlist.setdefault(id_of("playlist", block["playlist_id"]), []).append(block)
    orphans = 0
    for row in rows:
        playlist_id = id_of("playlist", row["id"])
        code = _code(row["display_id"])
        its_blocks = of_playlist.pop(playlist_id, [])
        if code not in wall.displays:
            orphans += 1
            if code in wall.refused:
                wall.refused.add(str(playlist_id))
            continue
        try:
            wall.playlists[playlist_id] = _playlist(playlist_id, code, row, its_blocks)
        except InvalidInputError as error:
            name = clean_text(row["name"])
            place = f"playlist {name!r} ({playlist_id}) of display {code}"
            wall.refused.add(str(playlist_id))
            wall.problems.append(Problem("refused", place, _why(error)))
    for what, count, to in (
        ("playlist", orphans, "display that was taken"),
        ("block", sum(map(len, of_playlist.values())), "playlist"),
    ):
        if count:
            text = f"{counted(count, what)} without a {to}"
            wall.problems.append(Problem("skipped", f"{what}s", text))


def _playlist(playlist_id: UUID, code: str, row: OldRow, blocks: Sequence[OldRow]) -> OldPlaylist:
    if not blocks:
        raise InvalidInputError("blocks", "is empty; a playlist needs at least one block")
    if len(blocks) > MAX_BLOCKS:
        raise InvalidInputError("blocks", f"has {len(blocks)}; at most {MAX_BLOCKS} are allowed")
    ordered = sorted(
        blocks, key=lambda each: (whole(each["block_order"], 0), clean_text(each["id"]))
    )
    return OldPlaylist(
        playlist_id,
        code,
        clean_text(row["name"]).strip()[:MAX_NAME_LENGTH].strip() or "unnamed",
        moment(row["created_at"]),
        is_true(row["is_active"]),
        whole(row["loop_count"], 0),
        tuple(_block(order, each) for order, each in enumerate(ordered)),
    )


def _block(order: int, row: OldRow) -> OldBlock:
    count = row["video_count"]
    draft = draft_block(
        order,
        clean_text(row["search_term"]),
        count if isinstance(count, int) else clean_text(count),
        clean_text(row["fetch_mode"]).strip().lower() or "random",
        clean_text(row["format"]).strip().lower() or "mixed",
    )
    return OldBlock(
        Block(
            id_of("block", row["id"]),
            draft.search_term,
            draft.video_count,
            draft.fetch_mode,
            draft.format,
            order,
        ),
        whole(row["times_played"], 0),
        moment(row["last_played_at"]),
    )


class PlayReader:
    """Converts plays one after the other: a file may have millions.

    ``found`` is how many were converted so far.
    """

    def __init__(self, refused: Collection[str]) -> None:
        """``refused`` has the codes of refused displays."""
        self.found = 0
        self._of_refused = self._skipped = 0
        self._codes = refused

    def read(self, rows: Iterable[OldRow]) -> Iterator[OldPlay]:
        """The plays that can be taken."""
        for row in rows:
            code, video_id = _code(row["display_id"]), clean_text(row["video_id"])
            played_at = moment(row["played_at"])
            if code in self._codes:
                # Of two displays of one code: which one showed it cannot be told from the code.
                self._of_refused += 1
                continue
            if not _is_code(code) or not video_id or played_at is None or row["id"] is None:
                self._skipped += 1
                continue
            block = row["block_id"]
            self.found += 1
            yield OldPlay(
                id_of("play", row["id"]),
                code,
                video_id,
                None if block is None else id_of("block", block),
                whole(row["loop_iteration"], 0),
                played_at,
            )

    @property
    def problems(self) -> list[Problem]:
        """What was not taken so far, and why."""
        found = []
        if self._skipped:
            text = f"{counted(self._skipped, 'play')} without a display, a video or a time"
            found.append(Problem("skipped", "plays", text))
        if self._of_refused:
            text = f"{counted(self._of_refused, 'play')} of displays that were refused"
            found.append(Problem("skipped", "plays", text))
        return found


def queue_problems(wall: OldWall, queues: Mapping[str, Sequence[int]]) -> Iterator[Problem]:
    """The old queues that hold more than they should; none of them is copied.

    ``queues`` has, by display as the file writes it, the positions of the rows that wait.
    """
    belong: Counter[str] = Counter()
    active = wall.active()
    for playlist in wall.playlists.values():
        if active[playlist.display_id] == str(playlist.id):
            belong[playlist.display_id] = sum(each.block.video_count for each in playlist.blocks)
    for display, positions in sorted(queues.items()):
        code = _code(display)
        # Of a refused display its playlist is not known, so neither is what belongs.
        if code not in wall.refused and len(positions) > belong[code]:
            most = max(Counter(positions).values())
            waits = "1 row waits" if len(positions) == 1 else f"{len(positions):,} rows wait"
            yield Problem(
                "queue",
                f"display {code}",
                f"{waits} in its old queue, where {belong[code]:,} belong; one position is there"
                f" {counted(most, 'time')}. It is not copied",
            )


def _code(value: object) -> str:
    return clean_text(value).strip().upper()


def _why(error: InvalidInputError) -> str:
    """Why rows are refused, in words, and what to do."""
    words = "; ".join(in_words(each).rstrip(".") for each in error.errors)
    return f"{words[:1].lower()}{words[1:]}; {_AGAIN}"


def _check_code(code: str, displays: int) -> None:
    check_display_code(code, "its code")
    if displays > 1:
        raise InvalidInputError("its code", f"belongs to {displays} displays; rename all but one")


def _is_code(code: str) -> bool:
    try:
        check_display_code(code)
    except InvalidInputError:
        return False
    return True
