"""Reading PromQL far enough to know which series and labels a query names."""

import re
from dataclasses import dataclass, field
from typing import Final

_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<text>"(?:[^"\\]|\\.)*")
      | (?P<range>\[[0-9a-z:$_]+\])
      | (?P<number>[0-9][0-9.e]*[a-z]*)
      | (?P<name>[A-Za-z_:][A-Za-z0-9_:]*)
      | (?P<sign>=~|!~|!=|==|>=|<=|[-+*/%^<>=(){},])
    )""",
    re.VERBOSE,
)
_GROUPING: Final = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_PAIRS: Final = {"(": ")", "{": "}"}
_WORDS: Final = frozenset({"and", "or", "unless", "bool", "offset"})

_Token = tuple[str, str]
"""Its kind, and its text."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """A condition on a label; ``operator`` is =, !=, =~ or !~."""

    label: str
    operator: str
    value: str


@dataclass(slots=True)
class Query:
    """The series that a query selects, and the labels that it groups or matches by."""

    selected: list[tuple[str, tuple[Matcher, ...]]] = field(default_factory=list)
    grouped_by: set[str] = field(default_factory=set)


def parse_query(text: str) -> Query:
    """Read a query.

    Raises:
        ValueError: it has a character that is no token, or brackets that do not match.
    """
    tokens = _tokens(text)
    _check_brackets(tokens, text)
    query = Query()
    at = 0
    while at < len(tokens):
        kind, token = tokens[at]
        following = tokens[at + 1][1] if at + 1 < len(tokens) else ""
        at += 1
        if token == "{":
            raise ValueError(f"a brace without a name: {text}")
        if kind != "name" or token in _WORDS:
            continue
        if token in _GROUPING and following == "(":
            inside, at = _inside(tokens, at, ")")
            query.grouped_by |= {name for kind, name in inside if kind == "name"}
        elif following == "{":
            inside, at = _inside(tokens, at, "}")
            query.selected.append((token, tuple(_matchers(inside, text))))
        elif following not in {"(", "by", "without"}:
            query.selected.append((token, ()))
    return query


def _check_brackets(tokens: list[_Token], text: str) -> None:
    opened: list[str] = []
    for _, token in tokens:
        if token in _PAIRS:
            opened.append(_PAIRS[token])
        elif token in _PAIRS.values() and (not opened or opened.pop() != token):
            raise ValueError(f"a bracket too many: {text}")
    if opened:
        raise ValueError(f"a bracket is open: {text}")


def _inside(tokens: list[_Token], at: int, closing: str) -> tuple[list[_Token], int]:
    """The tokens within the brackets that open at ``at``, and where what follows them begins."""
    end = at + [token for _, token in tokens[at:]].index(closing)
    return tokens[at + 1 : end], end + 1


def _tokens(text: str) -> list[_Token]:
    tokens = []
    at = 0
    stripped = text.rstrip()
    while at < len(stripped):
        found = _TOKEN.match(stripped, at)
        if found is None:
            raise ValueError(f"no PromQL at {stripped[at:][:20]!r}: {text}")
        tokens.append((str(found.lastgroup), found[str(found.lastgroup)]))
        at = found.end()
    return tokens


def _matchers(tokens: list[_Token], text: str) -> list[Matcher]:
    parts = [token for _, token in tokens if token != ","]
    if len(parts) % 3:
        raise ValueError(f"a selector is incomplete: {text}")
    triples = zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    return [Matcher(label, operator, value[1:-1]) for label, operator, value in triples]
