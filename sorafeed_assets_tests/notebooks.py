"""Executing docs/notebook.ipynb, or some cells of it, with a kernel of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from sorafeed_assets.launch.dagster_home import environment
from sorafeed_assets.settings import Settings

NOTEBOOK: Final = Path(__file__).parents[1] / "docs" / "notebook.ipynb"
_EXECUTE: Final = """
import sys, nbclient, nbformat
notebook = nbformat.read(sys.argv[1], as_version=4)
nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
nbformat.write(notebook, sys.argv[2])
"""


def executed(notebook: dict[str, Any], settings: Settings, folder: Path) -> list[Any]:
    """The cells of a notebook with their outputs, executed with the variables of `sorafeed env`."""
    before, after = folder / "notebook.ipynb", folder / "executed.ipynb"
    before.write_text(json.dumps(notebook), "utf-8")
    done = subprocess.run(
        [sys.executable, "-c", _EXECUTE, str(before), str(after)],
        env={**os.environ, **environment(settings), "MPLBACKEND": "inline"},
        capture_output=True,
        text=True,
        check=False,
        cwd=NOTEBOOK.parents[1],
    )
    assert done.returncode == 0, done.stderr
    cells: list[Any] = json.loads(after.read_text("utf-8"))["cells"]
    return cells
