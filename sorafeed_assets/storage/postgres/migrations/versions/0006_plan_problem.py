"""Why a display's playlist could not be planned."""

from sorafeed_assets.storage.postgres.migrations.script import run_script

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Apply 0006_plan_problem.sql."""
    run_script("0006_plan_problem.sql")
