"""Every table and index as SQLAlchemy Core metadata; the migrations build exactly this."""

from sorafeed_assets.storage.postgres.tables.access import (
    api_tokens,
    idempotency_keys,
    screen_pairings,
    signing_keys,
)
from sorafeed_assets.storage.postgres.tables.backups import backups
from sorafeed_assets.storage.postgres.tables.catalog import (
    catalog_changes,
    catalog_days,
    creators,
    sora_posts,
)
from sorafeed_assets.storage.postgres.tables.common import metadata
from sorafeed_assets.storage.postgres.tables.counts import (
    candidate_pools,
    count_digests,
    count_jobs,
    search_terms,
    video_candidates,
    video_counts_daily,
    watched_terms,
)
from sorafeed_assets.storage.postgres.tables.indexes import concurrent_indexes
from sorafeed_assets.storage.postgres.tables.legacy import (
    legacy_comparisons,
    legacy_cursors,
    legacy_imports,
    legacy_problems,
    legacy_queues,
)
from sorafeed_assets.storage.postgres.tables.lineage import (
    leases,
    lineage_records,
    reactions,
)
from sorafeed_assets.storage.postgres.tables.playlists import (
    deletions,
    display_changes,
    display_tags,
    display_terms,
    displays,
    playlist_blocks,
    playlists,
    template_blocks,
    templates,
    time_slots,
    timetables,
)
from sorafeed_assets.storage.postgres.tables.rollouts import (
    display_requests,
    figures,
    flag_assignments,
    flag_versions,
    play_failures,
    rollout_changes,
    rollouts,
    shadow_comparisons,
)
from sorafeed_assets.storage.postgres.tables.timelines import (
    play_hours,
    post_durations,
    timeline_builds,
    timeline_videos,
    video_history,
)

__all__ = [
    "api_tokens",
    "backups",
    "candidate_pools",
    "catalog_changes",
    "catalog_days",
    "concurrent_indexes",
    "count_digests",
    "count_jobs",
    "creators",
    "deletions",
    "display_changes",
    "display_requests",
    "display_tags",
    "display_terms",
    "displays",
    "figures",
    "flag_assignments",
    "flag_versions",
    "idempotency_keys",
    "leases",
    "legacy_comparisons",
    "legacy_cursors",
    "legacy_imports",
    "legacy_problems",
    "legacy_queues",
    "lineage_records",
    "metadata",
    "play_failures",
    "play_hours",
    "playlist_blocks",
    "playlists",
    "post_durations",
    "reactions",
    "rollout_changes",
    "rollouts",
    "screen_pairings",
    "search_terms",
    "shadow_comparisons",
    "signing_keys",
    "sora_posts",
    "template_blocks",
    "templates",
    "time_slots",
    "timeline_builds",
    "timeline_videos",
    "timetables",
    "video_candidates",
    "video_counts_daily",
    "video_history",
    "watched_terms",
]
