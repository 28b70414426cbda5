"""Changing many displays at once: each is answered by itself, and all are settled together."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol
from uuid import UUID

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from sorafeed_assets.domain.batches import batched
from sorafeed_assets.domain.catalog.blocklist import Target
from sorafeed_assets.domain.errors import (
    DisplayNotFoundError,
    InvalidInputError,
    NotFoundError,
    PlaylistNotFoundError,
    SorafeedError,
    UnavailableError,
)
from sorafeed_assets.domain.playlists import tags as rules
from sorafeed_assets.domain.playlists.playlist import BlockDraft, check_name
from sorafeed_assets.domain.text import shown
from sorafeed_assets.domain.wording import error_text
from sorafeed_assets.services.playlists import deleting, editing, templates
from sorafeed_assets.services.playlists.timetables import hold_by_hand
from sorafeed_assets.services.settle import Settler
from sorafeed_assets.services.timelines import excluding
from sorafeed_assets.services.timelines.excluding import Excluded
from sorafeed_assets.storage.cache.redis import (
    BLOCKLIST_TAG,
    DISPLAYS_TAG,
    TOKENS_TAG,
    display_tag,
)
from sorafeed_assets.storage.playlists import rows
from sorafeed_assets.storage.playlists import tags as stored_tags
from sorafeed_assets.storage.postgres.retry import retried
from sorafeed_assets.storage.timelines import playback

MOST: Final = 1_000
"""How many displays one call may change."""
NOT_PLANNED: Final = (
    "the change is stored, but the display is busy and plays its last plan; it is planned within"
    " seconds, or by the next change of its playlists"
)
# A batch holds its displays' locks until it is stored.
_BATCH: Final = 50

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a change of one of many displays; ``problem`` is None when all went well."""

    display_id: str
    playlist_id: UUID | None = None
    problem: str | None = None


class _Write(Protocol):
    """Changes some displays in a transaction; returns those that exist, with their playlist."""

    def __call__(
        self, connection: Connection, display_ids: Sequence[str], /
    ) -> Mapping[str, UUID | SorafeedError | None]: ...


class ManyDisplays:
    """Changes of many displays.

    Args:
        engine: the database.
        settler: settles the displays after they were changed.
    """

    def __init__(self, engine: Engine, settler: Settler) -> None:
        self._engine = engine
        self._settler = settler

    def set_playback(self, display_ids: Collection[str], state: str) -> list[Outcome]:
        """Set displays to a playback state."""

        def write(connection: Connection, some: Sequence[str]) -> Mapping[str, None]:
            there = rows.lock_rows(connection, some)
            for display_id in there:
                playback.set_playback_state(connection, display_id, state)
            return dict.fromkeys(there)

        found = self._write(display_ids, write)
        self._settler.snapshot(_changed(found))
        return _outcomes(found)

    def tag(
        self, display_ids: Collection[str], add: Collection[str], remove: Collection[str]
    ) -> list[Outcome]:
        """Add tags to displays, and remove others.

        Raises:
            InvalidInputError: no tags, or a tag that is no word.
        """
        added, removed = rules.check_tags(add, "add"), rules.check_tags(remove, "remove")
        if not added and not removed:
            raise InvalidInputError("add", "and remove are empty; name a tag")

        def write(
            connection: Connection, some: Sequence[str]
        ) -> Mapping[str, SorafeedError | None]:
            there = rows.lock_rows(connection, some)
            stored_tags.remove_tags(connection, there, removed)
            with connection.begin_nested() as attempt:
                stored_tags.add_tags(connection, there, added)
                crowded = stored_tags.crowded(connection, there, rules.MOST)
                if crowded:
                    attempt.rollback()
            stored_tags.add_tags(connection, set(there) - set(crowded), added)
            refused = SorafeedError(f"it would have more than {rules.MOST} tags; remove some first")
            return {each: refused if each in crowded else None for each in there}

        found = self._write(display_ids, write)
        self._settler.tell(*map(display_tag, _changed(found)), DISPLAYS_TAG)
        return _outcomes(found)

    def copy_playlist(
        self, playlist_id: UUID, display_ids: Collection[str], name: str | None = None
    ) -> list[Outcome]:
        """Give displays a copy of a playlist, which becomes active at once.

        Raises:
            NotFoundError: there is no such playlist.
        """
        with self._engine.connect() as connection:
            source = rows.load_playlist(connection, playlist_id)
        if source is None:
            raise PlaylistNotFoundError(playlist_id)
        copied = check_name(name) if name is not None else source.name
        drafts = [
            BlockDraft(b.search_term, b.video_count, b.fetch_mode, b.format) for b in source.blocks
        ]
        editing.check_drafts(drafts)

        def write(connection: Connection, some: Sequence[str]) -> Mapping[str, UUID]:
            made = {}
            for display_id in rows.lock_displays(connection, some):
                made[display_id] = rows.insert_playlist(connection, display_id, copied)
                rows.write_blocks(connection, made[display_id], drafts, [None] * len(drafts))
            return made

        return self._settle(self._write(display_ids, write))

    def activate(self, display_ids: Collection[str], name: str) -> list[Outcome]:
        """Activate, on each display, its newest playlist with this name."""
        wanted = check_name(name)

        def write(
            connection: Connection, some: Sequence[str]
        ) -> Mapping[str, UUID | SorafeedError]:
            there = rows.lock_displays(connection, some)
            # In the order of their creation, so that the newest one stays.
            named = {
                each.display_id: each
                for each in rows.load_playlists(connection, there)
                if each.name == wanted
            }
            for playlist in named.values():
                hold_by_hand(connection, playlist)
            chosen = {display_id: playlist.id for display_id, playlist in named.items()}
            rows.set_active(connection, chosen.keys(), chosen.values())
            missing = NotFoundError(f"it has no playlist named {shown(wanted)}")
            return {each: chosen.get(each, missing) for each in there}

        return self._settle(self._write(display_ids, write))

    def follow(self, display_ids: Collection[str], template_id: UUID) -> list[Outcome]:
        """Let displays follow a template, by a playlist that becomes active at once.

        Raises:
            NotFoundError: there is no such template.
        """

        def write(connection: Connection, some: Sequence[str]) -> Mapping[str, UUID]:
            return templates.follow_template(connection, template_id, some)

        return self._settle(self._write(display_ids, write), DISPLAYS_TAG)

    def edit_template(self, template_id: UUID, drafts: Sequence[BlockDraft]) -> list[Outcome]:
        """Replace the blocks of a template; an outcome for each display that follows it.

        Raises:
            InvalidInputError: no blocks.
            NotFoundError: there is no such template.
        """
        edited = templates.edit_template(self._engine, template_id, drafts)
        if not edited:
            self._settler.tell(DISPLAYS_TAG)
        return self._settle(dict.fromkeys(edited), DISPLAYS_TAG)

    def create_template(self, name: str, drafts: Sequence[BlockDraft]) -> UUID:
        """Add a template, which no display follows yet."""
        template_id = templates.create_template(self._engine, name, drafts)
        self._settler.tell(DISPLAYS_TAG)
        return template_id

    def rename_template(self, template_id: UUID, name: str) -> None:
        """Rename a template; its followers keep their names."""
        templates.rename_template(self._engine, template_id, name)
        self._settler.tell(DISPLAYS_TAG)

    def delete_template(self, template_id: UUID) -> list[Outcome]:
        """Delete a template; an outcome for each display that followed it."""
        detached = templates.delete_template(self._engine, template_id)
        self._settler.tell(*map(display_tag, detached), DISPLAYS_TAG)
        return _outcomes(dict.fromkeys(detached))

    def detach(self, playlist_id: UUID) -> Outcome:
        """Let a playlist follow no template; what it plays stays."""
        display_id = templates.detach_playlist(self._engine, playlist_id)
        self._settler.tell(display_tag(display_id), DISPLAYS_TAG)
        return Outcome(display_id, playlist_id)

    def delete(self, display_ids: Collection[str]) -> list[Outcome]:
        """Delete displays, which can be restored; their plays are kept."""
        found: dict[str, UUID | SorafeedError | None] = {}
        for display_id in _checked(display_ids):
            try:
                deleting.delete_display(self._engine, display_id)
                found[display_id] = None
            except SorafeedError as error:
                found[display_id] = error
        return self._settle(found, DISPLAYS_TAG, TOKENS_TAG)

    def exclude(self, target: Target, *, by: str, note: str = "") -> tuple[Excluded, list[Outcome]]:
        """Exclude a post or creator; an outcome for each display that was to play it.

        Raises:
            InvalidInputError: the note is too long.
            NotFoundError: the catalogue has no such post or creator.
        """
        excluded = excluding.exclude(self._engine, target, by=by, note=note)
        self._settler.tell(BLOCKLIST_TAG)
        return excluded, self._settle(dict.fromkeys(excluded.displays))

    def allow(self, target: Target) -> bool:
        """Allow a post or creator again, which counting follows; False if it was not excluded."""
        was_excluded = excluding.allow(self._engine, target)
        self._settler.tell(BLOCKLIST_TAG)
        return was_excluded

    def _write(
        self, display_ids: Collection[str], write: _Write
    ) -> dict[str, UUID | SorafeedError | None]:
        """Write in batches, each a transaction; a batch that fails does not stop the others."""
        found: dict[str, UUID | SorafeedError | None] = {}
        for some in batched(sorted(_checked(display_ids)), _BATCH):
            try:
                written = _in_transaction(self._engine, some, write)
            except UnavailableError as error:
                written = dict.fromkeys(some, error)
            found.update({name: DisplayNotFoundError(name) for name in some})
            found.update(written)
        return {display_id: found[display_id] for display_id in dict.fromkeys(display_ids)}

    def _settle(
        self, found: Mapping[str, UUID | SorafeedError | None], *tags: str
    ) -> list[Outcome]:
        """Settle the displays that were changed; a display that cannot be planned has a problem."""
        changed = _changed(found)
        if not changed:
            return _outcomes(found)
        try:
            failed = self._settler.settle(changed, *tags).failed
        except (UnavailableError, SQLAlchemyError) as error:
            _log.warning("%s displays are not settled yet: %s", len(changed), error)
            self._settler.snapshot(changed, *tags)
            return _outcomes(found, dict.fromkeys(changed, NOT_PLANNED))
        return _outcomes(found, {name: str(error) for name, error in failed.items()})


@retried
def _in_transaction(
    engine: Engine, some: Sequence[str], write: _Write
) -> Mapping[str, UUID | SorafeedError | None]:
    with engine.begin() as connection:
        return write(connection, some)


def _checked(display_ids: Collection[str]) -> list[str]:
    """The displays, each once, in the order in which they are given."""
    if not display_ids:
        raise InvalidInputError("display_ids", "is empty; name a display")
    if len(display_ids) > MOST:
        raise InvalidInputError(
            "display_ids", f"has {len(display_ids):,} displays; at most {MOST:,} are allowed"
        )
    return list(dict.fromkeys(display_ids))


def _changed(found: Mapping[str, UUID | SorafeedError | None]) -> list[str]:
    return [name for name, outcome in found.items() if not isinstance(outcome, SorafeedError)]


def _outcomes(
    found: Mapping[str, UUID | SorafeedError | None], problems: Mapping[str, str] | None = None
) -> list[Outcome]:
    return [
        Outcome(name, None, error_text(outcome))
        if isinstance(outcome, SorafeedError)
        else Outcome(name, outcome, (problems or {}).get(name))
        for name, outcome in found.items()
    ]
