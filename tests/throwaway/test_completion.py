"""Completion, as the shells ask for it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from command_line import CommandLine


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A PATH with a program `throwaway`, since shells complete programs of this name."""
    program = tmp_path / "throwaway"
    program.write_text(f"#!{sys.executable}\nfrom throwaway.cli import main\n\nmain()\n")
    program.chmod(0o755)
    return f"{tmp_path}:{os.environ['PATH']}"


def complete(path: str, line: str) -> list[str]:
    """What bash offers after a line, by the script that is printed for it."""
    words = line.split(" ")
    script = (
        'eval "$(throwaway completion bash)"\n'
        f"COMP_WORDS=({' '.join(words[:-1])} '{words[-1]}')\nCOMP_CWORD={len(words) - 1}\n"
        "_throwaway_completion throwaway\n"
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    bash = ["bash", "--norc", "-c", script]
    done = subprocess.run(bash, env={**os.environ, "PATH": path}, capture_output=True, text=True)
    assert done.stderr == ""
    return done.stdout.split()


def test_bash_completes_commands_clusters_nodes_and_components(
    throwaway: CommandLine, cluster_name: str, path: str
) -> None:
    assert complete(path, "throwaway tr") == ["trace"]
    assert cluster_name in complete(path, f"throwaway exec --name {cluster_name[:3]}")
    for command in ("exec", "logs", "capture", "trace"):
        assert complete(path, f"throwaway {command} --name {cluster_name} w") == ["worker1", "worker2"]
    for action in ("stop", "start", "delete"):
        assert complete(path, f"throwaway node {action} --name {cluster_name} ") == ["worker1", "worker2"]
    assert complete(path, f"throwaway logs --name {cluster_name} worker1 kube-") == ["kube-proxy"]


def test_without_a_cluster_nothing_is_offered_and_nothing_complained_of(path: str) -> None:
    assert complete(path, "throwaway exec --name not-there w") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell_is_its_own_language(throwaway: CommandLine, shell: str) -> None:
    script = throwaway("completion", shell).stdout
    assert f"_THROWAWAY_COMPLETE={shell}_complete" in script
    if program := shutil.which(shell):
        subprocess.run([program, "-n"], input=script, text=True, check=True)
