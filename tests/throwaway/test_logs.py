"""`throwaway logs`: the end of a log, and a log that grows."""

import os
import signal
import subprocess

from command_line import CommandLine, eventually, next_line, rest


def test_tail_prints_the_last_lines(throwaway: CommandLine, cluster_name: str) -> None:
    # The scheduler is quiet once a cluster stands: nothing comes between the two calls.
    log = ("logs", "--name", cluster_name, "control-plane", "kube-scheduler")
    eventually(lambda: throwaway(*log).stdout == throwaway(*log).stdout, "the log is quiet")
    lines = throwaway(*log).stdout.splitlines()
    assert throwaway(*log, "--tail", "2").stdout.splitlines() == lines[-2:]
    assert throwaway(*log, "--tail", "0").stdout == ""


def test_follow_prints_what_is_written_until_ctrl_c_or_the_clusters_end(throwaway: CommandLine) -> None:
    name = f"follow-{os.getpid()}"
    assert throwaway("up", "--name", name, "--nodes", "1").returncode == 0
    both = [
        throwaway.start("logs", "--name", name, "control-plane", "kube-proxy", "--follow", "--tail", "0")
        for _ in range(2)
    ]

    def line_after_a_restart(process: "subprocess.Popen[str]") -> str:
        throwaway("exec", "--name", name, "control-plane", "--", "pkill", "-x", "kube-proxy")
        return next_line(process)

    assert all(line_after_a_restart(process) for process in both)
    both[0].send_signal(signal.SIGINT)
    throwaway("down", "--name", name)
    for process in both:
        _, error = rest(process, 20)
        assert (process.returncode, error) == (0, "")


def test_follow_without_a_component_is_refused(throwaway: CommandLine, cluster_name: str) -> None:
    done = throwaway("logs", "--name", cluster_name, "worker1", "--follow")
    assert done.returncode == 2
    assert done.stderr.startswith("throwaway: --follow and --tail are for the log of one COMPONENT")
