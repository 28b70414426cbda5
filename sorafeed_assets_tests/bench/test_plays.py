"""A small run of plays over HTTP: every way to report plays is measured, and none is lost."""

from pathlib import Path

import pytest

from sorafeed_assets.bench import api, plays
from sorafeed_assets.bench.catalogue import Scale, open_bench
from sorafeed_assets.bench.http_servers import our_server
from sorafeed_assets.bench.measuring import WrongResultError
from sorafeed_assets.bench.playing import Players
from sorafeed_assets.bench.react_process import our_react
from sorafeed_assets.bench.react_wall import react_settings
from sorafeed_assets.services.tokens import Role, create_token
from sorafeed_assets.settings import Settings


def test_plays_are_measured_and_checked(tmp_path: Path) -> None:
    scale = Scale(posts=2_600, terms=12, displays=8, rounds=1, effort=0.03)
    with open_bench(tmp_path, Settings(), scale, lambda *_: None) as bench:
        engine = bench.catalogue(scale.posts)
        displays = api.set_up_displays(bench, engine)
        _, token = create_token(engine, Role.READER, "bench")
        settings = api.serving(bench, engine, 0.0)
        with our_server(settings, tmp_path / "log") as url:
            players = Players(url, token, displays)
            own = react_settings(bench, engine, tmp_path)
            react = our_react(own, engine, tmp_path / "react.log")
            rows = plays.plays_rows(plays.measure_plays(bench, engine, players, react))
            assert [row.unit for row in rows] == ["ms"] * 4
            assert all(row.ours > 0 for row in rows)
            assert [row.baseline is not None for row in rows] == [True, False, False, True]
            # A play that is recorded without an answer, or the other way round, ends the run.
            with pytest.raises(WrongResultError, match="are answered"):
                plays.check_plays(bench, engine, players, [])
