"""The files of deploy/, read as the programs that use them read them."""

import re
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[2]
DEPLOY: Final = ROOT / "deploy"
SERVICES: Final = (
    *("migrate", "backup", "code-server", "webserver", "daemon", "api", "react"),
    "legacy",
)
"""The services of compose.yaml that run the project's image."""


def read_yaml(name: str) -> Any:
    """One document of deploy/."""
    return yaml.safe_load((DEPLOY / name).read_text())


def read_all(name: str) -> list[Any]:
    """All documents of a file of deploy/."""
    return list(yaml.safe_load_all((DEPLOY / name).read_text()))


def image_environment() -> dict[str, str]:
    """The variables that the image sets for its programs."""
    final_stage = (DEPLOY / "Dockerfile").read_text().rpartition("\nFROM ")[2]
    (given,) = re.findall(r"^ENV ((?:.*\\\n)*.*)$", final_stage, re.MULTILINE)
    pairs = (part.partition("=") for part in given.replace("\\\n", " ").split())
    return {name: value for name, _, value in pairs}


def copied_sources() -> list[str]:
    """What the image copies from the checkout, except what it installs nothing from."""
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    copies = re.findall(r"^COPY ((?!--from).*) \S+$", dockerfile, re.MULTILINE)
    return [part for copy in copies for part in copy.split() if not part.startswith("--")]
