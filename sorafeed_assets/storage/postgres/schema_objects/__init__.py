"""The schema besides `tables`: the extension, functions, triggers, the view of totals, `scanner`.

The migrations have their own copies; a test compares what both make.
"""

from typing import Final

from sorafeed_assets.storage.postgres.schema_objects import (
    access,
    catalog,
    counts,
    playlists,
    scanner,
)

BEFORE_TABLES: Final = (catalog.EXTENSIONS, catalog.SLICES)
"""What the indexes of tables use."""

AFTER_TABLES: Final = (
    catalog.OBJECTS,
    counts.OBJECTS,
    counts.TOTALS,
    playlists.OBJECTS,
    access.OBJECTS,
    scanner.OBJECTS,
)
