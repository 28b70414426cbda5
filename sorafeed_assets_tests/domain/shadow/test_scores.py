"""The wall's scores are sums over its displays."""

import pytest

from sorafeed_assets.domain.shadow.scores import WallScores, score_wall


def test_a_wall_is_scored() -> None:
    scores = score_wall(
        [{"audit": [None, "loop 0 repeats"]}, {"audit": [None]}, {}],
        [{"rows": 420, "belong": 52}, {"rows": 5, "belong": 10}],
        [{"scored": 1_861, "videos": 1_161}, {}],
    )
    assert scores == WallScores(2, 1, 425, 62, 1_861, 700)
    assert scores.repeats_per_hundred == pytest.approx(37.6, abs=0.1)
    assert score_wall([], [], []).repeats_per_hundred == 0
