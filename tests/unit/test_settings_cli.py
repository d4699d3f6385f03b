"""The environment and the command's own words: exit codes, four-line errors, no traceback as the only message."""

from __future__ import annotations

import errno
import re
from pathlib import Path

import pytest

from orchestration import cli
from orchestration.engine import connect
from orchestration.errors import ConfigInvalid
from orchestration.pipeline.close import parse_cut_off
from orchestration.settings import parse_instant, read_environment


def test_a_misspelt_setting_is_refused_and_the_known_ones_are_named() -> None:
    with pytest.raises(ConfigInvalid) as caught:
        read_environment({"TALLYSTICK_HOEM": "/x", "HOME": "/root"})
    assert "unknown setting TALLYSTICK_HOEM" in caught.value.message
    assert "TALLYSTICK_HOME" in caught.value.message
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("threads", ["0", "257", "-1", "two", "", "²", "٣", "1.0", "9999999999"])
def test_a_number_of_threads_is_a_number(threads: str) -> None:
    with pytest.raises(ConfigInvalid, match="not a number of threads"):
        read_environment({"TALLYSTICK_THREADS": threads})


def test_defaults_are_an_absolute_home_and_the_clock() -> None:
    found = read_environment({})
    assert found.home.is_absolute() and found.home.name == "data"
    assert (found.now_us, found.threads, found.memory) == (None, 2, "2GB")


@pytest.mark.parametrize("text", ["2026-11-05", "2026-11-05T09:00:00", "now", "", "2026-13-01T00:00:00Z"])
def test_a_now_without_an_offset_is_refused(text: str) -> None:
    with pytest.raises(ConfigInvalid):
        parse_instant(text, "--now")


def test_instants_are_exact_microseconds() -> None:
    assert parse_instant("2026-11-05T09:00:00.000001Z", "") == 1_793_869_200_000_001
    assert parse_instant("1969-12-31T23:59:59.999999Z", "") == -1
    assert parse_instant("2026-11-05T14:30:00+05:30", "") == parse_instant("2026-11-05T09:00:00Z", "")


def test_a_month_is_closed_at_the_first_of_the_next_one() -> None:
    assert parse_cut_off("2026-12").isoformat() == "2027-01-01"
    assert parse_cut_off("2026-02").isoformat() == "2026-03-01"
    assert parse_cut_off("2026-11-16").isoformat() == "2026-11-16"


@pytest.mark.parametrize(
    "text", ["", "2026", "2026-13", "2026-00", "october", "2026-02-30", "9999-12", "2026-1-1", "20261101"]
)
def test_a_period_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigInvalid, match="neither a month"):
        parse_cut_off(text)


def ended(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str]:
    """Exit code and standard error of a command."""
    with pytest.raises(SystemExit) as caught:
        cli.main(list(argv))
    return int(caught.value.code or 0), capsys.readouterr().err


@pytest.mark.parametrize("command", ["verify", "status", "export"])
def test_reading_a_folder_that_is_no_instance_is_an_error_and_makes_none(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [command, *(["invoices"] if command == "export" else []), "--home", str(tmp_path / "typo")]
    code, said = ended(capsys, *argv)
    assert (code, "there is no instance here" in said) == (2, True)
    assert not (tmp_path / "typo").exists()


@pytest.mark.parametrize("command", [["run"], ["close", "2026-10"], ["validate"]])
def test_a_home_without_a_catalog_is_an_error_that_names_every_file(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = ended(capsys, *command, "--home", str(tmp_path))
    assert code == 2
    assert said.count("missing_file") == 6
    assert not (tmp_path / "ledger.sqlite").exists()


@pytest.mark.parametrize(
    "argv", [["close"], ["close", "soon"], ["rum"], ["run", "--now", "yesterday"], ["run", "--hom", "x"], ["export"]]
)
def test_a_wrong_command_line_ends_with_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, said = ended(capsys, *argv)
    assert code == 2
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/v/raw/x"), 6),
        (OSError(errno.EFBIG, "File too large", "/v/raw/x"), 6),
        (OSError(errno.EMFILE, "Too many open files"), 6),
        (OSError(errno.EIO, "Input/output error", "/v/raw/x"), 6),
        (OSError(errno.EROFS, "Read-only file system", "/v/raw/x"), 6),
        (PermissionError(errno.EACCES, "Permission denied", "/v/raw/x"), 2),
        (MemoryError(), 6),
        (ValueError("surprise"), 1),
    ],
)
def test_F10_a_fault_of_the_machine_ends_with_its_code_and_four_lines(
    fault: Exception, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def fail(*_: object) -> None:
        raise fault

    monkeypatch.setattr(cli, "load_catalog", fail)
    found, said = ended(capsys, "validate", "--home", str(tmp_path))
    assert found == code
    lines = said[said.index("error[") :].strip().splitlines()
    assert re.match(r"error\[\w+\]: .", lines[0])
    assert [line.split(":")[0].strip() for line in lines[-2:]] == ["not done", "next"]


def test_F9_F11_a_full_disk_met_by_an_engine_ends_with_6(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    import sqlite3

    import duckdb

    faults = [
        duckdb.IOException('IO Error: Could not write file "/v/x": No space left on device'),
        duckdb.OutOfMemoryException("Out of Memory Error: failed to pin block"),
        sqlite3.OperationalError("database or disk is full"),
    ]
    for fault in faults:

        def fail(*_: object, fault: Exception = fault) -> None:
            raise fault

        monkeypatch.setattr(cli, "load_catalog", fail)
        code, said = ended(capsys, "validate", "--home", str(tmp_path))
        assert (code, "Traceback" in said) == (6, False)
        assert "error[out_of_resources]" in said


@pytest.mark.parametrize("version", ["1.4.4", "2.0.1"])
def test_F59_another_release_of_the_engine_opens_nothing(
    version: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Hashes in the lake and sums of decimals are those of one release."""
    monkeypatch.setattr("duckdb.__version__", version)
    with pytest.raises(ConfigInvalid, match=f"DuckDB {version} is installed") as caught:
        connect(tmp_path / "tallystick.duckdb", temp=tmp_path / "temp")
    assert caught.value.exit_code == 2 and list(tmp_path.iterdir()) == []
