"""A proxy in front of the API: its headers are used only when it is trusted."""

import httpx
import pytest
from sqlalchemy import Engine

from sorafeed_assets.domain.errors import SetupError
from sorafeed_assets.launch.embedded import free_port
from sorafeed_assets.services.tokens import Role
from sorafeed_assets.serving.server import Listening, serving
from sorafeed_assets.settings import Settings, load_settings
from sorafeed_assets_tests.serving.client import token_of


@pytest.mark.parametrize(
    ("proxies", "proto", "is_secure"),
    [
        ("", "https", False),
        ("10.0.0.0/8", "https", False),
        ("127.0.0.1", "https", True),
        ("10.0.0.1, 127.0.0.0/8", "https", True),
        ("127.0.0.1", "HTTPS, http", True),
        ("127.0.0.1", "http", False),
        ("127.0.0.1", None, False),
    ],
)
def test_a_token_is_kept_for_https_alone_where_a_trusted_proxy_speaks_it(
    settings: Settings, engine: Engine, proxies: str, proto: str | None, *, is_secure: bool
) -> None:
    token = token_of(engine, Role.ADMIN)
    scheme = {"x-forwarded-proto": proto} if proto else {}
    behind = Settings.model_validate({**settings.model_dump(), "trusted_proxies": proxies})
    with serving(behind, Listening(free_port())) as url:
        # Some proxies name the client, some do not.
        for headers in (scheme, {"x-forwarded-for": "192.0.2.7", **scheme}):
            for path in ("/admin", "/admin/"):
                entered = httpx.get(f"{url}{path}", params={"token": token}, headers=headers)
                assert (entered.status_code, entered.headers["location"]) == (303, "/admin")
                assert ("; Secure" in entered.headers["set-cookie"]) is is_secure


def test_a_proxy_that_is_no_address_is_refused() -> None:
    with pytest.raises(SetupError, match="SORAFEED_TRUSTED_PROXIES"):
        load_settings(trusted_proxies="proxy.example")
