"""Excluding and allowing by GraphQL, and the list of what is excluded."""

from sqlalchemy import Engine

from sorafeed_assets_tests.catalogue import run, videos_of
from sorafeed_assets_tests.serving.client import Api, make_display, newest, wait_until
from sorafeed_assets_tests.wall import add_posts

_EXCLUDE = """
mutation ($kind: BlocklistKind!, $id: ID!, $note: String! = "") {
  exclude(kind: $kind, id: $id, note: $note) {
    isNew
    entry { kind id label excludedBy note }
    results { displayId problem }
  }
}
"""
_ALLOW = """
mutation ($kind: BlocklistKind!, $id: ID!) { allow(kind: $kind, id: $id) { wasExcluded } }
"""
_LIST = """
query ($first: Int! = 20, $after: String) {
  blocklist(first: $first, after: $after) { nodes { kind id } pageInfo { hasNextPage endCursor } }
}
"""
_PLAYING = "query ($kind: BlocklistKind!, $id: ID!) { displaysPlaying(kind: $kind, id: $id) }"
_TOTAL = '{ count(search: "zebra") { total } posts(search: "zebra") { nodes { id } } }'


def test_excluded_listed_and_allowed(admin: Api, reader: Api, engine: Engine) -> None:
    add_posts(engine, "zebra video", 8)
    run(engine, "UPDATE sora_posts SET creator_id = 'ann' WHERE id ~ '[56]$'")
    make_display(admin, "HALL01", newest("zebra", 5))
    post = {"kind": "POST", "id": "p_zebra_video_0_0007"}
    ann = {"kind": "CREATOR", "id": "ann"}
    assert reader.ask(_LIST)["blocklist"]["nodes"] == []
    assert admin.ask(_PLAYING, **post)["displaysPlaying"] == ["HALL01"]
    excluded = admin.ask(_EXCLUDE, **post, note="rude")["exclude"]
    assert excluded["isNew"]
    assert excluded["entry"] == {
        **post, "label": "A zebra video number p_zebra_video_0_0007", "excludedBy": "test",
        "note": "rude",
    }  # fmt: skip
    assert excluded["results"] == [{"displayId": "HALL01", "problem": None}]
    assert admin.ask(_EXCLUDE, **ann)["exclude"]["results"] == excluded["results"]
    assert {"p_zebra_video_0_0007", "p_zebra_video_0_0006"}.isdisjoint(videos_of(engine, "HALL01"))
    again = admin.ask(_EXCLUDE, **post, note="another")["exclude"]
    assert (again["isNew"], again["entry"], again["results"]) == (False, excluded["entry"], [])
    assert admin.ask(_PLAYING, **post)["displaysPlaying"] == []
    first = reader.ask(_LIST, first=1)["blocklist"]
    assert first["nodes"] == [ann]
    assert first["pageInfo"]["hasNextPage"]
    rest = reader.ask(_LIST, first=1, after=first["pageInfo"]["endCursor"])["blocklist"]
    assert (rest["nodes"], rest["pageInfo"]["hasNextPage"]) == ([post], False)
    # A search finds what can play.
    assert {node["id"][-1] for node in admin.ask(_TOTAL)["posts"]["nodes"]} == set("01234")
    assert admin.ask(_ALLOW, **ann)["allow"]["wasExcluded"]
    assert not admin.ask(_ALLOW, **ann)["allow"]["wasExcluded"]
    wait_until(lambda: reader.ask(_LIST)["blocklist"]["nodes"] == [post])


def test_only_admins_exclude_what_exists(admin: Api, reader: Api, engine: Engine) -> None:
    (post,) = add_posts(engine, "zebra video", 1)
    for query in (_EXCLUDE, _ALLOW, _PLAYING):
        assert reader.refusal(query, kind="POST", id=post)["extensions"]["code"] == "FORBIDDEN"
    missing = admin.refusal(_EXCLUDE, kind="CREATOR", id="none")
    assert missing["extensions"]["code"] == "NOT_FOUND"
    assert "the catalogue has no creator none" in missing["message"]
    long = admin.refusal(_EXCLUDE, kind="POST", id=post, note="x" * 501)
    assert long["extensions"]["code"] == "BAD_USER_INPUT"
    assert admin.ask(_LIST)["blocklist"]["nodes"] == []
