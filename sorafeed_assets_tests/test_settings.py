"""Settings come from variables and files; invalid ones are refused, with their name."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

import pytest
from pydantic import HttpUrl, PostgresDsn, RedisDsn

from sorafeed_assets.domain.errors import SetupError
from sorafeed_assets.settings import Settings, load_settings
from sorafeed_assets.storage.postgres.engine import create_database_engine


def test_the_first_day_may_be_today_and_no_later() -> None:
    today = datetime.now(UTC).date()
    assert load_settings(catalog_first_day=today).catalog_first_day == today
    for days in (1, 2):
        later = datetime.now(UTC).date() + timedelta(days=days)
        with pytest.raises(SetupError, match=r"SORAFEED_CATALOG_FIRST_DAY: .* is in the future"):
            load_settings(catalog_first_day=later)


def test_values_are_read_from_a_folder_of_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SORAFEED_SECRETS_DIR", str(tmp_path))
    (tmp_path / "SORAFEED_DATABASE_URL").write_text("postgresql://user:secret@host/sorafeed\n")
    (tmp_path / "sorafeed_redis_url").write_text("redis://host:6379/1")
    (tmp_path / "another").write_text("of another program")
    settings = load_settings()
    assert str(settings.database_url) == "postgresql://user:secret@host/sorafeed"
    assert str(settings.redis_url) == "redis://host:6379/1"
    assert settings.dagster_url is None
    # A variable wins.
    monkeypatch.setenv("SORAFEED_REDIS_URL", "redis://other:6379/2")
    assert str(load_settings().redis_url) == "redis://other:6379/2"


def test_every_address_may_be_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address may have a password in it; none is read only from a variable."""
    schemes = {PostgresDsn: "postgresql", RedisDsn: "redis", HttpUrl: "https"}
    addresses = {
        name: f"{scheme}://user:secret@host:999/{number}"
        for name, field in Settings.model_fields.items()
        for number, (kind, scheme) in enumerate(schemes.items())
        if kind in get_args(field.annotation)
    }
    assert len(addresses) >= 9
    monkeypatch.setenv("SORAFEED_SECRETS_DIR", str(tmp_path))
    for name, address in addresses.items():
        monkeypatch.delenv(f"SORAFEED_{name.upper()}", raising=False)
        (tmp_path / f"SORAFEED_{name.upper()}").write_text(f"{address}\n")
    settings = load_settings()
    assert {name: str(getattr(settings, name)) for name in addresses} == addresses


def test_secrets_are_linked_as_kubernetes_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SORAFEED_SECRETS_DIR", str(tmp_path))
    (tmp_path / "..2026").mkdir()
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "..data" / "SORAFEED_REDIS_URL").write_text("redis://host:6379/3")
    (tmp_path / "SORAFEED_REDIS_URL").symlink_to("..data/SORAFEED_REDIS_URL")
    assert str(load_settings().redis_url) == "redis://host:6379/3"


def test_a_missing_folder_of_secrets_and_a_bad_secret_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SORAFEED_SECRETS_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(SetupError, match=r"SORAFEED_SECRETS_DIR: .*nowhere is not a folder"):
        load_settings()
    monkeypatch.setenv("SORAFEED_SECRETS_DIR", str(tmp_path))
    (tmp_path / "SORAFEED_DATABASE_URL").write_text("secret")
    with pytest.raises(SetupError, match="SORAFEED_DATABASE_URL") as refused:
        load_settings()
    assert "secret" not in str(refused.value).replace("SECRETS", "")


def test_prepared_statements_are_a_setting(settings: Settings) -> None:
    for kept, threshold in ((True, 5), (False, None)):
        chosen = settings.model_copy(update={"prepared_statements": kept})
        engine = create_database_engine(str(settings.database_url), chosen)
        with engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert driver is not None
            assert driver.prepare_threshold == threshold
        engine.dispose()


@pytest.mark.parametrize("name", ["DATA_DIR", "LEGACY_QUEUES", "DAGSTER_YAML", "BACKUP_DIR"])
def test_an_empty_path_is_refused_and_is_not_the_folder_of_the_program(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"SORAFEED_{name}", "")
    with pytest.raises(SetupError, match=rf"SORAFEED_{name}: .*is empty; name one, or unset it"):
        load_settings()
