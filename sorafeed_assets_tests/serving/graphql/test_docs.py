"""Make the calls of docs/api.md, in its order."""

import json
import re
from pathlib import Path

from sqlalchemy import Engine

from sorafeed_assets_tests.serving.client import Api, make_display, newest
from sorafeed_assets_tests.wall import add_posts

PAGE = Path(__file__).parents[3] / "docs" / "api.md"
_BLOCK = re.compile(r"^```(graphql|http)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_every_call_of_the_page_works(admin: Api, engine: Engine) -> None:
    for words in ("commercial", "movie trailer"):
        add_posts(engine, words, 12)
    made = make_display(admin, "DEMO01", newest("commercial", 8))
    head = admin.http.get("/api/displays/DEMO01/next").json()["videos"][0]
    known = {
        "PLAYLIST_ID": made["playlist"]["id"],
        "ENTRY_ID": head["entry"],
        "POST_ID": "p_commercial_0_0003",
    }
    calls = _BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    assert len(calls) >= 13
    for kind, written in calls:
        call = written
        for name, value in known.items():
            call = call.replace(name, value)
        if kind == "graphql":
            assert admin.ask(call) is not None
            known["ENTRY_ID"] = admin.http.get("/api/displays/DEMO01/next").json()["videos"][0][
                "entry"
            ]
            continue
        line, _, body = call.partition("\n")
        method, path = line.split()
        response = admin.http.request(method, path, json=json.loads(body) if body.strip() else None)
        assert response.status_code == 200, (call, response.text)
        assert response.content


def test_the_example_answer_has_the_fields_of_a_real_one(admin: Api, engine: Engine) -> None:
    add_posts(engine, "commercial", 3)
    make_display(admin, "DEMO01", newest("commercial", 3))
    example = json.loads(
        re.findall(r"^```json\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)[0]
    )
    real = admin.http.get("/api/displays/DEMO01/next").json()
    assert example.keys() == real.keys()
    assert example["videos"][0].keys() == real["videos"][0].keys()
