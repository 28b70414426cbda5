"""The match rule: what a search query means and which texts it matches.

A post matches when ``text ILIKE '%phrase%' AND text NOT ILIKE '%exclusion%' ...`` holds in
Postgres, under its builtin ``C.UTF-8`` locale. `fold` and `matches` give the same answer here.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sorafeed_assets.domain.errors import InvalidInputError

MAX_QUERY_LENGTH: Final = 200

# Case pairs that are newer than the Unicode tables of the oldest supported Python.
_NEWER_CASE_PAIRS: Final = {
    0x1C89: 0x1C8A,
    0xA7CB: 0x0264,
    0xA7CC: 0xA7CD,
    0xA7DA: 0xA7DB,
    0xA7DC: 0x019B,
    **{code: code + 0x20 for code in range(0x10D50, 0x10D66)},
}
# Simple case mapping, letter by letter: no second letter for İ, no final form for Σ.
_SIMPLE_CASE: Final = {0x0130: 0x0069, 0x03A3: 0x03C3, **_NEWER_CASE_PAIRS}


class Format(StrEnum):
    """Which shapes of video a block takes, and a count counts."""

    MIXED = "mixed"
    WIDE = "wide"
    TALL = "tall"


class SizeClass(StrEnum):
    """The shape of one video; ``other`` is square or of unknown size."""

    WIDE = "wide"
    TALL = "tall"
    OTHER = "other"


def size_class(width: int | None, height: int | None) -> SizeClass:
    """The shape of a video of this size in pixels; zero and None are unknown."""
    if not width or not height or width == height:
        return SizeClass.OTHER
    return SizeClass.WIDE if width > height else SizeClass.TALL


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """A parsed query: a folded phrase and folded exclusions, sorted and unique."""

    phrase: str
    exclusions: tuple[str, ...] = ()

    @property
    def term(self) -> str:
        """The normalized query, the key that counts are kept under."""
        return " ".join([self.phrase, *(f"-{word}" for word in self.exclusions)])


def fold(text: str) -> str:
    """Lower-case as Postgres does under ``C.UTF-8``: letter by letter, length unchanged."""
    return text.translate(_SIMPLE_CASE).lower()


def parse_query(raw: str, field: str = "search_term") -> SearchQuery:
    """Normalize what a person typed: trim, fold case, collapse white space, split exclusions.

    Raises:
        InvalidInputError: naming ``field``, when the query is empty, has only exclusions, has a
            dash without a word, is over 200 characters long, or contains a NUL.
    """
    if "\x00" in raw:
        raise InvalidInputError(field, "has a NUL character; remove it")
    if len(raw) > MAX_QUERY_LENGTH:
        raise InvalidInputError(
            field, f"has {len(raw)} characters; at most {MAX_QUERY_LENGTH} are allowed"
        )
    words = fold(raw).split()
    phrase = " ".join(word for word in words if not word.startswith("-"))
    exclusions = sorted({word[1:] for word in words if word.startswith("-")})
    if not words:
        raise InvalidInputError(field, "is empty; write the words to search for")
    if not phrase:
        raise InvalidInputError(field, "has only exclusions; write at least one word to search for")
    if "" in exclusions:
        raise InvalidInputError(field, "has a dash without a word; write -word to exclude a word")
    return SearchQuery(phrase, tuple(exclusions))


def matches(query: SearchQuery, text: str | None) -> bool:
    """Whether a post of this text matches; a post without text matches nothing."""
    if text is None:
        return False
    folded = fold(text)
    return query.phrase in folded and not any(word in folded for word in query.exclusions)


def like_pattern(words: str) -> str:
    """``words`` as a LIKE pattern for "contains", with the wildcards of the input escaped."""
    escaped = words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"
