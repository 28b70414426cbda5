"""Asserting that stored counts and pools equal direct queries."""

from sqlalchemy import Engine, text

from sorafeed_assets.domain.catalog.search import Format, SizeClass, parse_query
from sorafeed_assets.domain.counts.pools import POOLS
from sorafeed_assets.services.counts.reads import term_totals
from sorafeed_assets.services.counts.totals import refresh_totals
from sorafeed_assets.storage.catalog.match_rule import match_parameters
from sorafeed_assets.storage.counts.pools import PoolKey, first_matching, pool_posts

POOL = 2
"""How many posts the pools of these tests hold."""

_PLAYABLE = """
text ILIKE :phrase AND NOT text ILIKE ANY(CAST(:exclusions AS text[]))
AND id NOT IN (SELECT target_id FROM blocklist WHERE kind = 'post')
AND coalesce(creator_id, '') NOT IN (SELECT target_id FROM blocklist WHERE kind = 'creator')
"""


def _direct(engine: Engine, term: str) -> dict[str, int]:
    shapes = {Format.MIXED: None, Format.WIDE: "wide", Format.TALL: "tall"}
    with engine.connect() as connection:
        return {
            format_.value: connection.execute(
                text(
                    f"SELECT count(*) FROM sora_posts WHERE {_PLAYABLE}"
                    " AND (CAST(:shape AS text) IS NULL OR size_class = :shape)"
                ),
                {"shape": shape, **match_parameters(parse_query(term))},
            ).scalar_one()
            for format_, shape in shapes.items()
        }


def assert_exact(engine: Engine) -> None:
    """Totals equal direct counts, and pools hold the first `POOL` matches."""
    refresh_totals(engine)
    totals = term_totals(engine)
    for term in sorted({term for term, _ in totals}):
        stored = {format_.value: totals[term, format_.value] for format_ in Format}
        assert stored == _direct(engine, term), term
        for shape in SizeClass:
            for pool in POOLS:
                key = PoolKey(term, shape.value, pool)
                with engine.connect() as connection:
                    expected = first_matching(connection, key, parse_query(term), POOL)
                    assert pool_posts(connection, key) == set(expected), key
