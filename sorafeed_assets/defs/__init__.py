"""The Dagster shell, thin: an asset gathers, calls a service and answers with a result.

Each group (catalog, counts, playlists, timelines, cache) has a folder with its assets, checks
and automation. Logic belongs in ``services``, sensors' decisions in ``domain.automation``.
"""

import warnings

from dagster import BetaWarning

# Backfills in one run and many observed assets are marked beta; the versions are pinned.
warnings.filterwarnings("ignore", category=BetaWarning)
