"""What the tests of the throwaway cluster share: its command line, and a cluster for those that leave it as it was."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import workshop as workshops
from command_line import CommandLine
from workshop import Workshop

SHARED = f"test-{os.getpid()}"
"""The cluster that all modules share."""


@pytest.fixture(scope="module")
def throwaway() -> Iterator[CommandLine]:
    """The command line; the clusters of a module end with the module, since a machine has room for a few."""
    command_line = CommandLine()
    yield command_line
    command_line.started.discard(SHARED)
    command_line.end()


@pytest.fixture(scope="session")
def cluster_name() -> Iterator[str]:
    """The name of a running cluster of three nodes, for tests that leave it as it was."""
    command_line = CommandLine()
    done = command_line("up", "--name", SHARED)
    assert done.returncode == 0, done.stderr
    yield SHARED
    command_line.end()


@pytest.fixture(scope="session")
def go_folder() -> Path:
    """The folder of a Go of the right series; installs it into the account's cache, if there is none."""
    return workshops.go_folder()


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, go_folder: Path) -> Iterator[Workshop]:
    """A workshop in which nothing is built yet."""
    with workshops.opened(tmp_path, monkeypatch, go_folder) as opened:
        yield opened
