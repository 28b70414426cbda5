"""The forms of the pages."""

from typing import Final
from urllib.parse import parse_qs

from starlette.requests import Request

from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.domain.text import check_storable
from sorafeed_assets.serving.access.access import is_same_origin
from sorafeed_assets.serving.http.errors import ForbiddenError

_SHOWN: Final = 20


async def fields_of(request: Request) -> dict[str, str]:
    """The fields of a form, without those that are empty.

    Raises:
        ForbiddenError: a page of another site sent it.
        InvalidInputError: a field has a character that cannot be stored.
    """
    if not is_same_origin(request.headers):
        raise ForbiddenError("another site's page sent this; use the form on this site's page")
    body = parse_qs((await request.body()).decode("utf-8", "replace"))
    fields = {name: values[0].strip() for name, values in body.items()}
    for name, value in fields.items():
        check_storable(value, name[:_SHOWN])
    return fields


def percent_of(given: str) -> float:
    """The share that a person entered.

    Raises:
        InvalidInputError: it is no number.
    """
    try:
        return float(given)
    except ValueError:
        raise InvalidInputError("share", f"is {given!r}; it must be a number of percent") from None
