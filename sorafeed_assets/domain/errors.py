"""Every error raised on purpose; each says what is wrong, where, and what to do."""

from uuid import UUID


class SorafeedError(Exception):
    """Base of all errors a user can act on; its text is shown as it is."""


class InvalidInputError(SorafeedError):
    """A value was refused before anything was written.

    Attributes:
        field: the input's name, for example ``blocks[2].video_count``.
        problem: what is wrong with it.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class NotFoundError(SorafeedError):
    """A display, playlist or queue entry does not exist."""


class DisplayNotFoundError(NotFoundError):
    """No display has this code."""

    def __init__(self, code: str) -> None:
        super().__init__(f"display {code} does not exist; check its code, or create it first")


class PlaylistNotFoundError(NotFoundError):
    """No playlist has this id."""

    def __init__(self, playlist_id: UUID) -> None:
        super().__init__(f"playlist {playlist_id} does not exist; it may have been deleted")


class NotDrivenError(SorafeedError):
    """A display is driven by the old system, so nothing may be played on it from here."""

    def __init__(self, code: str) -> None:
        super().__init__(
            f"display {code} is driven by the old system: play its queue there,"
            f" or switch it with `sorafeed cutover {code}`"
        )


class PlanAuditError(SorafeedError):
    """A plan breaks a rule, so the display stays on its last good build."""


class CountsAuditError(SorafeedError):
    """Totals contradict each other, so they are not cached."""


class UnavailableError(SorafeedError):
    """A server (Postgres, Redis) does not answer; the text says which and what to check."""


class BusyError(UnavailableError):
    """The database is busy; the requested work was not begun, or was rolled back."""


class SetupError(SorafeedError):
    """The environment is unsuitable: a port, a folder, a version, a setting."""
