"""The scanner's statements through its own driver, `pg` of Node.js, with nothing but an address."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import Engine, text

from sorafeed_assets_tests.legacy.old_side import ADD_CREATOR, ADD_POST, LOOK_UP, OPTIONS, TABLES

_NODE: Final = shutil.which("node")
_NPM: Final = shutil.which("npm")
_VERSION: Final = "8.23.1"
# Its environment variable is all that the scanner is given.
_SCANNER: Final = """
const { Client } = require("pg");
const fs = require("fs");
const { tables, lookUp, addCreator, addPost, posts } = JSON.parse(fs.readFileSync(0, "utf8"));

async function main() {
  const client = new Client({ connectionString: process.env.DATABASE_URL });
  await client.connect();
  await client.query(tables);
  let added = 0;
  await client.query("BEGIN");
  for (const [creator, post] of posts) {
    const known = await client.query(lookUp, [post[0]]);
    if (known.rows.length) continue;
    await client.query(addCreator, creator);
    added += (await client.query(addPost, post)).rowCount;
  }
  await client.query(
    "INSERT INTO scanner_stats (id, total_scanned, last_scan_at) VALUES (1, $1, now())" +
      " ON CONFLICT (id) DO UPDATE SET total_scanned = scanner_stats.total_scanned + $1",
    [added]);
  await client.query("COMMIT");
  const stats = await client.query("SELECT total_scanned FROM scanner_stats WHERE id = 1");
  console.log(JSON.stringify({ added, total: stats.rows[0].total_scanned }));
  await client.end();
}
main().catch((error) => { console.error(error); process.exit(1); });
"""


@pytest.fixture(scope="module")
def scanner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the driver and a script that speaks the scanner's statements."""
    if _NODE is None or _NPM is None:
        pytest.skip("Node.js with npm is not installed")
    folder = tmp_path_factory.mktemp("scanner")
    (folder / "package.json").write_text(json.dumps({"private": True}))
    done = subprocess.run(
        [_NPM, "install", "--no-audit", "--no-fund", "--ignore-scripts", f"pg@{_VERSION}"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    if done.returncode:
        pytest.skip(f"npm cannot install pg: {done.stderr.strip()[-200:]}")
    (folder / "scan.js").write_text(_SCANNER)
    return folder


def _numbered(statement: str) -> str:
    """A statement with the driver's parameters: $1, $2, …"""
    first, *rest = statement.split("%s")
    return first + "".join(f"${number}{part}" for number, part in enumerate(rest, 1))


def _scan(folder: Path, url: str, *ids: str) -> dict[str, int]:
    posts = [
        (
            ["ann", "user_ann", "Ann", None, "https://x/ann", 5, 1, 2, None],
            [post, "ann", f"Tea “{post}” 🎬", 1_772_366_400, f"https://x/p/{post}",
             "https://v/1.mp4", None, None, None, 640, 352, "gen", "task"],
        )
        for post in ids
    ]  # fmt: skip
    asked = {
        "tables": TABLES,
        "lookUp": _numbered(LOOK_UP),
        "addCreator": _numbered(ADD_CREATOR),
        "addPost": _numbered(ADD_POST),
        "posts": posts,
    }
    done = subprocess.run(
        [str(_NODE), "scan.js"],
        cwd=folder,
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={"DATABASE_URL": f"{url}?{OPTIONS}"},
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, int] = json.loads(done.stdout)
    return found


def test_its_own_driver_writes_our_posts(engine: Engine, database_url: str, scanner: Path) -> None:
    assert _scan(scanner, database_url, "s_1", "s_2") == {"added": 2, "total": 2}
    # It starts again, and meets one post that it knows.
    assert _scan(scanner, database_url, "s_2", "s_3") == {"added": 1, "total": 3}
    with engine.connect() as connection:
        stored = connection.execute(
            text(
                "SELECT p.id, p.text, p.size_class, c.username FROM sora_posts AS p"
                " JOIN creators AS c ON c.id = p.creator_id ORDER BY p.id"
            )
        ).all()
        noted = connection.scalar(text("SELECT count(*) FROM catalog_changes"))
    assert [tuple(row) for row in stored] == [
        (post, f"Tea “{post}” 🎬", "wide", "user_ann") for post in ("s_1", "s_2", "s_3")
    ]
    assert noted == 3
