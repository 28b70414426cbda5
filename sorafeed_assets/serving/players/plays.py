"""The endpoints that record plays: one play, or many plays of many displays."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response

from sorafeed_assets.domain.errors import InvalidInputError, SorafeedError
from sorafeed_assets.domain.playlists.playlist import check_display_code
from sorafeed_assets.services.timelines.advancing import Advance, Play
from sorafeed_assets.services.timelines.late import LatePlay
from sorafeed_assets.serving.http.errors import kind_of
from sorafeed_assets.serving.players.late import Clock, late_play
from sorafeed_assets.serving.players.requests import display_of, entry_in, json_body
from sorafeed_assets.serving.state import ServerState

_MOST: Final = 500
# Players give a call up after seconds, and repeat it.
_BEGINS_SECONDS: Final = 2.0


async def played(request: Request) -> Response:
    """Record a play, or a skip of a broken file; a repeat gets the same answer.

    Plays that arrive while others are stored share their transaction.
    """
    server, code = display_of(request)
    body = await json_body(request)
    play = Play(code, entry_in(body), _skipped(body))
    answer = await server.plays.make(play)
    server.troubles.played([play], [answer])
    if isinstance(answer, SorafeedError):
        raise answer
    return _json(_told(answer))


async def plays(request: Request) -> Response:
    """Record many plays of many displays; each has its own answer.

    Those with the position that was shown, of a player that reached no server, are recorded even if
    their queues have changed since.
    """
    server: ServerState = request.app.state.server
    told = _plays(request, await json_body(request))
    asked = [each.play if isinstance(each, LatePlay) else each for each in told]
    answers = await server.change(lambda: _record(server, told), begins_within=_BEGINS_SECONDS)
    server.troubles.played(asked, answers)
    return _json(
        {"plays": [_answer(play, answer) for play, answer in zip(asked, answers, strict=True)]}
    )


def _record(
    server: ServerState, told: Sequence[Play | LatePlay]
) -> Sequence[Advance | SorafeedError]:
    """Record plays; one whose receipt is not the pick's has to be queued."""
    answers: dict[int, Advance | SorafeedError] = {}
    recorded = 0
    for late, others in _rounds(server, told):
        answers |= zip(late, server.commands.mark_late_played(list(late.values())), strict=True)
        answers |= zip(others, server.commands.mark_all_played(list(others.values())), strict=True)
        recorded += sum(isinstance(answers[number], Advance) for number in late)
    if recorded:
        server.metrics.late_plays.inc(recorded)
    return [answers[number] for number in range(len(told))]


def _rounds(
    server: ServerState, told: Sequence[Play | LatePlay]
) -> list[tuple[dict[int, LatePlay], dict[int, Play]]]:
    """Late and other plays by their numbers, in rounds that keep those of a display in their order.

    A late play removes the queue rows before its own, which an earlier play may need.
    """
    rounds: list[tuple[dict[int, LatePlay], dict[int, Play]]] = []
    # Each display's round, and whether its last play was late. In a round late ones come first.
    last: dict[str, tuple[int, bool]] = {}
    for number, each in enumerate(told):
        play = each if isinstance(each, Play) else each.play
        late = each if isinstance(each, LatePlay) else None
        if late is not None and not server.signer.was_planned(late.pick, late.receipt):
            late = None
        in_round, was_late = last.get(play.display_id, (0, True))
        in_round += late is not None and not was_late
        last[play.display_id] = in_round, late is not None
        if in_round == len(rounds):
            rounds.append(({}, {}))
        if late is not None:
            rounds[in_round][0][number] = late
        else:
            rounds[in_round][1][number] = play
    return rounds


def _plays(request: Request, body: Mapping[str, Any]) -> list[Play | LatePlay]:
    given = body.get("plays")
    if not isinstance(given, list):
        raise InvalidInputError("plays", "must be a list")
    if len(given) > _MOST:
        raise InvalidInputError("plays", f"has {len(given):,} plays; send at most {_MOST} at once")
    clock = Clock(body, request.app.state.server.settings.player_plan_hours)
    return [_play(request, f"plays[{number}]", each, clock) for number, each in enumerate(given)]


def _play(request: Request, field: str, given: object, clock: Clock) -> Play | LatePlay:
    if not isinstance(given, dict):
        raise InvalidInputError(field, "must be a JSON object")
    code = given.get("display")
    code = check_display_code(code if isinstance(code, str) else "", f"{field}.display")
    request.state.principal.must_read(code)
    entry = entry_in(given, f"{field}.entry")
    skipped = _skipped(given, f"{field}.skipped")
    if given.get("pick") is None:
        return Play(code, entry, skipped)
    return late_play(given, code, entry, clock, field, skipped=skipped)


def _skipped(body: Mapping[str, Any], field: str = "skipped") -> bool:
    skipped = body.get("skipped", False)
    if not isinstance(skipped, bool):
        raise InvalidInputError(field, "must be true or false")
    return skipped


def _answer(play: Play, answer: Advance | SorafeedError) -> dict[str, Any]:
    about = {"display": play.display_id, "entry": str(play.timeline_video_id)}
    if isinstance(answer, Advance):
        return {**about, "status": 200, **_told(answer)}
    kind = kind_of(answer)
    return {
        **about,
        "status": kind.status,
        "error": {"code": kind.code, "message": str(answer)},
    }


def _told(advance: Advance) -> dict[str, Any]:
    head = advance.head_timeline_video_id
    return {
        "video": advance.video_id,
        "played_at": advance.played_at.isoformat(),
        "skipped": advance.skipped,
        "loop": advance.loop,
        "position": advance.position,
        "head": None if head is None else str(head),
        "queued": advance.queued,
    }


def _json(body: object) -> Response:
    return Response(orjson.dumps(body), media_type="application/json")
