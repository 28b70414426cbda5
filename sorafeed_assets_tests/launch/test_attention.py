"""What `sorafeed status` lists: a line for each display, with every reason, the worst first."""

from datetime import UTC, datetime

from sorafeed_assets.launch.attention import AttentionItem, display_attention
from sorafeed_assets.services.attention import Attention, Severity


def test_a_display_is_named_once_with_every_reason() -> None:
    seen = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
    found = display_attention(
        {
            "FINE11": Attention(Severity.NONE, (), None),
            "GONE11": Attention(Severity.OFFLINE, (), seen),
            "NOPLAN": Attention(Severity.BROKEN, ("It has nothing to play.",), seen),
            "DRY111": Attention(Severity.DEGRADED, ("One.", "Two."), None),
        }
    )
    offline = "Offline, last seen 2026-03-01 12:30 UTC."
    assert found == [
        AttentionItem("offline", "display", "GONE11", (offline,)),
        AttentionItem("broken", "display", "NOPLAN", ("It has nothing to play.", offline)),
        AttentionItem("degraded", "display", "DRY111", ("One.", "Two.")),
    ]
