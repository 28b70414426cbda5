"""Generating posts and creators that resemble the real ones, the same for the same seed."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sorafeed_assets.demo.text import (
    PLANTED_COUNTS,
    PLANTED_SHARES,
    text_pools,
    vocabulary,
    zipf_picks,
)

CATALOG_DAYS: Final = 26
POSTS_PER_CREATOR: Final = 5.5
MIN_LENGTH: Final = 19
MAX_LENGTH: Final = 2000

_HOST: Final = "example.invalid"
_EMOJI: Final = ("🎬", "😂🔥", "🐉", "✨", "👩‍🚀", "🇫🇷", "❤️", "🤖", "🎶🎶", "👍🏽")
_SIZES: Final[tuple[tuple[int | None, int | None], ...]] = (
    *((640, 352), (352, 640), (896, 512), (512, 896), (640, 640)),
    *((None, None), (0, 0)),
)
_SIZE_SHARES: Final = (0.46, 0.43, 0.07, 0.02, 0.012, 0.005, 0.003)
# Shares of plain, typographic and foreign texts: with the emoji, 40 % are beyond ASCII.
_POOL_SHARES: Final = (0.615, 0.28, 0.105)
_SEPARATORS: Final = (" ", "\n", "\t", "\n\t")
_SEPARATOR_SHARES: Final = (0.68, 0.29, 0.02, 0.01)


class Part(NamedTuple):
    """Posts of a catalog day: those from ``start`` to ``stop`` of the ``posts`` that it has."""

    day: date
    posts: int
    start: int
    stop: int


class Post(NamedTuple):
    """One row of ``sora_posts``, without the columns that the table computes."""

    id: str
    creator_id: str
    text: str
    posted_at: datetime
    permalink: str
    video_url: str
    video_url_md: str
    thumbnail_url: str
    gif_url: str | None
    width: int | None
    height: int | None
    generation_id: str
    task_id: str
    indexed_at: datetime


class Creator(NamedTuple):
    """One row of ``creators``."""

    id: str
    username: str
    display_name: str
    profile_picture_url: str
    permalink: str
    follower_count: int
    following_count: int
    post_count: int
    verified: bool


def posts_of_day(day: date, posts: int, days: int) -> int:
    """The posts of ``day``; any ``days`` consecutive days have ``posts`` together."""
    ordinal = day.toordinal()
    return (ordinal + 1) * posts // days - ordinal * posts // days


def whole_days(until: date, posts: int, days: int) -> list[Part]:
    """The ``days`` days up to and including ``until``."""
    found = [until - timedelta(days=back) for back in reversed(range(days))]
    shares = {day: posts_of_day(day, posts, days) for day in found}
    return [Part(day, count, 0, count) for day, count in shares.items()]


def days_up_to(now: datetime, posts: int, days: int, seed: int) -> list[Part]:
    """The same number of posts as `whole_days` has, the newest of them not after ``now``.

    What the last day does not have yet, the day before the first one has.
    """
    *earlier, today = whole_days(now.date(), posts, days)
    midnight = datetime(now.year, now.month, now.day, tzinfo=UTC)
    past = (now - midnight) // timedelta(microseconds=1)
    _, indexed = _times(_generator(seed, today.day, 0), today.posts)
    there = int(np.searchsorted(indexed, past, "right"))
    # Days that are ``days`` apart have the same number of posts.
    before = today.day - timedelta(days=days)
    return [
        Part(before, today.posts, there, today.posts),
        *earlier,
        Part(today.day, today.posts, 0, there),
    ]


def creators_for(count: int) -> int:
    """How many creators a catalogue with ``count`` posts a day has."""
    return max(1, round(count * CATALOG_DAYS / POSTS_PER_CREATOR))


def post_ids(part: Part, seed: int) -> list[str]:
    """The ids of a part's posts, in the order of `generate_part`."""
    times = _times(_generator(seed, part.day, 0), part.posts)
    return _ids(times, part.day, seed)[part.start : part.stop]


def generate_part(part: Part, seed: int) -> Iterator[Post]:
    """The posts of a part of a day by indexed_at."""
    return islice(generate_day(part.day, part.posts, seed), part.start, part.stop)


def generate_day(day: date, count: int, seed: int) -> Iterator[Post]:
    """The posts of one catalog day by indexed_at; the same arguments give the same rows."""
    times = _times(_generator(seed, day, 0), count)
    texts = _texts(_generator(seed, day, 2), count)
    rng = _generator(seed, day, 3)
    sizes = [_SIZES[i] for i in _choices(rng, _SIZE_SHARES, count)]
    creators = (creators_for(count) * rng.random(count) ** 3).astype(np.uint64)
    gifs = (rng.random(count) < 0.8).tolist()
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    for post_id, creator, text, posted, indexed, (width, height), has_gif in zip(
        _ids(times, day, seed),
        _scramble(creators, seed).tolist(),
        texts,
        *(column.tolist() for column in times),
        sizes,
        gifs,
        strict=True,
    ):
        yield Post(
            post_id,
            f"user-{creator:016x}",
            text,
            midnight + timedelta(microseconds=posted),
            f"https://sora.{_HOST}/p/{post_id}",
            f"https://videos.{_HOST}/{post_id}/source.mp4",
            f"https://videos.{_HOST}/{post_id}/md.mp4",
            f"https://videos.{_HOST}/{post_id}/thumb.webp",
            f"https://videos.{_HOST}/{post_id}/loop.gif" if has_gif else None,
            width,
            height,
            f"gen_{post_id[10:]}",
            f"task_{post_id[10:]}",
            midnight + timedelta(microseconds=indexed),
        )


def generate_creators(first: int, count: int, seed: int) -> Iterator[Creator]:
    """Creators number ``first`` to ``first + count``; a number always gives the same creator."""
    numbers = np.arange(first, first + count, dtype=np.uint64)
    words = vocabulary()
    for number, key in zip(numbers.tolist(), _scramble(numbers, seed).tolist(), strict=True):
        given, family = words[key % len(words)], words[key // 7919 % len(words)]
        username = f"{given}.{family}{number}"
        yield Creator(
            f"user-{key:016x}",
            username,
            f"{given.capitalize()} {family.capitalize()}",
            f"https://images.{_HOST}/{key:016x}.webp",
            f"https://sora.{_HOST}/profile/{username}",
            int(3e6 / (1 + key % 99_991)),
            key % 500,
            1 + key % 40,
            key % 50 == 0,
        )


def _generator(seed: int, day: date, part: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64([seed, day.toordinal(), part]))


def _times(rng: np.random.Generator, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """When posts were posted and indexed, in microseconds from midnight, by indexed_at."""
    # Evenings are busier: a third of the posts take the later of two draws.
    hours = np.where(
        rng.random(count) < 1 / 3, rng.random((2, count)).max(axis=0), rng.random(count)
    )
    indexed = np.sort((hours * 86_400e6).astype(np.int64))
    delay = np.clip(rng.lognormal(4.0, 1.0, count), 2.0, 3600.0)
    return indexed - (delay * 1e6).astype(np.int64), indexed


def _ids(times: tuple[NDArray[np.int64], NDArray[np.int64]], day: date, seed: int) -> list[str]:
    midnight = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
    seconds = (midnight + times[0] // 1_000_000).tolist()
    digits = _generator(seed, day, 1).bytes(12 * len(seconds)).hex()
    return [f"s_{second:08x}{digits[24 * i : 24 * i + 24]}" for i, second in enumerate(seconds)]


def _choices(rng: np.random.Generator, shares: tuple[float, ...], count: int) -> list[int]:
    """Indices of ``shares``, each as often as its share says."""
    picks: list[int] = np.searchsorted(np.cumsum(shares)[:-1], rng.random(count), "right").tolist()
    return picks


def _texts(rng: np.random.Generator, count: int) -> Iterator[str]:
    pools = text_pools()
    lengths = np.clip(rng.lognormal(5.5, 1.32, count), MIN_LENGTH, MAX_LENGTH).astype(int).tolist()
    kinds = _choices(rng, _POOL_SHARES, count)
    separators = _choices(rng, _SEPARATOR_SHARES, count)
    where = rng.random(count)
    starts = np.select(
        [np.array(kinds) == i for i in range(len(pools))],
        [pool.starts[(where * len(pool.starts)).astype(np.int64)] for pool in pools],
    ).tolist()
    flowing, lines = [pool.flowing for pool in pools], [pool.lines for pool in pools]
    for head, length, kind, separator, start in zip(
        _heads(rng, count), lengths, kinds, separators, starts, strict=True
    ):
        joint = _SEPARATORS[separator] if head else ""
        has_lines = separator % 2
        room = max(length - len(head) - len(joint), 2)
        body = (lines if has_lines else flowing)[kind][start : start + room]
        yield f"{head}{joint}{body}"


def _heads(rng: np.random.Generator, count: int) -> Iterator[str]:
    """Beginnings of texts: a planted phrase, an emoji, a mention, a rare name, or none of these."""
    total = count * CATALOG_DAYS
    shares = (
        *PLANTED_SHARES.values(),
        *(min(0.05, number / total) if total else 0.0 for number in PLANTED_COUNTS.values()),
    )
    phrases = (*PLANTED_SHARES, *PLANTED_COUNTS, "")
    words = vocabulary()
    names = zipf_picks(rng, len(words), 2 * count, 50.0).tolist()
    planted = _choices(rng, (*shares, 1 - sum(shares)), count)
    kinds = rng.random(count).tolist()
    for i, (choice, kind) in enumerate(zip(planted, kinds, strict=True)):
        phrase = phrases[choice]
        given, family = words[names[2 * i]], words[names[2 * i + 1]]
        if phrase and kind > 0.6:
            phrase = phrase.upper() if kind > 0.8 else phrase.lower()
        if kind < 0.03:
            emoji = _EMOJI[int(kind * 10_000) % len(_EMOJI)]
            yield f"{emoji} {phrase}".rstrip()
        elif kind < 0.2:
            yield f"{phrase} @{given}.{family}".lstrip()
        elif kind < 0.5 or phrase:
            yield f"{phrase} {given.capitalize()} {family.capitalize()}".lstrip()
        else:
            yield f"{given.capitalize()}:"


def _scramble(numbers: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """Map each number to another 64-bit number, one to one (SplitMix64)."""
    mixed = numbers + np.uint64(seed * 0x9E3779B97F4A7C15 & 0xFFFF_FFFF_FFFF_FFFF)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
