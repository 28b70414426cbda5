"""The page Posts: what was found, where it plays, and what is refused."""

from sqlalchemy import Engine

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


def test_markup_is_escaped_and_wrong_words_are_refused(reader: Api) -> None:
    page = reader.http.get("/admin/posts", params={"words": "<script>"})
    assert page.status_code == 200
    assert "<script>" not in page.text.partition("<main")[2]
    assert "No post has these words." in page.text
    refused = reader.http.get("/admin/posts", params={"words": "!"})
    assert refused.status_code == 400
    assert "Write at least one word to search for." in refused.text
    assert reader.http.get("/admin/posts").status_code == 200
