"""The columns of posts and creators as both sides compare them, and the rules of conversion.

A post's time of 0, or outside 1970 to 2099, is unknown, and becomes 1970-01-01: such posts are the
last of the newest, as they are there. A size of 0 or below is unknown: null. `indexed_at` is UTC;
where it is missing or outside these years, it is 1970-01-01 too.
"""

from typing import Final

POSTS: Final = (
    *("id", "creator_id", "text", "posted_at", "permalink", "video_url", "video_url_md"),
    *("thumbnail_url", "gif_url", "width", "height", "generation_id", "task_id", "indexed_at"),
)
CREATORS: Final = (
    *("id", "username", "display_name", "profile_picture_url", "permalink", "follower_count"),
    *("following_count", "post_count", "verified"),
)

_TEXT: Final = frozenset({"text", "character varying"})
_NUMBER: Final = frozenset({"smallint", "integer", "bigint"})
_TIME: Final = frozenset({"timestamp without time zone"})
NEEDED: Final = {
    "sora_posts": {
        **dict.fromkeys(POSTS, _TEXT),
        **dict.fromkeys(("posted_at", "width", "height"), _NUMBER),
        "indexed_at": _TIME,
    },
    "creators": {
        **dict.fromkeys(CREATORS, _TEXT),
        **dict.fromkeys(("follower_count", "following_count", "post_count"), _NUMBER),
        "verified": frozenset({"boolean"}),
    },
}
"""Table of the old catalogue → column → the types that can be read."""

_POSTED_AT: Final = """
to_timestamp(CASE WHEN p.posted_at BETWEEN 1 AND 4102444799 THEN p.posted_at ELSE 0 END)
"""
IS_DATED: Final = "p.indexed_at >= '1970-01-01' AND p.indexed_at < '2100-01-01'"
IS_UNDATED: Final = """
(p.indexed_at IS NULL OR p.indexed_at < '1970-01-01' OR p.indexed_at >= '2100-01-01')
"""
OLD_POSTS: Final = f"""
SELECT p.id, p.creator_id, p.text, {_POSTED_AT} AS posted_at, p.permalink, p.video_url,
    p.video_url_md, p.thumbnail_url, p.gif_url,
    CASE WHEN p.width > 0 THEN p.width END AS width,
    CASE WHEN p.height > 0 THEN p.height END AS height,
    p.generation_id, p.task_id,
    CASE WHEN {IS_DATED} THEN p.indexed_at AT TIME ZONE 'UTC' ELSE to_timestamp(0) END AS indexed_at
FROM sora_posts AS p
WHERE p.id <> ''
"""
OLD_CREATORS: Final = """
SELECT c.id, c.username, c.display_name, c.profile_picture_url, c.permalink, c.follower_count,
    c.following_count, c.post_count, coalesce(c.verified, false) AS verified
FROM creators AS c
WHERE c.id <> ''
"""

# In UTF-8 on both sides, and times as numbers, so that no setting of a server changes it.
POST_DIGEST: Final = """
md5(convert_to(CAST(ROW(r.id, r.creator_id, r.text,
    CAST(extract(epoch FROM r.posted_at) * 1000000 AS bigint), r.permalink, r.video_url,
    r.video_url_md, r.thumbnail_url, r.gif_url, r.width, r.height, r.generation_id, r.task_id,
    CAST(extract(epoch FROM r.indexed_at) * 1000000 AS bigint)) AS text), 'UTF8'))
"""
CREATOR_DIGEST: Final = """
md5(convert_to(CAST(ROW(r.id, r.username, r.display_name, r.profile_picture_url, r.permalink,
    r.follower_count, r.following_count, r.post_count, r.verified) AS text), 'UTF8'))
"""
_SUM: Final = "coalesce(sum(CAST(CAST('x' || left({digest}, 12) AS bit(48)) AS bigint)), 0)"
POSTS_SUM: Final = _SUM.format(digest=POST_DIGEST)
CREATORS_SUM: Final = _SUM.format(digest=CREATOR_DIGEST)
