"""Golden plans: what each planner made of stored inputs, to be made again byte for byte.

``python -m sorafeed_assets_tests.domain.timelines.golden_plans NAME`` writes the file of a new
planner. The file of a planner that stored plans name is never written again.
"""

import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from sorafeed_assets.domain.playlists.playlist import FetchMode
from sorafeed_assets.domain.timelines.plan import Planner, Start, keep_played
from sorafeed_assets.domain.timelines.planners import PLANNERS
from sorafeed_assets.domain.timelines.record import (
    PlanInputs,
    content_hash,
    inputs_from_json,
    inputs_to_json,
    plan_again,
    schedule_to_json,
)
from sorafeed_assets_tests.domain.plans import block, schedule_of

_FOLDER: Final = Path(__file__).parent / "golden"
_CASES: Final = 12


def golden_file(name: str) -> Path:
    """The file of a planner."""
    return _FOLDER / f"{name}.json"


def made_again(name: str) -> str:
    """The text of a planner's file, with each plan made again from its inputs."""
    stored = json.loads(golden_file(name).read_text("utf-8"))
    planner = PLANNERS[name]
    return _written(_case(inputs_from_json(each["inputs"], name), planner) for each in stored)


def _case(inputs: PlanInputs, planner: Planner) -> dict[str, Any]:
    schedule = plan_again(inputs, planner)
    return {
        "inputs": inputs_to_json(inputs),
        "plan": schedule_to_json(schedule),
        "hash": content_hash(schedule, inputs.playlist_version),
    }


def _inputs(planner: Planner) -> Iterator[PlanInputs]:
    """Playlists of several blocks, with every tier, edited in the middle of a loop."""
    for number in range(_CASES):
        chance = random.Random(number)  # noqa: S311  # the same cases again, not secrets
        blocks = [
            block(place, chance.choice(["cats", "dogs"]), chance.randint(1, 9), mode)
            for place, mode in enumerate(chance.choices(list(FetchMode), k=4))
        ]
        catalogue = {
            term: [f"{term}{post}" for post in range(chance.randint(0, 30))]
            for term in ("cats", "dogs")
        }
        posts = [post for found in catalogue.values() for post in found]
        played = {post: chance.randint(0, 9) for post in posts if chance.random() < 0.3}
        creators = {post: f"c{chance.randint(0, 4)}" for post in posts if chance.random() < 0.9}
        start = Start(number)
        for _ in range(2):
            result, inputs = schedule_of(
                blocks, catalogue, played, start, planner=planner, creators=creators
            )
            yield inputs
            position = min(7, len(result.schedule.loops[0].picks))
            edited = [*blocks[:-1], block(3, "dogs", 2)]
            start = keep_played(
                result.schedule.loops[0], blocks, edited, position, playing=number % 2 == 0
            )
            blocks = edited


def _written(cases: Iterator[dict[str, Any]]) -> str:
    return "[\n" + ",\n".join(json.dumps(case, sort_keys=True) for case in cases) + "\n]\n"


def main() -> None:
    """Write the golden plans of a new planner."""
    planner = PLANNERS[sys.argv[1]]
    file = golden_file(planner.name)
    if file.exists():
        sys.exit(f"{file} exists: the plans of a planner never change; give the new one a new name")
    file.write_text(_written(_case(each, planner) for each in _inputs(planner)), "utf-8")


if __name__ == "__main__":
    main()
