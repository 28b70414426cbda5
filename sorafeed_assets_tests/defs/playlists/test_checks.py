"""Checks of activation: they pass on a healthy wall and name a planted fault."""

from sqlalchemy import Engine

from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.defs.conftest import Dagster
from sorafeed_assets_tests.wall import add_playlist

NAME = "active_playlists:one_active_playlist"


def test_a_newer_playlist_that_waits(engine: Engine, wall: Dagster) -> None:
    assert wall.culprits(NAME) == ""
    add_playlist(engine, "BBBBB2", [("cat", 1)])
    found = wall.culprits(NAME)
    assert found == "BBBBB2: a newer playlist waits to be activated, or none is active"


def test_none_active(engine: Engine, wall: Dagster) -> None:
    run(engine, "UPDATE playlists SET is_active = false WHERE display_id = 'AAAAA1'")
    assert wall.culprits(NAME).startswith("AAAAA1: a newer playlist waits")


def test_two_active(engine: Engine, wall: Dagster) -> None:
    add_playlist(engine, "AAAAA1", [("cat", 1)])
    run(engine, "DROP INDEX playlists_one_active_idx")
    run(engine, "UPDATE playlists SET is_active = true, is_new = false")
    assert wall.culprits(NAME) == "AAAAA1: has several active playlists"
