"""The words of the demo catalogue: a Zipf vocabulary, texts in several scripts, planted phrases.

The words do not depend on the seed, so that a search term matches alike in all catalogues.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

# Share of all posts that begin with the phrase.
PLANTED_SHARES: Final = {
    "commercial": 0.1,
    "Music Video": 0.07,
    "Nature Documentary": 0.03,
    "Movie Trailer": 0.016,
    "News Report": 0.01,
    "Cooking Show": 0.004,
}
# How many posts of 26 days begin with the phrase, however large the catalogue.
PLANTED_COUNTS: Final = {"Interdimensional Cable Channel 42": 1000, "Lighthouse of Neptune": 10}
# Phrases that no post has.
ABSENT_PHRASES: Final = ("Quiet Harbour at Noon", "50% off_season\\sale")

VOCABULARY_SIZE: Final = 6000

_FIXED_SEED: Final = 42
_POOL_SENTENCES: Final = 24_000
_LONGEST: Final = 2000
_COMMON: Final = """
the and with into over camera light city slow motion while under after around across before a
woman man child robot dragon street ocean forest mountain kitchen window train morning night rain
snow neon vintage handheld wide close shot scene style cinematic realistic documentary voice music
crowd laughing running dancing singing talking walking flying looking holding wearing turning
smiling suddenly slowly gently quickly bright golden dark soft warm blue red green tiny giant
ancient modern magical funny serious dramatic epic bread bridge castle circus coffee concert
desert diner elephant engine fashion festival fisherman football fountain garage garden ghost
grandmother guitar hallway harvest helicopter horse hospital island jungle kitten knight ladder
lantern library lobster magician market mascot meadow mirror monster motorcycle museum notebook
octopus office orchestra painter parade parrot penguin piano pillow pirate planet playground
podium police pumpkin puppet rabbit radio restaurant river rocket rooftop sailor scientist
sculpture shadow skateboard skeleton soldier spaceship spider stadium staircase statue storm
subway sunset surfer teacher telescope theater thunder tiger tornado tractor treasure tunnel
umbrella unicorn valley vampire village violin volcano waiter waterfall wedding whale wizard wolf
zombie
"""
_SCRIPTS: Final = tuple(
    words.split()
    for words in (
        "камера медленно город ночь старик смеётся дождь поезд музыка Ёлка свет окно море",
        "κάμερα πόλη νύχτα θάλασσα φως παιδί ΧΟΡΌΣ γέλιο δρόμος βροχή ουρανός λόγος",
        "カメラ 東京 夜 雨 猫 ロボット 笑う 走る 海 光 電車 静かな 朝",
        "مدينة ليل بحر ضوء طفل يضحك مطر قطار موسيقى نافذة صباح",
        "कैमरा शहर रात बारिश बच्चा हँसता समुद्र रोशनी संगीत सुबह",
        "카메라 도시 밤 비 아이 웃음 바다 빛 음악 아침 기차",
        "İstanbul ışık gece yağmur çocuk gülüyor deniz müzik sabah tren kapı şehir",
    )
)
_ACCENTS: Final = str.maketrans({"e": "é", "o": "ö", "a": "à", "u": "ü", "n": "ñ", "i": "í"})
_ODDITIES: Final = ("100% real", "C:\\clips\\cut_07", "take_two", "50/50", "a\\b test", "7 % off")


@dataclass(frozen=True, slots=True)
class TextPool:
    """A long text to cut posts from, in two forms: on one line, and one line per sentence.

    ``starts`` (int64) are the offsets of sentences with at least 2,000 characters after them.
    """

    flowing: str
    lines: str
    starts: NDArray[np.int64]


@cache
def vocabulary() -> tuple[str, ...]:
    """6,000 words, the most frequent first."""
    rng = np.random.Generator(np.random.PCG64(_FIXED_SEED))
    onsets = ["b", "br", "d", "dr", "f", "g", "gl", "k", "l", "m", "n", "p", "pl", "r", "s", "st"]
    onsets += ["t", "tr", "v", "z", "sh", "ch", "qu", "w"]
    nuclei = ["a", "e", "i", "o", "u", "ai", "ea", "oo", "ou"]
    codas = ["", "", "", "", "n", "r", "l", "s"]
    words = dict.fromkeys(_COMMON.split())
    while len(words) < VOCABULARY_SIZE:
        syllables = [
            onsets[rng.integers(len(onsets))]
            + nuclei[rng.integers(len(nuclei))]
            + codas[rng.integers(len(codas))]
            for _ in range(rng.integers(2, 4))
        ]
        words["".join(syllables)] = None
    return tuple(words)


def zipf_picks(
    rng: np.random.Generator, size: int, count: int, offset: float = 2.7
) -> NDArray[np.int64]:
    """``count`` indices below ``size``, index i with a probability of 1 / (i + offset)."""
    weights = np.cumsum(1.0 / (np.arange(size) + offset))
    picks: NDArray[np.int64] = np.searchsorted(weights, rng.random(count) * weights[-1])
    return picks


@cache
def text_pools() -> tuple[TextPool, TextPool, TextPool]:
    """Plain ASCII; Latin with typographic quotes and accents; other scripts."""
    rng = np.random.Generator(np.random.PCG64([_FIXED_SEED, 1]))
    plain = _sentences(rng, vocabulary(), _POOL_SENTENCES)
    typographic = [_typeset(s) for s in _sentences(rng, vocabulary(), _POOL_SENTENCES)]
    foreign: list[str] = []
    for _ in range(_POOL_SENTENCES // 4 // 60):
        foreign += _sentences(rng, _SCRIPTS[rng.integers(len(_SCRIPTS))], 60)
    return _pool(plain), _pool(typographic), _pool(foreign)


def _sentences(rng: np.random.Generator, words: Sequence[str], count: int) -> list[str]:
    lengths = rng.integers(5, 15, count)
    picks = zipf_picks(rng, len(words), int(lengths.sum())).tolist()
    kinds = rng.random(count).tolist()
    sentences = []
    begin = 0
    for length, kind in zip(lengths.tolist(), kinds, strict=True):
        chosen = [words[pick] for pick in picks[begin : begin + length]]
        begin += length
        sentences.append(_sentence(chosen, kind))
    return sentences


def _sentence(words: list[str], kind: float) -> str:
    """``kind`` from 0 to 1 decides: dialogue, a mention, an oddity, a question or plain."""
    first, rest = words[0].capitalize(), " ".join(words[1:])
    if kind < 0.2:
        return f'"{first} {rest}," says {words[-1]}.'
    if kind < 0.28:
        return f"{first} @{words[-1]}.{words[1]} {rest}."
    if kind < 0.31:
        return f"{first} {_ODDITIES[int(kind * 1000) % len(_ODDITIES)]} {rest}."
    if kind < 0.4:
        return f"{first}, it's {rest}?"
    return f"{first} {rest}."


def _typeset(sentence: str) -> str:
    first, _, rest = sentence.replace(" says", "” says").replace('"”', "”").partition(" ")
    accented = first.translate(_ACCENTS).replace('"', "“")
    mark = accented if not accented.isascii() else f"“{accented}”"
    return f"{mark} {rest}".replace(',"', ",").replace("'", "’").replace("? ", "?… ")


def _pool(sentences: list[str]) -> TextPool:
    flowing = " ".join(sentences)
    lengths = np.array([len(sentence) + 1 for sentence in sentences], dtype=np.int64)
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)[:-1]])
    return TextPool(flowing, "\n".join(sentences), starts[starts < len(flowing) - _LONGEST])
