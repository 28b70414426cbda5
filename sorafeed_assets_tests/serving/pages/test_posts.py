"""The page Posts: what was found, where it plays, and what is refused."""

from collections.abc import Mapping

import httpx
from sqlalchemy import Engine

from sorafeed_assets_tests.catalogue import run, videos_of
from sorafeed_assets_tests.serving.client import Api, make_display, newest
from sorafeed_assets_tests.wall import add_posts


def test_a_reader_finds_posts_and_where_they_play(admin: Api, reader: Api, engine: Engine) -> None:
    add_posts(engine, "zebra video", 8)
    add_posts(engine, "zebra and dog video", 1, prefix="q")
    make_display(admin, "HALL01", newest("zebra", 5))
    page = reader.http.get("/admin/posts", params={"words": "zebra -dog"})
    assert page.status_code == 200
    assert "A zebra video number p_zebra_video_0_0007" in page.text
    assert "A zebra and dog video" not in page.text
    assert "8 posts." in page.text
    assert '<b>zebra</b> on <a href="/admin/displays/HALL01">HALL01</a>' in page.text
    assert 'href="/admin/posts"' in reader.http.get("/admin").text
    assert "style=" not in page.text


def _send(api: Api, fields: Mapping[str, str]) -> httpx.Response:
    """Send a form of the page, as a browser does."""
    return api.http.post("/admin/posts", data=dict(fields), headers={"origin": api.url})


def test_an_admin_excludes_a_post_and_a_creator_and_allows_them(
    admin: Api, reader: Api, engine: Engine
) -> None:
    add_posts(engine, "zebra video", 8)
    run(engine, "UPDATE sora_posts SET creator_id = 'ann & co' WHERE id LIKE '%7'")
    run(engine, "INSERT INTO creators (id, username) VALUES ('ann & co', 'Ann')")
    make_display(admin, "HALL01", newest("zebra", 5))
    post = "p_zebra_video_0_0007"
    asked = {"words": "zebra"}
    found = admin.http.get("/admin/posts", params=asked).text
    assert "Nothing is excluded." in found
    assert f'href="/admin/posts/exclude?kind=post&amp;id={post}&amp;words=zebra"' in found
    assert "/admin/posts/exclude?kind=creator&amp;id=ann%20%26%20co&amp;words=zebra" in found
    assert "/admin/posts/exclude" not in reader.http.get("/admin/posts", params=asked).text
    question = admin.http.get("/admin/posts/exclude", params={"kind": "post", "id": post}).text
    assert "<b>1 display</b> has it in the plan, and is planned again at once" in question
    assert '<a href="/admin/displays/HALL01">HALL01</a>' in question
    assert "<b>A zebra video number p_zebra_video_0_0007" in question
    assert 'href="/admin/posts/exclude?kind=creator&amp;id=ann%20%26%20co">Exclude its' in question
    # Each video of the display's page leads to the question.
    asks = f'href="/admin/posts/exclude?kind=post&amp;id={post}"'
    assert asks in admin.http.get("/admin/displays/HALL01").text
    assert asks not in reader.http.get("/admin/displays/HALL01").text
    fields = {"act": "exclude", "kind": "post", "id": post, "words": "zebra", "note": "<rude>"}
    done = _send(admin, fields)
    assert (done.status_code, done.headers["location"]) == (303, "/admin/posts?words=zebra")
    assert post not in videos_of(engine, "HALL01")
    creator = {"kind": "creator", "id": "ann & co"}
    question = admin.http.get("/admin/posts/exclude", params=creator).text
    assert "No display has such posts in its plan now." in question
    assert "<b>Ann</b>" in question
    assert "Exclude its creator" not in question
    assert _send(admin, {**creator, "act": "exclude"}).status_code == 303
    found = reader.http.get("/admin/posts", params=asked).text
    assert "No display plays this post and this creator." in found
    assert "test (admin page): &lt;rude&gt;" in found
    assert "Ann" in found
    assert "Allow post again" not in found
    assert "Allow post again" in admin.http.get("/admin/posts").text
    for target in (creator, {"kind": "post", "id": post}):
        assert _send(admin, {**target, "act": "allow"}).status_code == 303
    assert "Nothing is excluded." in admin.http.get("/admin/posts").text
    for wrong, said in (
        ({"kind": "post", "id": "none", "act": "exclude"}, "the catalogue has no post none"),
        ({"kind": "post", "id": post, "act": "eat"}, "must be exclude or allow"),
        ({"kind": "cat", "id": post, "act": "allow"}, "must be post or creator"),
        ({**creator, "act": "exclude", "note": "x" * 501}, "has over 500 characters"),
    ):
        refused = _send(admin, wrong)
        assert refused.status_code in {400, 404}
        assert said in refused.text
    unknown = admin.http.get("/admin/posts/exclude", params={"kind": "post", "id": "none"})
    assert unknown.status_code == 404
    assert "find its id on the page Posts" in unknown.text


def test_markup_is_escaped_and_wrong_words_are_refused(reader: Api) -> None:
    page = reader.http.get("/admin/posts", params={"words": "<script>"})
    assert page.status_code == 200
    assert "<script>" not in page.text.partition("<main")[2]
    assert "No post has these words." in page.text
    refused = reader.http.get("/admin/posts", params={"words": "!"})
    assert refused.status_code == 400
    assert "Write at least one word to search for." in refused.text
    assert reader.http.get("/admin/posts").status_code == 200
