"""The GraphQL types of timetables and their mutations' inputs."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

import strawberry

from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.domain.playlists import time_slots as rules
from sorafeed_assets.domain.playlists.timetable import ChosenBy
from sorafeed_assets.services.playlists.timetables import TimetableView, spans_of

strawberry.enum(rules.Weekday, description="A day of the week.")
strawberry.enum(ChosenBy, description="Why a playlist is the active one.")

_MOST_DAYS = 31


@strawberry.type(description="When a playlist is active by the clock.")
class TimeSlot:
    id: strawberry.ID
    playlist_id: strawberry.ID
    days: list[rules.Weekday] = strawberry.field(description="The days on which it begins.")
    starts: str = strawberry.field(description="A time of its time zone's clock, as HH:MM.")
    ends: str = strawberry.field(
        description="A time of its time zone's clock; of the next day, unless after it starts."
    )
    time_zone: str
    first_day: date | None
    last_day: date | None
    priority: int = strawberry.field(
        description="Where slots overlap, the highest wins, then the one that began last."
    )
    text: str = strawberry.field(description="The slot in one line for people.")

    @classmethod
    def of(cls, slot: rules.TimeSlot) -> "TimeSlot":
        """Convert a stored slot."""
        draft = slot.draft
        return cls(
            id=strawberry.ID(str(slot.id)),
            playlist_id=strawberry.ID(str(slot.playlist_id)),
            days=sorted(draft.days),
            starts=rules.shown_time(draft.starts),
            ends=rules.shown_time(draft.ends),
            time_zone=draft.time_zone,
            first_day=draft.first_day,
            last_day=draft.last_day,
            priority=draft.priority,
            text=rules.shown_slot(draft),
        )


@strawberry.type(description="A time in which a time slot, or the base playlist, is active.")
class TimetableSpan:
    start: datetime
    end: datetime
    playlist_id: strawberry.ID
    slot_id: strawberry.ID | None = strawberry.field(
        description="The time slot; null when it is the base playlist."
    )


@strawberry.type(description="What the time slots of a display's playlists say.")
class Timetable:
    view: strawberry.Private[TimetableView]
    slots: list[TimeSlot]
    unusable_slots: list[strawberry.ID] = strawberry.field(
        description="The slots whose time zone is unknown; they never begin."
    )
    base_playlist_id: strawberry.ID = strawberry.field(
        description="The playlist that is active outside the time slots."
    )
    chosen_by: ChosenBy = strawberry.field(description="Why the active playlist is active.")
    next_switch: datetime | None = strawberry.field(
        description="When another playlist becomes active; null if not within eight days."
    )
    next_playlist_id: strawberry.ID | None

    @strawberry.field(description="Which playlist is active when, for 1 to 31 days.")
    def spans(self, start: datetime, days: int = 7) -> list[TimetableSpan]:
        if not 1 <= days <= _MOST_DAYS:
            raise InvalidInputError("days", f"is {days}; it must be 1 to {_MOST_DAYS}")
        if start.tzinfo is None:
            raise InvalidInputError("start", "has no time zone; add one, such as Z for UTC")
        return [
            TimetableSpan(
                start=span.start,
                end=span.end,
                playlist_id=(
                    strawberry.ID(str(span.slot.playlist_id))
                    if span.slot
                    else self.base_playlist_id
                ),
                slot_id=strawberry.ID(str(span.slot.id)) if span.slot else None,
            )
            for span in spans_of(self.view, start, start + timedelta(days=days))
        ]

    @classmethod
    def of(cls, view: TimetableView) -> "Timetable | None":
        """Convert a view; None when the display has no time slots."""
        decision = view.decision
        if decision is None:
            return None
        return cls(
            view=view,
            slots=[TimeSlot.of(slot) for slot in view.slots],
            unusable_slots=[strawberry.ID(str(slot.id)) for slot in view.unusable],
            base_playlist_id=strawberry.ID(str(decision.base_id)),
            chosen_by=decision.chosen_by,
            next_switch=decision.next_switch,
            next_playlist_id=None if view.next_id is None else strawberry.ID(str(view.next_id)),
        )


@strawberry.input(description="A time slot to store.")
class TimeSlotInput:
    days: list[rules.Weekday]
    starts: str
    ends: str
    time_zone: str
    first_day: str | None = None
    last_day: str | None = None
    priority: int = 0


def slot_drafts(slots: Sequence[TimeSlotInput]) -> list[rules.SlotDraft]:
    """Check the time slots that a client sent.

    Raises:
        InvalidInputError: naming the field, as ``slots[index].field``.
    """
    if len(slots) > rules.MAX_SLOTS:
        raise InvalidInputError("slots", f"are {len(slots)}; at most {rules.MAX_SLOTS} are allowed")
    return [
        rules.draft_slot(
            index,
            days=slot.days,
            starts=slot.starts,
            ends=slot.ends,
            time_zone=slot.time_zone,
            first_day=slot.first_day,
            last_day=slot.last_day,
            priority=slot.priority,
        )
        for index, slot in enumerate(slots)
    ]
