"""Content for pages in a browser."""

from sqlalchemy import Engine

from sorafeed_assets.domain.legacy.queues import Problem
from sorafeed_assets.domain.shadow.costs import Cost
from sorafeed_assets.domain.shadow.outcome import Finding, Outcome, Rule
from sorafeed_assets.storage.legacy.queues import store_problems
from sorafeed_assets.storage.shadow.comparisons import COUNT, TIMELINE, Compared, store
from sorafeed_assets_tests.catalogue import run


def compare_with_old(engine: Engine) -> None:
    """Comparisons with an old system, on some days and displays."""
    costs = (Cost(0.4, 1), Cost(0.001, 1))
    found = [
        Compared(
            COUNT, f"term {n}", Finding(outcome, rules, "12 there, 13 here"), "mixed", {}, *costs
        )
        for n, (outcome, rules) in enumerate(
            [
                (Outcome.SAME, ()),
                (Outcome.EXPECTED, (Rule.WILDCARD, Rule.ONLY_HERE)),
                (Outcome.UNEXPLAINED, ()),
                (Outcome.NOT_COMPARED, (Rule.MADE_UP_COUNT,)),
            ]
            * 20
        )
    ]
    found += [
        Compared(TIMELINE, f"LOOK{n:02}", Finding(outcome), figures={"audit": ["loop 0"]})
        for n, outcome in enumerate([*Outcome] * 3)
    ]
    with engine.begin() as connection:
        store(connection, found)
        store_problems(
            connection,
            [
                Problem("conflict", "display LOOK01", "its name was changed in both systems"),
                Problem("queue", "display LOOK02", "420 rows wait, where 52 belong"),
            ],
        )
    run(
        engine,
        "UPDATE shadow_comparisons"
        " SET compared_at = compared_at - make_interval(days => CAST(id % 13 AS integer))",
    )
