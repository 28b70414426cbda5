"""What needs attention: one line for each display, with every reason, and how bad it is."""

from sorafeed_assets.launch.attention import Attention, Severity, display_attention
from sorafeed_assets.services.timelines.queues import QueueClass


def test_a_display_is_named_once_with_every_reason() -> None:
    classes = {
        "FINE11": QueueClass.COMPLETE,
        "STALE1": QueueClass.COMPLETE,
        "LOWDRY": QueueClass.LOW,
        "NOPLAN": QueueClass.LOW,
        "DRY111": QueueClass.DRY,
        "IDLE11": QueueClass.NO_PLAYLIST,
        "OLD111": QueueClass.OLD_SYSTEM,
    }
    found = display_attention(
        classes,
        problems={"NOPLAN": "it has no blocks", "OLD111": "left"},
        dry={"LOWDRY": ["unicorns", "elves"], "DRY111": ["unicorns"], "OLD111": ["x"]},
        stale={"STALE1": "v2", "NOPLAN": "v2", "IDLE11": "none"},
    )
    assert found == [
        Attention(
            Severity.DEGRADED,
            "display",
            "STALE1",
            ("its queue does not follow its active playlist",),
        ),
        Attention(
            Severity.DEGRADED,
            "display",
            "LOWDRY",
            ("no post matches 'unicorns'", "no post matches 'elves'", "its queue is low"),
        ),
        Attention(
            Severity.BROKEN,
            "display",
            "NOPLAN",
            ("it cannot be planned: it has no blocks", "its queue is low"),
        ),
        Attention(
            Severity.BROKEN,
            "display",
            "DRY111",
            ("it has nothing to play: no post matches any of its blocks",),
        ),
    ]
