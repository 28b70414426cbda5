"""Flags: asked in process, changed with a reason, heard of within a second.

`Flags` is what other rooms use.
"""

from sorafeed_assets.services.flags.changes import FlagChange
from sorafeed_assets.services.flags.flags import Flags
from sorafeed_assets.services.flags.values import FlagValues, Reason, ReasonKind

__all__ = ["FlagChange", "FlagValues", "Flags", "Reason", "ReasonKind"]
