"""Addresses that a player may load: http and https only, and clips for posts of the demo."""

import pytest

from sorafeed_assets.serving.players.media import media_url


@pytest.mark.parametrize(
    "url",
    ["https://a.example/x.mp4?y#z", "http://user:word@a.example:80/x", "HTTP://[::1]/x"],
)
def test_web_addresses_are_kept(url: str) -> None:
    assert media_url("p", url, 1, 2) == url


@pytest.mark.parametrize(
    "url",
    [
        *(None, "", "ftp://a.example/x", "javascript:alert(1)", "//a.example/x", " https://a/x"),
        *("https://", "https:///x", "https://?x", "data:text/html,x", "x https://a.example/"),
    ],
)
def test_anything_else_is_refused(url: str | None) -> None:
    assert media_url("p", url, 1, 2) is None


@pytest.mark.parametrize(("size", "shape"), [((9, 16), "tall"), ((16, 9), "wide")])
def test_posts_of_the_demo_play_one_clip(size: tuple[int, int], shape: str) -> None:
    found = media_url("p", "https://Videos.Example.INVALID:443/p.mp4", *size)
    assert found is not None
    assert found.startswith(f"/clips/{shape}-")
    assert found == media_url("p", "https://other.example.invalid/q.mp4", *size)
