"""The Dagster shell, thin: an asset gathers, calls a service and answers with a result.

One folder a group (catalog, counts, playlists, timelines, cache), each with its assets, checks
and automation. Logic belongs in ``services``, decisions of sensors in ``domain.automation``.
"""

import warnings

from dagster import BetaWarning

# Backfills in one run and many observed assets are marked beta; the versions are pinned.
warnings.filterwarnings("ignore", category=BetaWarning)
