"""Counts and queues for the tests of the caches, as their services would write them."""

from collections.abc import Mapping

from sqlalchemy import Engine, text


def store_counts(engine: Engine, totals: Mapping[str, int]) -> None:
    """Make these the counted terms, with a total for mixed and half of it for wide."""
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM search_terms"))
        for term, number in totals.items():
            connection.execute(
                text("INSERT INTO search_terms (term, phrase, counted_at) VALUES (:t, :t, now())"),
                {"t": term},
            )
            for format_, count in (("mixed", number), ("wide", number // 2)):
                if count:
                    connection.execute(
                        text(
                            "INSERT INTO video_counts_daily (term, format, catalog_day, count)"
                            " VALUES (:term, :format, '2026-01-01', :count)"
                        ),
                        {"term": term, "format": format_, "count": count},
                    )
        connection.execute(text("REFRESH MATERIALIZED VIEW video_counts_by_search"))


def store_queue(engine: Engine, display_id: str, videos: int) -> int:
    """Give a display a playlist, a build and a queue of this length; the build's id."""
    values: dict[str, object] = {"display": display_id}
    with engine.begin() as connection:
        values["playlist"] = connection.scalar(
            text(
                "INSERT INTO playlists (display_id, name, is_active, is_new)"
                " VALUES (:display, 'Evening', true, false) RETURNING id"
            ),
            values,
        )
        build = connection.scalar(
            text(
                "INSERT INTO timeline_builds (display_id, playlist_id, playlist_version,"
                " loop_iteration, inputs, plan, dry_blocks, content_hash)"
                " VALUES (:display, :playlist, 'v', 0, '{}', '[]', '[2]', 'h') RETURNING id"
            ),
            values,
        )
        values["build"] = build
        connection.execute(
            text("UPDATE displays SET active_build_id = :build WHERE id = :display"), values
        )
        for position in range(videos):
            connection.execute(
                text(
                    "INSERT INTO timeline_videos (display_id, build_id, playlist_id, block_id,"
                    " video_id, block_position, timeline_position, loop_iteration, queue_slot,"
                    " video_data) VALUES (:display, :build, :playlist, uuidv7(), :video, 0,"
                    " :position, 0, :position, jsonb_build_object('text', 'ё \"' || :video))"
                ),
                {**values, "position": position, "video": f"v{position}"},
            )
    assert isinstance(build, int)
    return build
