import errno
import os
import time
from pathlib import Path

import pytest

from llm_judge_remote.errors import ConfigError, RegistryError
from llm_judge_remote.servers.registry.file import FileRegistry


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "exp" / "trial" / "judge"


def registry_of(folder, **options):
    return FileRegistry(f"file://{folder}", **options)


def written(folder, name, value):
    """An entry as AReaL writes it."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / name / "ENTRY").write_text(value)


def test_what_one_adds_another_finds(folder):
    one, other = registry_of(folder), registry_of(folder)
    one.add("10.0.0.1:8000", 30)
    one.add("10.0.0.2:8000", 30)
    assert sorted(other.addresses()) == ["10.0.0.1:8000", "10.0.0.2:8000"]


def test_an_entry_is_alone_in_a_folder_of_eight_hex_digits(folder):
    entry = registry_of(folder).add("10.0.0.1:8000", 30)
    assert len(entry) == 8
    assert int(entry, 16) >= 0
    assert [item.name for item in (folder / entry).iterdir()] == ["ENTRY"]
    assert (folder / entry / "ENTRY").read_text() == "10.0.0.1:8000"


def test_nothing_is_left_of_an_entry_that_was_removed(folder):
    registry = registry_of(folder)
    registry.remove(registry.add("10.0.0.1:8000", 30))
    assert list(folder.iterdir()) == []
    assert registry.addresses() == []


def test_an_entry_that_is_gone_can_be_removed_again(folder):
    registry = registry_of(folder)
    entry = registry.add("10.0.0.1:8000", 30)
    registry.remove(entry)
    registry.remove(entry)


def test_no_half_written_file_is_left_where_the_disk_is_full(folder, monkeypatch):
    registry = registry_of(folder)

    def full(path, text, **_):
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(RegistryError, match="No space left on device"):
        registry.add("10.0.0.1:8000", 30)
    assert [path for path in folder.rglob("*") if path.is_file()] == []


def test_no_folder_is_no_servers(folder):
    assert registry_of(folder).addresses() == []
    assert registry_of(folder).entries() == {}


def test_a_path_that_is_no_folder_is_an_error(tmp_path):
    (tmp_path / "judge").write_text("")
    registry = registry_of(tmp_path / "judge")
    with pytest.raises(RegistryError, match=r"^file://.*/judge: the folder cannot be read: Not a directory; .*mounted"):
        registry.addresses()
    with pytest.raises(RegistryError, match="cannot be written to"):
        registry.add("10.0.0.1:8000", 30)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
def test_a_folder_below_that_cannot_be_read_is_an_error_and_not_a_missing_server(folder, monkeypatch, number):
    written(folder, "12345678", "10.0.0.1:8000")
    scandir = os.scandir

    def refusing(path):
        if Path(path).name == "12345678":
            raise OSError(number, os.strerror(number))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(RegistryError, match=os.strerror(number)):
        registry_of(folder).addresses()


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ESTALE])
def test_an_entry_that_vanishes_while_it_is_read_is_gone(folder, monkeypatch, number):
    written(folder, "12345678", "10.0.0.1:8000")
    written(folder, "23456789", "10.0.0.2:8000")
    read_text = Path.read_text

    def vanishing(path, **options):
        if path.parent.name == "12345678":
            raise OSError(number, os.strerror(number))
        return read_text(path, **options)

    monkeypatch.setattr(Path, "read_text", vanishing)
    assert registry_of(folder).addresses() == ["10.0.0.2:8000"]


def test_a_stale_handle_is_opened_again(folder, monkeypatch):
    written(folder, "12345678", "10.0.0.1:8000")
    read_text = Path.read_text
    stale = [1, 2]

    def replaced(path, **options):
        if path.parent.name == "12345678" and stale:
            stale.pop()
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return read_text(path, **options)

    monkeypatch.setattr(Path, "read_text", replaced)
    assert registry_of(folder).addresses() == ["10.0.0.1:8000"]


def test_entries_are_found_at_any_depth_and_in_the_folder_itself(folder):
    written(folder, ".", " 10.0.0.1:8000\n")
    written(folder, "a", "10.0.0.2:8000")
    written(folder, "b/c/d", "10.0.0.3:8000")
    (folder / "notes.txt").write_text("10.0.0.4:8000")
    registry = registry_of(folder)
    assert registry.entries() == {".": "10.0.0.1:8000", "a": "10.0.0.2:8000", "b/c/d": "10.0.0.3:8000"}
    for entry in registry.entries():
        registry.remove(entry)
    assert registry.addresses() == []
    assert (folder / "notes.txt").exists()


def test_a_loop_of_links_is_not_followed(folder):
    written(folder, "a", "10.0.0.1:8000")
    (folder / "a" / "loop").symlink_to(folder)
    assert registry_of(folder).addresses() == ["10.0.0.1:8000"]


def test_an_entry_without_a_lease_stays(folder):
    written(folder, "12345678", "10.0.0.1:8000")
    assert registry_of(folder, clock=lambda: time.time() + 1e8).addresses() == ["10.0.0.1:8000"]


def test_an_entry_counts_as_gone_when_its_lease_was_not_renewed_for_twice_its_time(folder):
    now = time.time()
    entry = registry_of(folder).add("10.0.0.1:8000", 30)
    os.utime(folder / ".leases" / entry, (now, now))
    assert registry_of(folder, clock=lambda: now + 59).addresses() == ["10.0.0.1:8000"]
    late = registry_of(folder, clock=lambda: now + 61)
    assert late.addresses() == []
    assert late.entries() == {entry: "10.0.0.1:8000"}  # so that it can be pruned


def test_keeping_an_entry_renews_its_lease(folder):
    registry = registry_of(folder)
    entry = registry.add("10.0.0.1:8000", 30)
    os.utime(folder / ".leases" / entry, (1, 1))
    assert registry.addresses() == []
    registry.keep(entry, 30)
    assert registry.addresses() == ["10.0.0.1:8000"]


@pytest.mark.parametrize("gone", ["the entry", "the lease", "all"])
def test_keeping_an_entry_that_is_gone_adds_it_again(folder, gone):
    registry = registry_of(folder)
    entry = registry.add("10.0.0.1:8000", 30)
    if gone == "the entry":
        registry_of(folder).remove(entry)
    elif gone == "the lease":
        (folder / ".leases" / entry).unlink()
    else:
        registry_of(folder).remove(entry)
        folder.rmdir()
        folder.parent.rmdir()
    registry.keep(entry, 30)
    assert registry.entries() == {entry: "10.0.0.1:8000"}
    assert (folder / ".leases" / entry).read_text() == "30\n"


def test_a_folder_that_somebody_else_removes_meanwhile_is_made_again(folder, monkeypatch):
    replace = Path.replace
    swept = []

    def sweeping(path, target):
        if not swept:
            swept.append(path)
            path.unlink()
            (folder / ".leases").rmdir()
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", sweeping)
    registry = registry_of(folder)
    registry.add("10.0.0.1:8000", 30)
    assert swept
    assert registry.addresses() == ["10.0.0.1:8000"]


def test_a_path_is_read_as_urls_write_it(tmp_path):
    FileRegistry(f"file://localhost{tmp_path}/my%20judges").add("a:1", 30)
    assert FileRegistry(f"file://{tmp_path}/my judges").addresses() == ["a:1"]


@pytest.mark.parametrize("url", ["file://shared/exp", "file:///", "file://", "file:///shared?ttl=3"])
def test_a_url_without_a_whole_path_is_an_error(url):
    with pytest.raises(ConfigError, match=r"three slashes|'ttl' is not known"):
        FileRegistry(url)
