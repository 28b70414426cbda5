"""A line about each column of the assets' tables; `tables` has their types.

Comments in the database explain only some columns, for those who read SQL; these lines are
shown with an asset's columns in the UI, in place of a comment.
"""

from typing import Final

from sqlalchemy import Column

_ANY: Final = {
    "created_at": "when the row was written",
    "display_id": "the display's code: 6 characters from A-Z and 0-9",
    "playlist_id": "the playlist",
    "block_id": "the block",
    "term": "the normalized search",
    "format": "mixed, wide or tall",
    "catalog_day": "the UTC date of the posts' indexed_at",
    "loop_iteration": "the pass through the playlist, from 0",
    "id": "the row's id",
}
_OF_TABLE: Final = {
    "sora_posts": {
        "id": "the post's id",
        "creator_id": "the creator; a row of creators, once the scanner has written it",
        "text": "the post's text, which searches look in",
        "posted_at": "when it was posted",
        "permalink": "the post's web page",
        "video_url": "the video in full quality",
        "video_url_md": "the video in medium quality",
        "thumbnail_url": "a still picture",
        "gif_url": "a moving preview",
        "width": "the video's width in pixels; null when unknown",
        "height": "the video's height in pixels; null when unknown",
        "generation_id": "the generation it came from",
        "task_id": "the task it came from",
        "indexed_at": "when the scanner wrote it; its UTC date is the catalog day",
        "size_class": "wide, tall or other, by width and height",
    },
    "playlists": {
        "id": "the playlist's id",
        "name": "its name, for people",
        "updated_at": "when it or its blocks were last changed",
        "is_active": "whether its display plays it",
        "total_blocks": "how many blocks it has",
        "total_videos": "how many videos one loop asks for",
        "loop_count": "how many loops of it were played",
    },
    "playlist_blocks": {
        "id": "the block's id",
        "search_term": "the search as it was written",
        "video_count": "how many videos of the search play in a row",
        "fetch_mode": "newest or random",
        "block_order": "its place in the playlist, from 0",
        "times_played": "how many of its videos were shown",
        "last_played_at": "when one of its videos was last shown",
    },
    "search_terms": {
        "phrase": "the words that a post's text must contain, in this order",
        "exclusions": "words of which it must contain none",
    },
    "video_counts_daily": {"count": "how many of the day's posts match"},
    "video_candidates": {
        "size_class": "the shape of the pool: wide, tall or other",
        "pool": "the order of the pool: newest or random",
        "post_id": "the candidate",
        "posted_at": "when it was posted: the order of the pool newest",
        "id_hash": "the hash of its id: the order of the pool random",
    },
    "shadow_comparisons": {
        "kind": "what is compared: count, timeline, queue, plays or page",
        "subject": "the search term or the display that is compared",
        "part": "the format of a count; empty for the other kinds",
        "rules": "the rules that explain the difference: known faults of the old system",
        "outcome": "same, expected, unexplained or not_compared",
        "old_seconds": "how long the old system took; null if it was not measured",
        "our_seconds": "how long this system took",
        "old_statements": "how many statements the old system needed",
        "our_statements": "how many statements this system needed",
        "compared_at": "when it was compared",
    },
    "rollouts": {
        "created_at": "when it began",
        "name": "the rollout's name",
        "flag": "the flag that it changes",
        "value": "the value that displays in the share get",
        "steps": "its steps: each a share in percent and how long it is held, in seconds",
        "signals": "the signals that are compared",
        "usual": "by signal and display: the part that went wrong in the hour before it began",
        "status": "running, paused, forced, completed, rolled_back or stopped",
        "percent": "the share of displays that get the value now, in percent",
        "reason": "why it is at this step",
        "verdict": "what the last evaluation decided: pass, fail or inconclusive",
        "comparisons": "the last comparison of each signal",
    },
    "timeline_videos": {
        "id": "the queue entry's id",
        "build_id": "the build whose plan it is from",
        "video_id": "the post that plays",
        "block_position": "its place in the block, from 0",
        "timeline_position": "its place in the loop, from 0",
        "status": "queued, or playing for the head that is on screen",
        "played_at": "when it was played; null while it is queued",
        "video_data": "what a player needs of the post",
    },
}


def description_of(column: Column[object]) -> str | None:
    """What a column holds."""
    of_table = _OF_TABLE.get(column.table.name, {})
    return of_table.get(column.name) or column.comment or _ANY.get(column.name)
