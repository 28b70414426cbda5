"""Where Dagster keeps its runs and events: found out when a process starts."""

import logging
from collections.abc import Mapping
from typing import Any, Final

from dagster import DagsterInstance
from dagster._config import UserConfigSchema
from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.event_log import EventLogStorage
from dagster._core.storage.runs import RunStorage
from dagster._core.storage.schedules import ScheduleStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClass, ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage

from sorafeed_assets.launch.servers import psycopg2_url
from sorafeed_assets.settings import load_settings

_log: Final = logging.getLogger(__name__)


class SettingsStorage(DagsterStorage[DagsterInstance], ConfigurableClass):
    """dagster-postgres at SORAFEED_DAGSTER_URL.

    While that is not set, files in the data folder: enough to look at the definitions, so that
    they load and validate without any server.
    """

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Dagster left it so
        self._inst_data = inst_data
        settings = load_settings()
        self._storage: DagsterStorage[DagsterInstance]
        if settings.dagster_url is not None:
            self._storage = DagsterPostgresStorage(psycopg2_url(str(settings.dagster_url)))
        else:
            folder = settings.data_dir.resolve() / "dagster-without-postgres"
            _log.warning("SORAFEED_DAGSTER_URL is not set; runs and events go to %s", folder)
            self._storage = DagsterSqliteStorage(str(folder))

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        """What dagster.yaml says of this class."""
        return self._inst_data

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """There is nothing to configure."""
        return {}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]
    ) -> "SettingsStorage":
        """As dagster.yaml asks for it."""
        return cls(inst_data, **config_value)

    def register_instance(self, instance: DagsterInstance) -> None:
        """Pass the instance on to the storage behind."""
        super().register_instance(instance)
        self._storage.register_instance(instance)

    @property
    def event_log_storage(self) -> EventLogStorage[DagsterInstance]:
        """Events."""
        return self._storage.event_log_storage

    @property
    def run_storage(self) -> RunStorage[DagsterInstance]:
        """Runs."""
        return self._storage.run_storage

    @property
    def schedule_storage(self) -> ScheduleStorage[DagsterInstance]:
        """Schedules and sensors."""
        return self._storage.schedule_storage
