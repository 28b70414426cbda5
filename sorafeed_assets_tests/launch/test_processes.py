"""Child processes: they, and no others, end with their owner or when the next one starts."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from sorafeed_assets.domain.errors import SetupError
from sorafeed_assets.launch.processes import Child, end_left_overs
from sorafeed_assets_tests.cli.running import is_alive, wait_until

# A program with a child of its own.
_PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
time.sleep(600)
"""


def _family(pid: int) -> list[psutil.Process]:
    parent = psutil.Process(pid)
    while not parent.children():
        assert parent.is_running()
    return [parent, *parent.children(recursive=True)]


def _noted(folder: Path) -> dict[str, float]:
    (record,) = (folder / "children").glob("*.json")
    noted: dict[str, float] = json.loads(record.read_text())
    return noted


def test_a_child_ends_with_all_it_started(tmp_path: Path) -> None:
    child = Child("a test", [sys.executable, "-c", _PARENT], {}, tmp_path)
    child.start()
    family = _family(int(_noted(tmp_path)["pid"]))
    child.check()
    child.stop()
    wait_until(lambda: not any(map(is_alive, family)), "all of them to end")
    assert not list((tmp_path / "children").iterdir())


@pytest.mark.parametrize("less", [0, 10])
def test_what_gives_way_has_less_of_the_processors_with_all_it_starts(
    tmp_path: Path, less: int
) -> None:
    child = Child("a test", [sys.executable, "-c", _PARENT], {}, tmp_path, gives_way=less > 0)
    child.start()
    family = _family(int(_noted(tmp_path)["pid"]))
    wanted = min(19, psutil.Process().nice() + less)
    assert [each.nice() for each in family] == [wanted, wanted]
    child.stop()


def test_a_child_that_ended_is_told_with_its_log(tmp_path: Path) -> None:
    child = Child("a test", [sys.executable, "-c", "raise SystemExit(3)"], {}, tmp_path)
    child.start()
    child.wait()
    with pytest.raises(SetupError, match=r"a test ended with code 3; see its log .*a-test\.log"):
        child.check()
    child.stop()


def test_left_overs_are_ended_though_their_leader_is_gone(tmp_path: Path) -> None:
    child = Child("a test", [sys.executable, "-c", _PARENT], {}, tmp_path)
    child.start()
    leader, *others = _family(int(_noted(tmp_path)["pid"]))
    leader.kill()
    child.wait()
    assert others[0].is_running()
    end_left_overs(tmp_path)
    wait_until(lambda: not any(map(is_alive, others)), "all of them to end")
    assert not list((tmp_path / "children").iterdir())


def test_readers_of_a_killed_runs_output_are_ended(tmp_path: Path) -> None:
    output, other = tmp_path / "dagster" / "storage" / "x.out", tmp_path / "other"
    output.parent.mkdir(parents=True)
    for file in (output, other):
        file.touch()
    tail = shutil.which("tail")
    assert tail is not None
    with (
        subprocess.Popen([tail, "-F", output]) as ours,
        subprocess.Popen([tail, "-F", other]) as theirs,
    ):
        end_left_overs(tmp_path)
        assert ours.wait(60) < 0
        assert theirs.poll() is None
        theirs.kill()


def test_descendants_are_ended(tmp_path: Path) -> None:
    code = f"""
import subprocess, sys
from sorafeed_assets.launch.processes import end_descendants
subprocess.Popen([sys.executable, "-c", {_PARENT!r}], start_new_session=True)
import psutil
while len(psutil.Process().children(recursive=True)) < 2: pass
family = psutil.Process().children(recursive=True)
end_descendants()
gone, alive = psutil.wait_procs(family, timeout=60)
print(len(gone), [p.status() for p in alive])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=240
    )
    assert done.stdout in ("2 []\n", "1 ['zombie']\n")


def test_a_process_that_only_has_the_number_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        records = tmp_path / "children"
        records.mkdir()
        created = psutil.Process(other.pid).create_time()
        for name, noted in {
            "reused": {"pid": other.pid, "created": created - 100},
            "before-boot": {"pid": other.pid, "created": psutil.boot_time() - 100},
            "broken": {},
        }.items():
            (records / f"{name}.json").write_text(json.dumps(noted))
        end_left_overs(tmp_path)
        assert other.poll() is None
        assert not list(records.iterdir())
        assert other.stdin is not None
        other.stdin.close()


_WITHOUT_PROC = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
                 'mount -t tmpfs none /proc && exec "$@"', "sh")  # fmt: skip
_START = """
import sys
from pathlib import Path
from sorafeed_assets.domain.errors import SetupError
from sorafeed_assets.launch.processes import Child
child = Child("a test", ["sleep", "600"], {}, Path(sys.argv[1]))
try:
    child.start()
except SetupError as error:
    print(error, child.wait())
"""


def _has_namespaces() -> bool:
    if shutil.which("unshare") is None:
        return False
    return (
        subprocess.run([*_WITHOUT_PROC, "true"], capture_output=True, check=False).returncode == 0
    )


@pytest.mark.skipif(not _has_namespaces(), reason="user namespaces are not allowed here")
def test_without_proc_nothing_is_started_that_could_not_be_watched(tmp_path: Path) -> None:
    command = [*_WITHOUT_PROC, sys.executable, "-c", _START, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert "a test runs, but is not in /proc" in done.stdout, done.stderr
    # It was ended.
    assert done.stdout.endswith(" -9\n")
