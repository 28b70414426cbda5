"""The old side of `sorafeed demo legacy` in a data folder of its own, from its steps' commands."""

import socket
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sorafeed_assets_tests.cli.running import answer, call, exported, processes_of


def test_it_is_found_without_up_and_at_another_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DATABASE", "DAGSTER", "REDIS"):
        monkeypatch.delenv(f"SORAFEED_{name}_URL", raising=False)
    folder = tmp_path / "data"
    printed = exported(answer("demo", "legacy", "--posts", 100, "--days", 1, folder=folder))
    for name, value in printed.items():
        monkeypatch.setenv(name, value)
    # The server ended with the command; the check runs it again.
    assert "can be imported" in answer("legacy", "check", folder=folder)

    port = urlsplit(printed["SORAFEED_LEGACY_CATALOG_URL"]).port
    assert port is not None
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):  # another program has it already
            taken.bind(("127.0.0.1", port))
            taken.listen()
        # With options, which are kept as they are.
        with_options = f"{printed['SORAFEED_LEGACY_CATALOG_URL']}?options=-c%20TimeZone%3DUTC"
        monkeypatch.setenv("SORAFEED_LEGACY_CATALOG_URL", with_options)
        checked = answer("legacy", "check", folder=folder)
        assert "about 100 posts" in checked
        assert f":{port}/" not in checked
        assert "100 posts and" in answer("legacy", "import", folder=folder)
        assert "posts waiting   │ 0" in answer("legacy", "status", folder=folder)
    assert processes_of(folder) == []


def test_an_address_with_another_password_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server of the team's own, at the address that the folder's server may have, too."""
    own = tmp_path / "postgres" / "password"
    own.parent.mkdir()
    own.write_text("of-this-folder")
    monkeypatch.setenv("SORAFEED_LEGACY_CATALOG_URL", "postgresql://sorafeed:other@127.0.0.1:1/old")
    found = call("legacy", "check", folder=tmp_path)
    assert "127.0.0.1:1/old does not answer" in found.stdout
    assert [each.name for each in tmp_path.iterdir()] == ["postgres"]
