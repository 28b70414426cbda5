"""The mutations. Each is stored and settled before it is answered."""

import strawberry

from sorafeed_assets.domain.errors import DisplayNotFoundError, InvalidInputError, NotFoundError
from sorafeed_assets.services.commands import Change, PlaybackState
from sorafeed_assets.serving.graphql.blocklist import BlocklistMutation
from sorafeed_assets.serving.graphql.blocks import BlockInput, draft_of, drafts_of
from sorafeed_assets.serving.graphql.context import Context, Info
from sorafeed_assets.serving.graphql.display import Display
from sorafeed_assets.serving.graphql.many import ManyMutation
from sorafeed_assets.serving.graphql.timetables import TimeSlotInput, slot_drafts
from sorafeed_assets.serving.graphql.types import Playlist
from sorafeed_assets.serving.ids import parse_id


@strawberry.type(description="The display after a change.")
class DisplayPayload:
    display: Display
    problem: str | None = strawberry.field(
        default=None,
        description="Why the display stays on its last good plan; null if it was planned.",
    )


@strawberry.type(description="The playlist after a change, and its display.")
class PlaylistPayload:
    playlist: Playlist
    display: Display
    problem: str | None = strawberry.field(
        default=None,
        description="Why the display stays on its last good plan; null if it was planned.",
    )


@strawberry.type(description="What was deleted.")
class DeletedPayload:
    id: strawberry.ID
    deletion_id: strawberry.ID = strawberry.field(description="For restore.")


@strawberry.type(description="The display after one of its playlists was deleted.")
class DeletedPlaylistPayload:
    display: Display
    deletion_id: strawberry.ID = strawberry.field(description="For restore.")
    problem: str | None = strawberry.field(
        default=None,
        description="Why the display stays on its last good plan; null if it was planned.",
    )


@strawberry.type(description="The display after a restore, and the playlist that was restored.")
class RestoredPayload:
    display: Display
    playlist: Playlist | None = strawberry.field(
        description="Null when a whole display was restored."
    )
    problem: str | None = strawberry.field(
        default=None,
        description="Why the display cannot play its playlist; null if it can.",
    )


@strawberry.type(description="The recorded play, and the display after it.")
class PlayedPayload:
    video_id: strawberry.ID
    was_skipped: bool
    display: Display


@strawberry.type(description="The normalized search that is watched, or no longer watched.")
class TermPayload:
    term: str


async def _display(context: Context, code: str, problem: str | None = None) -> DisplayPayload:
    record = await context.read_back(context.displays.load(code))
    if record is None:
        raise DisplayNotFoundError(code)
    return DisplayPayload(display=Display.of(record), problem=problem)


async def _playlist(context: Context, change: Change) -> PlaylistPayload:
    shown = await _display(context, change.display_id)
    record = None
    if change.playlist_id is not None:
        record = await context.read_back(context.playlists.load(change.playlist_id))
    if record is None:
        raise NotFoundError("the playlist was deleted in the meantime")
    return PlaylistPayload(
        playlist=Playlist.of(record), display=shown.display, problem=change.problem
    )


def _admin(info: Info) -> Context:
    info.context.principal.must_change()
    return info.context


async def _play_back(info: Info, display_id: str, state: PlaybackState) -> DisplayPayload:
    context = _admin(info)
    await context.change(lambda commands: commands.set_playback(display_id, state))
    return await _display(context, display_id)


async def _sound(
    info: Info, display_id: str, *, is_muted: bool | None = None, volume: int | None = None
) -> DisplayPayload:
    context = _admin(info)
    await context.change(
        lambda commands: commands.set_sound(display_id, is_muted=is_muted, volume=volume)
    )
    return await _display(context, display_id)


@strawberry.type(description="Mutations.")
class Mutation(ManyMutation, BlocklistMutation):
    @strawberry.mutation(description="Add a display; its code is generated unless one is given.")
    async def create_display(self, info: Info, name: str, id: str | None = None) -> DisplayPayload:  # noqa: A002  # the API's word
        context = _admin(info)
        code = await context.change(lambda commands: commands.create_display(id, name))
        return await _display(context, code)

    @strawberry.mutation(description="Rename a display.")
    async def rename_display(self, info: Info, id: strawberry.ID, name: str) -> DisplayPayload:  # noqa: A002  # the API's word
        context = _admin(info)
        await context.change(lambda commands: commands.rename_display(str(id), name))
        return await _display(context, str(id))

    @strawberry.mutation(
        description="Delete a display; its plays are kept, and it can be restored for 30 days."
    )
    async def delete_display(self, info: Info, id: strawberry.ID) -> DeletedPayload:  # noqa: A002  # the API's word
        context = _admin(info)
        deletion = await context.change(lambda commands: commands.delete_display(str(id)))
        return DeletedPayload(id=id, deletion_id=strawberry.ID(str(deletion)))

    @strawberry.mutation(description="Add a playlist, which becomes active at once.")
    async def create_playlist(
        self, info: Info, display_id: strawberry.ID, name: str, blocks: list[BlockInput]
    ) -> PlaylistPayload:
        context = _admin(info)
        drafts = drafts_of(blocks)
        change = await context.change(
            lambda commands: commands.create_playlist(str(display_id), name, drafts)
        )
        return await _playlist(context, change)

    @strawberry.mutation(
        description="Add a playlist from CSV with the columns search_term, video_count, "
        "fetch_mode and format, or from JSON as it is exported, with its time slots; it becomes "
        "active at once."
    )
    async def import_playlist(
        self,
        info: Info,
        display_id: strawberry.ID,
        name: str,
        csv: str | None = None,
        json: str | None = None,
    ) -> PlaylistPayload:
        context = _admin(info)
        draft = draft_of(csv, json)
        change = await context.change(
            lambda commands: commands.create_playlist(str(display_id), name, *draft)
        )
        return await _playlist(context, change)

    @strawberry.mutation(description="Copy a playlist on its display, as an inactive one.")
    async def duplicate_playlist(
        self,
        info: Info,
        id: strawberry.ID,  # noqa: A002  # the API's word
        name: str,
    ) -> PlaylistPayload:
        context, key = _admin(info), parse_id(str(id), "id")
        change = await context.change(lambda commands: commands.duplicate_playlist(key, name))
        return await _playlist(context, change)

    @strawberry.mutation(description="Rename a playlist.")
    async def rename_playlist(self, info: Info, id: strawberry.ID, name: str) -> PlaylistPayload:  # noqa: A002  # the API's word
        context, key = _admin(info), parse_id(str(id), "id")
        display_id = await context.change(lambda commands: commands.rename_playlist(key, name))
        return await _playlist(context, Change(display_id, key))

    @strawberry.mutation(
        description="Delete a playlist; its plays are kept, and it can be restored for 30 days."
    )
    async def delete_playlist(self, info: Info, id: strawberry.ID) -> DeletedPlaylistPayload:  # noqa: A002  # the API's word
        context, key = _admin(info), parse_id(str(id), "id")
        change = await context.change(lambda commands: commands.delete_playlist(key))
        shown = await _display(context, change.display_id)
        return DeletedPlaylistPayload(
            display=shown.display,
            deletion_id=strawberry.ID(str(change.deletion_id)),
            problem=change.problem,
        )

    @strawberry.mutation(
        description="Restore what was deleted within 30 days: a display with its playlists, "
        "or a playlist, which is inactive unless it is to be activated."
    )
    async def restore(
        self,
        info: Info,
        id: strawberry.ID,  # noqa: A002  # the API's word
        activate: bool = False,  # noqa: FBT001  # an argument of the API
    ) -> RestoredPayload:
        context, key = _admin(info), parse_id(str(id), "id")
        change = await context.change(lambda commands: commands.restore(key, activate=activate))
        shown = await _display(context, change.display_id)
        record = None
        if change.playlist_id is not None:
            record = await context.read_back(context.playlists.load(change.playlist_id))
        return RestoredPayload(
            display=shown.display,
            playlist=None if record is None else Playlist.of(record),
            problem=change.problem,
        )

    @strawberry.mutation(
        description="Replace the blocks of a playlist; equal blocks and the video on screen stay."
    )
    async def replace_blocks(
        self, info: Info, playlist_id: strawberry.ID, blocks: list[BlockInput]
    ) -> PlaylistPayload:
        context, key = _admin(info), parse_id(str(playlist_id), "playlistId")
        drafts = drafts_of(blocks)
        change = await context.change(lambda commands: commands.replace_blocks(key, drafts))
        return await _playlist(context, change)

    @strawberry.mutation(description="Make a playlist the active one of its display.")
    async def activate_playlist(self, info: Info, id: strawberry.ID) -> PlaylistPayload:  # noqa: A002  # the API's word
        context, key = _admin(info), parse_id(str(id), "id")
        change = await context.change(lambda commands: commands.activate(key))
        return await _playlist(context, change)

    @strawberry.mutation(
        description="Replace the time slots of a playlist, in which it is active by the clock."
    )
    async def replace_time_slots(
        self, info: Info, playlist_id: strawberry.ID, slots: list[TimeSlotInput]
    ) -> PlaylistPayload:
        context, key = _admin(info), parse_id(str(playlist_id), "playlistId")
        drafts = slot_drafts(slots)
        change = await context.change(lambda commands: commands.replace_slots(key, drafts))
        return await _playlist(context, change)

    @strawberry.mutation(
        description="Choose the playlist that is active outside the time slots of its display."
    )
    async def choose_base_playlist(self, info: Info, id: strawberry.ID) -> PlaylistPayload:  # noqa: A002  # the API's word
        context, key = _admin(info), parse_id(str(id), "id")
        change = await context.change(lambda commands: commands.choose_base(key))
        return await _playlist(context, change)

    @strawberry.mutation(description="Resume a display.")
    async def play(self, info: Info, display_id: strawberry.ID) -> DisplayPayload:
        return await _play_back(info, str(display_id), PlaybackState.PLAYING)

    @strawberry.mutation(description="Pause a display.")
    async def pause(self, info: Info, display_id: strawberry.ID) -> DisplayPayload:
        return await _play_back(info, str(display_id), PlaybackState.PAUSED)

    @strawberry.mutation(description="Stop a display, which then shows nothing.")
    async def stop(self, info: Info, display_id: strawberry.ID) -> DisplayPayload:
        return await _play_back(info, str(display_id), PlaybackState.IDLE)

    @strawberry.mutation(description="Mute a display.")
    async def mute(self, info: Info, display_id: strawberry.ID) -> DisplayPayload:
        return await _sound(info, str(display_id), is_muted=True)

    @strawberry.mutation(description="Unmute a display.")
    async def unmute(self, info: Info, display_id: strawberry.ID) -> DisplayPayload:
        return await _sound(info, str(display_id), is_muted=False)

    @strawberry.mutation(description="Set the volume of a display, in percent.")
    async def set_volume(
        self, info: Info, display_id: strawberry.ID, volume: int
    ) -> DisplayPayload:
        return await _sound(info, str(display_id), volume=volume)

    @strawberry.mutation(
        description="Seek to a position in the video on screen, in seconds from its start."
    )
    async def seek(self, info: Info, display_id: strawberry.ID, seconds: float) -> DisplayPayload:
        context = _admin(info)
        await context.change(lambda commands: commands.seek(str(display_id), seconds))
        return await _display(context, str(display_id))

    @strawberry.mutation(
        description="Show the video before the one on screen once more; what follows it stays."
    )
    async def previous(self, info: Info, display_id: strawberry.ID) -> DisplayPayload:
        context = _admin(info)
        await context.change(lambda commands: commands.previous(str(display_id)))
        return await _display(context, str(display_id))

    @strawberry.mutation(
        description="Show a video of the display's plan or history at once; the others follow it."
    )
    async def play_now(
        self, info: Info, display_id: strawberry.ID, post_id: strawberry.ID
    ) -> DisplayPayload:
        context = _admin(info)
        await context.change(lambda commands: commands.play_now(str(display_id), str(post_id)))
        return await _display(context, str(display_id))

    @strawberry.mutation(
        description="Skip a queue entry, or the head of the queue when none is given."
    )
    async def skip(
        self, info: Info, display_id: strawberry.ID, entry_id: strawberry.ID | None = None
    ) -> PlayedPayload:
        context = _admin(info)
        entry = None if entry_id is None else parse_id(str(entry_id), "entryId")
        advance = await context.change(lambda commands: commands.skip(str(display_id), entry))
        shown = await _display(context, str(display_id))
        return PlayedPayload(
            video_id=strawberry.ID(advance.video_id),
            was_skipped=advance.skipped,
            display=shown.display,
        )

    @strawberry.mutation(
        description="Record that a queue entry was played; a repeat records nothing."
    )
    async def mark_played(
        self, info: Info, display_id: strawberry.ID, entry_id: strawberry.ID
    ) -> PlayedPayload:
        context, entry = info.context, parse_id(str(entry_id), "entryId")
        context.principal.must_read(str(display_id))
        advance = await context.change(
            lambda commands: commands.mark_played(str(display_id), entry)
        )
        shown = await _display(context, str(display_id))
        return PlayedPayload(
            video_id=strawberry.ID(advance.video_id),
            was_skipped=advance.skipped,
            display=shown.display,
        )

    @strawberry.mutation(
        description="Connect the screen that shows a code with a display, or with a new one of"
        " this name. The screen then has a token of its own."
    )
    async def connect_screen(
        self,
        info: Info,
        code: str,
        display_id: strawberry.ID | None = None,
        name: str | None = None,
    ) -> DisplayPayload:
        context = _admin(info)
        if (display_id is None) == (name is None):
            raise InvalidInputError("displayId", "or name is needed, and only one of them")
        context.server.rates.pairing_tries.take(context.principal.token.id)
        chosen = None if display_id is None else str(display_id)
        change = await context.change(
            lambda commands: commands.connect_screen(code, display_id=chosen, name=name)
        )
        return await _display(context, change.display_id, change.problem)

    @strawberry.mutation(description="Revoke the token of a display's screen.")
    async def revoke_screen(
        self, info: Info, display_id: strawberry.ID, token_id: strawberry.ID
    ) -> DisplayPayload:
        context, key = _admin(info), parse_id(str(token_id), "tokenId")
        await context.change(lambda commands: commands.revoke_screen(str(display_id), key))
        return await _display(context, str(display_id))

    @strawberry.mutation(description="Watch a search: keep its counts even if no playlist uses it.")
    async def watch_term(self, info: Info, search: str) -> TermPayload:
        context = _admin(info)
        term = await context.change(lambda commands: commands.watch_term(search))
        return TermPayload(term=term)

    @strawberry.mutation(description="Stop watching a search.")
    async def unwatch_term(self, info: Info, search: str) -> TermPayload:
        context = _admin(info)
        term = await context.change(lambda commands: commands.unwatch_term(search))
        return TermPayload(term=term)
