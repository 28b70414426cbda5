"""Sending one message to a webhook: a POST of JSON that counts once it is accepted."""

from collections.abc import Mapping
from http.client import HTTPException
from typing import Final
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

import orjson

from sorafeed_assets.domain.errors import UnavailableError

_SECONDS: Final = 5.0


class _NoRedirects(HTTPRedirectHandler):
    """A redirect is an error: following it would turn the POST into a GET without a body."""

    def redirect_request(self, *_details: object) -> None:
        """Follow none."""


def post(url: str, message_id: str, message: Mapping[str, object]) -> None:
    """Send a message; its id is also the Idempotency-Key, as a repeat may be unavoidable.

    Raises:
        UnavailableError: it was not accepted. The text does not have the address, which may
            contain a secret.
    """
    request = Request(  # noqa: S310  # the settings accept only http and https
        url,
        data=orjson.dumps({"id": message_id, **message}),
        headers={
            "Content-Type": "application/json",
            "User-Agent": "sorafeed",
            "Idempotency-Key": message_id,
        },
        method="POST",
    )
    try:
        with build_opener(_NoRedirects).open(request, timeout=_SECONDS):
            return
    except HTTPError as error:
        with error:
            raise UnavailableError(f"the webhook answers {error.code}") from error
    except URLError as error:
        raise UnavailableError(f"the webhook does not answer: {error.reason}") from error
    except (OSError, HTTPException) as error:
        raise UnavailableError(f"the webhook does not answer: {type(error).__name__}") from error
