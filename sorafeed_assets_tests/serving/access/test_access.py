"""Authentication, authorization and rate limits."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import Engine, text

from sorafeed_assets.domain.errors import InvalidInputError, NotFoundError
from sorafeed_assets.services.tokens import (
    Role,
    create_token,
    find_token,
    find_tokens,
    list_tokens,
    revoke_token,
    tokens_version,
    usable_tokens,
)
from sorafeed_assets.serving.access.access import TokenCache
from sorafeed_assets_tests.serving.client import Api, make_display, newest, token_of, wait_until
from sorafeed_assets_tests.wall import add_display, add_posts

Connect = Callable[[str | None], Api]


@pytest.fixture
def displays(admin: Api, engine: Engine) -> None:
    """Two displays that play."""
    add_posts(engine, "cat", 9)
    for code in ("MINE01", "OTHER1"):
        make_display(admin, code, newest("cat", 5))


def test_a_secret_is_kept_as_a_hash_only(engine: Engine) -> None:
    token_id, secret = create_token(engine, Role.READER, "reports")
    with engine.connect() as connection:
        row = connection.execute(text("SELECT * FROM api_tokens")).mappings().one()
    assert secret not in str(dict(row))
    found = find_token(engine, secret)
    assert found is not None
    assert (found.id, found.role, found.name) == (token_id, Role.READER, "reports")
    assert [token.id for token in list_tokens(engine)] == [token_id]


def test_a_token_goes_with_its_display_and_a_life(engine: Engine) -> None:
    with pytest.raises(InvalidInputError, match="display_id"):
        create_token(engine, Role.DISPLAY, "x")
    with pytest.raises(InvalidInputError, match="display_id"):
        create_token(engine, Role.ADMIN, "x", display_id="AAAAAA")
    with pytest.raises(NotFoundError, match="AAAAAA"):
        create_token(engine, Role.DISPLAY, "x", display_id="AAAAAA")
    with pytest.raises(InvalidInputError, match="life"):
        create_token(engine, Role.READER, "x", life=timedelta())
    add_display(engine, "AAAAAA")
    create_token(engine, Role.DISPLAY, "x", display_id="AAAAAA")
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM displays"))
    assert list_tokens(engine) == []


PATHS = (
    "/graphql?query={__typename}",
    "/api/displays/MINE01/next",
    "/api/events",
    "/api/posts.ndjson?search=cat",
    "/metrics",
)


@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_told_without_a_good_token(connect: Connect, path: str) -> None:
    for token in (None, "sfd_wrong", ""):
        response = connect(token).http.get(path)
        assert response.status_code == 401
        assert response.json()["error"]["code"] == "UNAUTHENTICATED"
        assert response.headers["www-authenticate"].startswith("Bearer")


def test_expired_and_revoked_tokens_are_refused(connect: Connect, engine: Engine) -> None:
    _, secret = create_token(engine, Role.READER, "short", life=timedelta(days=1))
    with engine.begin() as connection:
        connection.execute(text("UPDATE api_tokens SET expires_at = now() - interval '1 s'"))
    expired = connect(secret).http.get("/graphql?query={__typename}")
    assert expired.status_code == 401
    assert "expired" in expired.json()["error"]["message"]
    token_id, secret = create_token(engine, Role.READER, "lost")
    revoke_token(engine, token_id)
    revoked = connect(secret).http.get("/graphql?query={__typename}")
    assert "revoked" in revoked.json()["error"]["message"]
    with pytest.raises(NotFoundError):
        revoke_token(engine, token_id)


def test_known_tokens_stay_known_while_the_stored_ones_are_the_same(engine: Engine) -> None:
    token_id, secret = create_token(engine, Role.READER, "long")
    expired = create_token(engine, Role.READER, "short", life=timedelta(days=1))[1]
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE api_tokens SET expires_at = now() - interval '1 s' WHERE name = 'short'")
        )
    clock = [100.0]
    known = TokenCache(lambda: clock[0])
    assert not known.confirm(tokens_version(engine), clock[0])
    known.replace(*usable_tokens(engine, 10), clock[0])
    # Without a lookup; one that is not usable is looked up, for the reason.
    assert known.get(secret) == (True, find_token(engine, secret))
    assert known.get(expired) == (False, None)
    for _ in range(3):
        clock[0] += 4
        assert known.confirm(tokens_version(engine), clock[0])
        assert known.get(secret)[0]
    clock[0] += 6
    assert not known.get(secret)[0]
    assert known.confirm(tokens_version(engine), clock[0])
    generation, found = known.generation, find_token(engine, secret)
    revoke_token(engine, token_id)
    assert not known.confirm(tokens_version(engine), clock[0])
    known.replace(*usable_tokens(engine, 10), clock[0])
    assert not known.get(secret)[0]
    # A lookup that began before the change is not cached after it.
    known.put(secret, found, generation)
    assert not known.get(secret)[0]
    assert known.stale(secret) is None


def test_a_token_changed_by_plain_sql_is_refused_soon(connect: Connect, engine: Engine) -> None:
    api = connect(token_of(engine, Role.READER))
    assert api.http.get("/graphql?query={__typename}").status_code == 200
    with engine.begin() as connection:
        connection.execute(text("UPDATE api_tokens SET revoked_at = now()"))
    wait_until(lambda: api.http.get("/graphql?query={__typename}").status_code == 401, 6)


@pytest.mark.usefixtures("displays")
def test_a_displays_token_is_good_for_that_display_only(connect: Connect, engine: Engine) -> None:
    own = connect(token_of(engine, Role.DISPLAY, "MINE01"))
    entry = own.http.get("/api/displays/MINE01/next").json()["videos"][0]["entry"]
    assert own.ask('{ display(id: "MINE01") { id } }')["display"] == {"id": "MINE01"}
    for path in ("/api/displays/OTHER1/next", "/api/displays/OTHER1/events", "/api/events"):
        assert own.http.get(path).status_code == 403
    other = own.http.post("/api/displays/OTHER1/played", json={"entry": entry})
    assert other.json()["error"]["code"] == "FORBIDDEN"
    for query in (
        '{ display(id: "OTHER1") { id } }',
        "{ displays { nodes { id } } }",
        '{ posts(search: "cat") { nodes { id } } }',
        '{ count(search: "cat") { total } }',
        "{ terms { nodes { term } } }",
        'mutation { pause(displayId: "MINE01") { display { id } } }',
        f'mutation {{ markPlayed(displayId: "OTHER1", entryId: "{entry}") {{ videoId }} }}',
    ):
        assert own.refusal(query)["extensions"]["code"] == "FORBIDDEN"
    assert own.http.get("/api/posts.ndjson?search=cat").status_code == 403
    played = own.ask(
        f'mutation {{ markPlayed(displayId: "MINE01", entryId: "{entry}") {{ videoId }} }}'
    )
    assert played["markPlayed"]["videoId"] == "p_cat_0_0008"


@pytest.mark.usefixtures("displays")
def test_a_reader_reads_and_plays_and_changes_nothing(reader: Api) -> None:
    entry = reader.http.get("/api/displays/MINE01/next").json()["videos"][0]["entry"]
    assert reader.http.post("/api/displays/MINE01/played", json={"entry": entry}).is_success
    for change in (
        'createDisplay(name: "x") { display { id } }',
        'deleteDisplay(id: "MINE01") { id }',
        'skip(displayId: "MINE01") { videoId }',
        'watchTerm(search: "cat") { term }',
    ):
        error = reader.refusal(f"mutation {{ {change} }}")
        assert error["extensions"]["code"] == "FORBIDDEN"


def test_another_sites_page_changes_nothing(server: str, admin: Api, engine: Engine) -> None:
    secret = token_of(engine, Role.ADMIN)
    browser = Api(server, None)
    browser.http.cookies.set("sorafeed_token", secret)
    body = {"query": 'mutation { createDisplay(name: "x") { display { id } } }'}
    for headers in (
        {},
        {"origin": "https://evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "origin": server},
    ):
        refused = browser.http.post("/graphql", json=body, headers=headers)
        assert refused.status_code == 403
    assert browser.http.post("/graphql", json=body, headers={"origin": server}).is_success
    assert browser.http.get("/graphql?query={__typename}").is_success
    browser.close()
    assert len(admin.ask("{ displays { nodes { id } } }")["displays"]["nodes"]) == 1


def test_every_answer_has_its_headers_and_no_cors(reader: Api) -> None:
    headers = {"origin": "https://other.example"}
    for path in ("/graphql?query={__typename}", "/healthz", "/nothing/here"):
        response = reader.http.get(path, headers=headers)
        assert "default-src 'none'" in response.headers["content-security-policy"]
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["x-frame-options"] == "DENY"
        assert response.headers["referrer-policy"] == "no-referrer"
        assert len(response.headers["x-request-id"]) == 16
        assert "access-control-allow-origin" not in response.headers


def test_clients_that_guess_tokens_are_slowed_down(connect: Connect) -> None:
    guessing = connect(None)
    found = [
        guessing.http.get("/metrics", headers={"authorization": f"Bearer {n}"}).status_code
        for n in range(40)
    ]
    assert found[0] == 401
    assert 429 in found


def test_many_tokens_are_found_at_once(engine: Engine) -> None:
    made = dict(create_token(engine, Role.READER, f"number {n}") for n in range(3))
    found = find_tokens(engine, [*made.values(), "sfd_unknown"])
    assert {token.id: secret for secret, token in found.items()} == made
