"""What a comparison found: its outcome, and the named rules that explain its differences."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple


class Outcome(StrEnum):
    """The class of a comparison."""

    SAME = "same"
    EXPECTED = "expected"
    """Every difference follows from a known fault of the old system."""
    UNEXPLAINED = "unexplained"
    NOT_COMPARED = "not_compared"
    """One side could not be read; nothing is guessed."""


class Rule(StrEnum):
    """A known fault of the old system, or a rule of the import, that explains a difference."""

    WILDCARD = "wildcard"
    LETTER_CASE = "letter_case"
    ONLY_HERE = "only_here"
    BLOCKLIST = "blocklist"
    MADE_UP_COUNT = "made_up_count"
    SIZELESS_POST = "sizeless_post"
    UNKNOWN_TIME = "unknown_time"
    SAME_TIME = "same_time"
    EXCLUSIONS_DROPPED = "exclusions_dropped"
    HISTORY_CLEARED = "history_cleared"
    USED_EARLIER = "used_earlier"
    TRIES_FAILED = "tries_failed"
    AVOIDABLE_REPEATS = "avoidable_repeats"
    QUEUE_HELD_TWICE = "queue_held_twice"
    NOT_ACTIVATED = "not_activated"
    HISTORY_DELETED = "history_deleted"


MEANINGS: Final = {
    Rule.WILDCARD: "`%`, `_` and `\\` of a search are wildcards there",
    Rule.LETTER_CASE: "the old server's locale does not fold the case of this letter",
    Rule.ONLY_HERE: "the post exists only here: it was deleted there, or came from a queue",
    Rule.BLOCKLIST: "the post or its creator is excluded here; there is no blocklist there",
    Rule.MADE_UP_COUNT: "the old count did not end in time; 100, 200 or 1000 is shown there",
    Rule.SIZELESS_POST: "a post without a size is counted there, but never played",
    Rule.UNKNOWN_TIME: "a time out of range is unknown here, and a number there",
    Rule.SAME_TIME: "posts of the same second have no order there",
    Rule.EXCLUSIONS_DROPPED: "with too few matches, excluded words are allowed there",
    Rule.HISTORY_CLEARED: "with too few matches, the history is cleared there; here the video"
    " that was shown longest ago is next",
    Rule.USED_EARLIER: "one side plays the post in an earlier block of the loop",
    Rule.TRIES_FAILED: "three random tries found only used posts there",
    Rule.AVOIDABLE_REPEATS: "videos come again there although others match",
    Rule.QUEUE_HELD_TWICE: "populating there adds to a queue that was not cleared",
    Rule.NOT_ACTIVATED: "a new playlist beside another one is not activated there",
    Rule.HISTORY_DELETED: "deleting a playlist there deletes its history",
}
"""Rule → what it says, for reports."""


class Reason(NamedTuple):
    """One difference in words, and the rule that explains it; None when none does."""

    rule: Rule | None
    text: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What a comparison found."""

    outcome: Outcome
    rules: tuple[Rule, ...] = ()
    detail: str = ""


_SHOWN: Final = 3


def conclude(reasons: Iterable[Reason]) -> Finding:
    """The finding of differences: unexplained if one of them is, same without any."""
    found = list(reasons)
    rules = tuple(sorted({reason.rule for reason in found if reason.rule is not None}))
    unexplained = [reason.text for reason in found if reason.rule is None]
    if unexplained:
        return Finding(Outcome.UNEXPLAINED, rules, _listed(unexplained))
    if rules:
        return Finding(Outcome.EXPECTED, rules, _listed([reason.text for reason in found]))
    return Finding(Outcome.SAME)


def not_compared(why: str, *rules: Rule) -> Finding:
    """The finding of a comparison that could not be made."""
    return Finding(Outcome.NOT_COMPARED, rules, why)


def _listed(texts: list[str]) -> str:
    more = len(texts) - _SHOWN
    return "; ".join(texts[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")
