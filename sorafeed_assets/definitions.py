"""What Dagster and notebooks load. Programs that need other settings build their own.

Importing this module builds the whole graph, so they import `defs.merged`.
"""

from sorafeed_assets.defs.merged import build_definitions
from sorafeed_assets.services.timelines.frames import Plan as Plan

defs = build_definitions()
