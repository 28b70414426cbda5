"""Demo displays and their playlists, and the searches that benchmarks use."""

from dataclasses import replace
from typing import Final

import numpy as np

from sorafeed_assets.demo.text import (
    ABSENT_PHRASES,
    PLANTED_COUNTS,
    PLANTED_SHARES,
    vocabulary,
    zipf_picks,
)
from sorafeed_assets.domain.catalog.search import Format, parse_query
from sorafeed_assets.domain.playlists.playlist import BlockDraft, FetchMode

MAX_DISPLAYS: Final = 10_000

# The demo shows a healthy wall, and what needs attention on two of each hundred displays.
_DRY: Final = 7
_REPEATS: Final = 10
_EVERY: Final = 100

# Words that some per cent of the generated texts have, with exclusions here and there.
_SEARCHES: Final = (
    *("robot", "robot -dragon", "dragon", "ocean", "ocean -storm", "forest", "mountain", "kitchen"),
    *("castle", "circus", "concert", "desert", "elephant", "garden", "ghost", "guitar", "jungle"),
    *("helicopter", "kitten", "kitten -tiger", "lantern", "library", "lobster", "magician"),
    *("market", "motorcycle", "museum", "octopus", "orchestra", "parrot", "penguin", "pirate"),
    *("rocket", "sailor", "skateboard", "spaceship", "storm", "subway", "sunset", "tiger"),
    *("unicorn", "village", "volcano", "waterfall", "wizard", "zombie"),
)
_FREQUENT: Final = (*PLANTED_SHARES, "Interdimensional Cable Channel 42")

# The playlist that a real display runs: 12 blocks, 52 videos.
REAL_PLAYLIST: Final = tuple(
    BlockDraft(term, count, FetchMode.RANDOM, Format.WIDE)
    for term, count in (
        ("commercial", 2),
        ("Movie Trailer", 10),
        ("commercial", 2),
        ("Interdimensional Cable Channel 42", 1),
        ("Music Video", 10),
        ("commercial", 2),
        ("News Report", 8),
        ("commercial", 2),
        ("Cooking Show", 5),
        ("Nature Documentary", 7),
        ("Interdimensional Cable Channel 42", 1),
        ("commercial", 2),
    )
)


def display_code(number: int) -> str:
    """The code of demo display ``number``, from 1: DEMO01 to DEMO99, then D00100."""
    return f"DEMO{number:02d}" if number < 100 else f"D{number:05d}"


def demo_playlist(number: int, seed: int) -> tuple[BlockDraft, ...]:
    """The blocks of demo display ``number``: the real playlist for the first, then variants.

    Every fifth display has one block of 10; in the others the blocks are rotated, and half of the
    searches, modes and formats differ. Of each hundred, display 7 has a block that no post matches,
    and display 10 asks for more videos than match; the default catalogue has enough for all others.
    """
    if number == 1:
        return REAL_PLAYLIST
    if number % _EVERY == _REPEATS:
        return (BlockDraft("Lighthouse of Neptune", 10, FetchMode.RANDOM, Format.WIDE),)
    blocks = _variant(number, seed)
    if number % _EVERY == _DRY:
        last = blocks[-1]
        return (*blocks[:-1], replace(last, search_term=ABSENT_PHRASES[0]))
    return blocks


def _variant(number: int, seed: int) -> tuple[BlockDraft, ...]:
    rng = np.random.Generator(np.random.PCG64([seed, number]))
    if number % 5 == 0:
        return (BlockDraft(_other_term(rng), 10, _mode(rng), _format(rng)),)
    turn = number % len(REAL_PLAYLIST)
    return tuple(
        BlockDraft(_other_term(rng), block.video_count, _mode(rng), _format(rng))
        if block.search_term != "commercial" and rng.random() < 0.5
        else block
        for block in (*REAL_PLAYLIST[turn:], *REAL_PLAYLIST[:turn])
    )


def _other_term(rng: np.random.Generator) -> str:
    known = _FREQUENT if rng.random() < 0.3 else _SEARCHES
    return known[rng.integers(len(known))]


def _mode(rng: np.random.Generator) -> FetchMode:
    return FetchMode.NEWEST if rng.random() < 0.3 else FetchMode.RANDOM


def _format(rng: np.random.Generator) -> Format:
    return tuple(Format)[rng.integers(len(Format))]


def bench_terms(n: int, seed: int = 1) -> list[str]:
    """``n`` different normalized queries for benchmarks, from frequent to unmatched ones.

    The planted phrases come first; then words and pairs of words, every tenth with an exclusion.
    """
    words = vocabulary()
    rng = np.random.Generator(np.random.PCG64([seed, n]))
    known = (*PLANTED_SHARES, *PLANTED_COUNTS, *ABSENT_PHRASES)
    terms = dict.fromkeys([parse_query(phrase).term for phrase in known][:n])
    while len(terms) < n:
        picks = zipf_picks(rng, len(words), int(rng.integers(1, 3)) + 1, 20.0)
        phrase = [words[i] for i in picks[:-1]]
        if rng.random() < 0.1:
            phrase.append(f"-{words[picks[-1]]}")
        terms[parse_query(" ".join(phrase)).term] = None
    return list(terms)
