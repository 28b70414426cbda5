"""A client of the API, like an external program."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx
from sqlalchemy import Engine

from sorafeed_assets.services.tokens import Role, create_token


class Api:
    """Calls with one token; GraphQL answers are unwrapped."""

    def __init__(self, url: str, token: str | None, *, http2: bool = False) -> None:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        self.url = url
        self.http = httpx.Client(base_url=url, headers=headers, timeout=120, http2=http2)

    def post(self, query: str, **variables: object) -> httpx.Response:
        """Send a GraphQL request; returns the response."""
        return self.http.post("/graphql", json={"query": query, "variables": variables})

    def ask(self, query: str, **variables: object) -> Any:
        """The data of a request that must succeed."""
        response = self.post(query, **variables)
        body = response.json()
        assert "errors" not in body, body
        return body["data"]

    def refusal(self, query: str, **variables: object) -> Mapping[str, Any]:
        """The only error of a request that must be refused."""
        body = self.post(query, **variables).json()
        assert len(body["errors"]) == 1, body
        error: Mapping[str, Any] = body["errors"][0]
        return error

    def close(self) -> None:
        """Close the connections."""
        self.http.close()


def token_of(engine: Engine, role: Role, display_id: str | None = None) -> str:
    """Create a token; returns its secret."""
    return create_token(engine, role, "test", display_id=display_id)[1]


def wait_until(is_so: Callable[[], bool], seconds: float = 120.0) -> None:
    """Poll until a condition holds; fails after a time-out."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def readiness(url: str) -> httpx.Response:
    """What a server says of itself; patient, because a busy machine is slow to answer."""
    return httpx.get(f"{url}/readyz", timeout=120)


def wait_until_loaded(url: str) -> None:
    """Wait for what a server imports once it has answered players, which takes memory."""

    def is_loaded() -> bool:
        works = readiness(url).json().get("background", {})
        return works.get("imports", {}).get("last_success") is not None

    wait_until(is_loaded)


CREATE_DISPLAY = """
mutation ($name: String!, $id: String) {
  createDisplay(name: $name, id: $id) { display { id name queued } }
}
"""
CREATE_PLAYLIST = """
mutation ($display: ID!, $name: String!, $blocks: [BlockInput!]!) {
  createPlaylist(displayId: $display, name: $name, blocks: $blocks) {
    problem
    playlist { id isActive blocks { id search videoCount total seen available } }
    display {
      id
      queued
      nowPlaying { videoId }
      queue { videoId position reason status post { text } }
      dryBlocks { search }
      activePlaylist { id name }
    }
  }
}
"""


def newest(search: str, count: int) -> dict[str, object]:
    """A block of the newest posts."""
    return {"search": search, "videoCount": count, "fetchMode": "NEWEST"}


def make_display(admin: Api, code: str, *blocks: dict[str, object], name: str = "Evening") -> Any:
    """Create a display that plays these blocks; returns the answer of createPlaylist."""
    admin.ask(CREATE_DISPLAY, name=f"Display {code}", id=code)
    return admin.ask(CREATE_PLAYLIST, display=code, name=name, blocks=list(blocks))[
        "createPlaylist"
    ]
