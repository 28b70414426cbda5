"""Every error raised on purpose; each says what is wrong, where, and what to do."""

from collections.abc import Callable, Sequence
from typing import TypeVar
from uuid import UUID

_Value = TypeVar("_Value")


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

    @property
    def errors(self) -> "tuple[InvalidInputError, ...]":
        """Each value that was refused."""
        return (self,)


class InvalidInputsError(InvalidInputError):
    """Several values were refused at once; its field and problem are those of the first."""

    def __init__(self, errors: Sequence[InvalidInputError]) -> None:
        super().__init__(errors[0].field, errors[0].problem)
        self.args = ("\n".join(map(str, errors)),)
        self._errors = tuple(errors)

    @property
    def errors(self) -> tuple[InvalidInputError, ...]:
        """Each value that was refused."""
        return self._errors


class Refusals:
    """Collects the refused values of an input, to refuse them all at once."""

    def __init__(self) -> None:
        self._errors: list[InvalidInputError] = []

    def check(self, work: Callable[[], _Value]) -> _Value | None:
        """The result of a check; None when it refuses its value."""
        try:
            return work()
        except InvalidInputError as error:
            self._errors += error.errors
            return None

    def add(self, error: InvalidInputError) -> None:
        """Add a refused value."""
        self._errors.append(error)

    def raise_all(self) -> None:
        """Refuse the input if a value was refused.

        Raises:
            InvalidInputError: the refused value, or an InvalidInputsError with all of them.
        """
        if len(self._errors) == 1:
            raise self._errors[0]
        if self._errors:
            raise InvalidInputsError(self._errors)


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


class TimedOutError(UnavailableError):
    """A statement took longer than it was given, or waited too long for a lock."""


class SetupError(SorafeedError):
    """The environment is unsuitable: a port, a folder, a version, a setting."""
