"""Real clusters, started, used, harmed and ended by the command line as a user does it."""

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from command_line import CommandLine, descendants, eventually, next_line, rest, running, sandbox_processes
from host import host_state
from throwaway import build, pki, sandbox
from throwaway.api import Api
from throwaway.errors import ApiError
from throwaway.plan import PROXY_MODES, make_plan

ACCOUNT = "throwaway-tester"
ACCOUNT_ID = 61234  # between those that useradd hands out and systemd's
STAGES = (
    "making certificates and namespaces",
    "starting etcd and the API server",
    "starting the nodes",
    "starting CoreDNS",
)
"""What `up` says it does, in this order."""


def kubectl(throwaway: CommandLine, name: str, *arguments: str) -> str:
    """Run kubectl in the cluster's shell; fails on an error."""
    done = throwaway("shell", "--name", name, "--", "kubectl", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_three_nodes_are_ready(throwaway: CommandLine, cluster_name: str) -> None:
    nodes = json.loads(kubectl(throwaway, cluster_name, "get", "nodes", "-o", "json"))["items"]
    ready = {
        node["metadata"]["name"]: condition["status"]
        for node in nodes
        for condition in node["status"]["conditions"]
        if condition["type"] == "Ready"
    }
    assert ready == {"control-plane": "True", "worker1": "True", "worker2": "True"}


def test_a_pod_on_a_worker_finds_a_service_by_its_name(throwaway: CommandLine, cluster_name: str) -> None:
    pod = ("pod/dns-client", "--timeout=60s")
    dig = ("dig", "+short", "kubernetes.default.svc.cluster.local")
    kubectl(throwaway, cluster_name, "run", "dns-client", "--image=localhost/toolbox:1", "--", "sleep", "600")
    kubectl(throwaway, cluster_name, "wait", "--for=condition=Ready", *pod)
    assert kubectl(throwaway, cluster_name, "exec", "dns-client", "--", *dig) == "10.96.0.1\n"
    kubectl(throwaway, cluster_name, "delete", "--now", "pod/dns-client")


def test_up_again_finds_the_running_cluster(throwaway: CommandLine, cluster_name: str) -> None:
    before = sandbox.find(cluster_name)
    done = throwaway("up", "--name", cluster_name)
    assert done.returncode == 0
    assert sandbox.find(cluster_name) == before


def test_up_with_other_settings_is_refused_in_one_line(throwaway: CommandLine, cluster_name: str) -> None:
    done = throwaway("up", "--name", cluster_name, "--nodes", "2")
    assert done.returncode == 1
    assert "is running with --nodes 3, not with --nodes 2; take it down first" in done.stderr.splitlines()[-1]


def test_two_ups_at_once_make_one_cluster(throwaway: CommandLine) -> None:
    name = f"twice-{os.getpid()}"
    both = [throwaway.start("up", "--name", name, "--nodes", "1") for _ in range(2)]
    outputs = [process.communicate(timeout=180) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert len(sandbox_processes(name)) == 3, "the first process of one sandbox, of its one node, and of the client"
    throwaway("down", "--name", name)


@pytest.mark.parametrize("mode", PROXY_MODES)
def test_a_second_cluster_runs_beside_the_first_in_its_own_proxy_mode(
    throwaway: CommandLine, cluster_name: str, mode: str
) -> None:
    name = f"second-{mode}-{os.getpid()}"
    assert throwaway("up", "--name", name, "--nodes", "1", "--proxy-mode", mode).returncode == 0
    asked = throwaway("exec", "--name", name, "control-plane", "--", "curl", "-s", "http://127.0.0.1:10249/proxyMode")
    assert asked.stdout == mode
    assert kubectl(throwaway, name, "get", "nodes", "-o", "name") == "node/control-plane\n"
    assert kubectl(throwaway, cluster_name, "get", "nodes", "-o", "name").count("node/") == 3
    assert throwaway("down", "--name", name).returncode == 0
    assert kubectl(throwaway, cluster_name, "get", "--raw", "/readyz") == "ok"


def test_exec_runs_on_the_node_and_returns_its_exit_code(throwaway: CommandLine, cluster_name: str) -> None:
    done = throwaway("exec", "--name", cluster_name, "worker2", "--", "sh", "-c", "hostname; id -u; exit 7")
    assert (done.stdout, done.returncode) == ("worker2\n0\n", 7)


def test_exec_on_an_unknown_node_names_those_there_are(throwaway: CommandLine, cluster_name: str) -> None:
    done = throwaway("exec", "--name", cluster_name, "worker9", "--", "true")
    assert done.returncode == 1
    assert done.stderr.endswith("its nodes are control-plane, worker1, worker2; beside them there is client\n")


def test_logs_lists_components_and_prints_one(throwaway: CommandLine, cluster_name: str) -> None:
    listed = throwaway("logs", "--name", cluster_name, "worker1").stdout.split()
    assert listed == ["containerd", "kube-proxy", "kubelet"]
    assert "Caches are synced" in throwaway("logs", "--name", cluster_name, "worker1", "kube-proxy").stdout
    unknown = throwaway("logs", "--name", cluster_name, "worker1", "etcd")
    assert unknown.stderr.endswith("it has containerd, kube-proxy, kubelet\n")


def test_the_kubeconfig_works_on_the_host(throwaway: CommandLine, cluster_name: str, tmp_path: Path) -> None:
    found = sandbox.find(cluster_name)
    assert found
    file = tmp_path / "kubeconfig"
    file.write_text(throwaway("kubeconfig", "--name", cluster_name).stdout)
    kubectl_program = found.root / "run/throwaway/bin/kubectl"
    done = subprocess.run([kubectl_program, "--kubeconfig", file, "get", "nodes"], capture_output=True, text=True)
    assert done.stdout.count(" Ready ") == 3, done.stderr


def test_status_shows_each_node(throwaway: CommandLine, cluster_name: str) -> None:
    lines = throwaway("status").stdout.splitlines()
    at = lines.index(f"{cluster_name}: ready, Kubernetes v1.37.2, kube-proxy in nftables mode")
    assert [line.split()[0] for line in lines[at + 1 : at + 4]] == ["control-plane", "worker1", "worker2"]


@pytest.mark.parametrize("command", ["shell", "kubeconfig", "status"])
def test_without_a_cluster_the_error_says_how_to_start_it_and_which_there_are(
    throwaway: CommandLine, cluster_name: str, command: str
) -> None:
    done = throwaway(command, "--name", "not-there")
    assert done.returncode == 1
    said = "throwaway: no cluster 'not-there' is running; start it with 'throwaway up --name not-there'"
    assert done.stderr.startswith(f"{said}, or choose by --name one that runs: ")
    assert cluster_name in done.stderr


def test_a_killed_component_is_started_again(throwaway: CommandLine, cluster_name: str) -> None:
    def pid() -> str:
        return throwaway("exec", "--name", cluster_name, "worker1", "--", "pgrep", "-x", "kube-proxy").stdout

    before = pid()
    throwaway("exec", "--name", cluster_name, "worker1", "--", "kill", "-9", before.strip())
    eventually(lambda: pid() not in ("", before), "kube-proxy runs again on worker1")


@pytest.mark.parametrize("stage", STAGES)
def test_killing_up_at_any_stage_leaves_nothing(throwaway: CommandLine, stage: str) -> None:
    name = f"killed-{os.getpid()}"
    before = host_state()
    process = throwaway.start("up", "--name", name, "--nodes", "2")
    assert process.stderr
    for line in process.stderr:
        if line.startswith(stage):
            break
    else:
        pytest.fail(f"'up' ended without the stage {stage!r}")
    started = {child for pid in [process.pid, *sandbox_processes(name)] for child in descendants(pid)}
    process.send_signal(signal.SIGKILL)
    process.communicate()
    eventually(lambda: not running(started), "no process of the cluster is left", 20)
    assert host_state() == before
    assert sandbox.find(name) is None


def test_killing_the_first_process_ends_all_and_status_forgets_it(throwaway: CommandLine) -> None:
    name = f"orphan-{os.getpid()}"
    before = host_state()
    assert throwaway("up", "--name", name, "--nodes", "2").returncode == 0
    found = sandbox.find(name)
    assert found
    started = descendants(found.pid)
    assert len(started) > 10
    os.kill(found.pid, signal.SIGKILL)
    eventually(lambda: not running(started), "no process of the cluster is left", 20)
    assert host_state() == before
    assert name not in throwaway("status").stdout


def test_ctrl_c_during_up_takes_everything_back(throwaway: CommandLine) -> None:
    name = f"interrupted-{os.getpid()}"
    process = throwaway.start("up", "--name", name, "--nodes", "2")
    assert process.stderr
    next(line for line in process.stderr if line.startswith("starting the nodes"))
    process.send_signal(signal.SIGINT)
    _, error = rest(process, 30)
    assert "Traceback" not in error
    assert process.returncode != 0
    assert not sandbox_processes(name)


def test_a_component_that_fails_again_and_again_ends_up_with_its_name(throwaway: CommandLine) -> None:
    name = f"failing-{os.getpid()}"
    process = throwaway.start("up", "--name", name, "--nodes", "1")
    eventually(lambda: sandbox.find(name), "the sandbox exists")
    found = sandbox.find(name)
    assert found
    init = found.node_pid("control-plane")

    def up_has_ended() -> bool:
        kill_children(init, "etcd")
        return process.poll() is not None

    eventually(up_has_ended, "'up' gives up")
    _, error = process.communicate()
    assert process.returncode == 1
    assert "etcd on control-plane ended with code -9" in error.splitlines()[-1]
    assert not sandbox_processes(name)


def test_up_goes_on_when_the_api_server_ends_once_while_it_waits(throwaway: CommandLine) -> None:
    name = f"restarted-{os.getpid()}"
    process = throwaway.start("up", "--name", name, "--nodes", "1", "--no-load-balancer")
    assert process.stderr
    next(line for line in process.stderr if line.startswith("starting CoreDNS"))
    found = sandbox.find(name)
    assert found
    kill_children(found.node_pid("control-plane"), "kube-apiserver")
    _, error = rest(process, 150)
    assert process.returncode == 0, error
    throwaway("down", "--name", name)


def test_an_api_server_that_refuses_in_plain_text_or_is_not_there_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    certificates = pki.make_pki(make_plan(nodes=1))
    api = Api("127.0.0.1", 1, certificates.authority, certificates.clients["admin"])
    with pytest.raises(ApiError, match=r"gave no answer to GET /api/v1/nodes: .*refused"):
        api.get("/api/v1/nodes")
    monkeypatch.setattr(api, "_request", lambda *_: (429, b"Too many requests, please try again later.\n"))
    with pytest.raises(ApiError, match=r"refused GET /api/v1/nodes: 429 Too many requests, please try again later\.$"):
        api.get("/api/v1/nodes")


def test_the_host_is_the_same_before_during_and_after(throwaway: CommandLine) -> None:
    name = f"untouched-{os.getpid()}"
    before = host_state()
    assert throwaway("up", "--name", name).returncode == 0
    assert host_state() == before
    assert throwaway("down", "--name", name).returncode == 0
    assert host_state() == before
    assert sandbox.find(name) is None


def kill_children(init: int, program: str) -> None:
    """Kill the children of a node's init that are called so."""
    with contextlib.suppress(OSError):  # all of them may be gone
        for child in Path(f"/proc/{init}/task/{init}/children").read_text().split():
            if Path(f"/proc/{child}/comm").read_text().strip() == program:
                os.kill(int(child), signal.SIGKILL)


@pytest.fixture
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., "subprocess.CompletedProcess[str]"]]:
    """`throwaway` as run by an ordinary account that exists in the eyes of these processes only.

    In a mount namespace of their own, copies of the account files have the account in them, and what it needs of
    Python and the cache is shown where it may read it.
    """
    own = tmp_path_factory.mktemp("account")
    for name, line in {
        "passwd": f"{ACCOUNT}:x:{ACCOUNT_ID}:{ACCOUNT_ID}::/:/bin/sh\n",
        "subuid": f"{ACCOUNT}:1000000000:65536\n",
        "subgid": f"{ACCOUNT}:1000000000:65536\n",
    }.items():
        (own / name).write_text(Path(f"/etc/{name}").read_text() + line)
    built = build.find()
    assert built
    subprocess.run(["cp", "-a", built.bin, built.images, built.etcd, own], check=True)
    subprocess.run(["chown", "-R", f"{ACCOUNT_ID}:{ACCOUNT_ID}", own], check=True)
    folders = {
        "base": sys.base_prefix,
        "site": sysconfig.get_path("purelib"),
        "src": str(Path(build.__file__).parent.parent),
        "cache": str(own),
    }
    script = [
        "mount -t tmpfs -o mode=755 tmpfs /mnt",
        *(f"mkdir /mnt/{name}; mount --bind {folder} /mnt/{name}" for name, folder in folders.items()),
        *(f"mount --bind {own}/{name} /etc/{name}" for name in ("passwd", "subuid", "subgid")),
        f'exec setpriv --reuid {ACCOUNT_ID} --regid {ACCOUNT_ID} --clear-groups -- "$@"',
    ]
    environment = {
        "PATH": os.environ["PATH"],
        "LD_LIBRARY_PATH": "/mnt/base/lib",  # a Python of pyenv has the path of its library written into it
        "PYTHONPATH": "/mnt/src:/mnt/site",
        "THROWAWAY_CACHE": "/mnt/cache",
    }
    enter = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", "\n".join(script), "sh"]

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [*enter, "/mnt/base/bin/python3", "-m", "throwaway", *arguments]
        return subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, timeout=180)

    yield run
    run("down", "--name", ACCOUNT)


@pytest.mark.skipif(os.getuid() != 0, reason="not run by root: every other test is one by an ordinary account")
def test_an_ordinary_account_starts_uses_and_ends_a_cluster(
    account: Callable[..., "subprocess.CompletedProcess[str]"],
) -> None:
    before = host_state()
    up = account("up", "--name", ACCOUNT)
    assert up.returncode == 0, up.stderr
    processes = sandbox_processes(ACCOUNT)
    assert {os.stat(f"/proc/{pid}").st_uid for pid in processes} == {ACCOUNT_ID}
    nodes = account("shell", "--name", ACCOUNT, "--", "kubectl", "get", "nodes")
    assert nodes.stdout.count(" Ready ") == 3, nodes.stderr
    assert account("exec", "--name", ACCOUNT, "worker1", "--", "hostname").stdout == "worker1\n"
    assert host_state() == before
    assert account("down", "--name", ACCOUNT).returncode == 0
    assert not sandbox_processes(ACCOUNT)
    assert host_state() == before


def test_inside_the_shell_the_cluster_is_found_as_outside(throwaway: CommandLine, cluster_name: str) -> None:
    inside = throwaway(
        "shell", "--name", cluster_name, "--", sys.executable, "-m", "throwaway", "exec", "--name", cluster_name,
        "worker1", "--", "hostname",
    )  # fmt: skip
    assert inside.stdout == "worker1\n", inside.stderr


def test_up_inside_a_shell_is_refused_in_one_line(throwaway: CommandLine, cluster_name: str) -> None:
    name = f"nested-{os.getpid()}"
    throwaway.started.add(name)
    inside = throwaway("shell", "--name", cluster_name, "--", sys.executable, "-m", "throwaway", "up", "--name", name)
    assert inside.stderr.startswith("throwaway: a cluster cannot be started inside another one's 'throwaway shell'")


def test_up_minds_neither_the_working_folder_nor_a_proxy(
    throwaway: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files there must not be taken for Python's own modules; no proxy leads to a cluster."""
    name = f"odd-place-{os.getpid()}"
    (tmp_path / "json.py").write_text("raise SystemExit('a module of the working folder was imported')")
    monkeypatch.setenv("PYTHONSAFEPATH", "1")  # for the command line, which -m starts from this folder too
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.chdir(tmp_path)
    up = throwaway("up", "--name", name, "--nodes", "1")
    assert up.returncode == 0, up.stderr
    found = sandbox.find(name)
    assert found
    assert os.readlink(f"/proc/{found.pid}/cwd") == "/"
    curl = throwaway("shell", "--name", name, "--", "curl", "-sk", "https://172.30.0.11:6443/healthz")
    assert curl.stdout == "ok", curl.stderr
    throwaway("down", "--name", name)


def test_a_name_that_another_accounts_program_has_taken_is_said_and_nothing_is_killed(throwaway: CommandLine) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can play another account")
    name = f"squatted-{os.getpid()}"
    listen = "s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1].replace('@', chr(0))); s.listen()"
    code = f"import os, socket, sys; os.setresuid(61299, 61299, 61299); {listen}; print(flush=True); sys.stdin.read()"
    squatter = [sys.executable, "-c", code, f"@throwaway/0/{name}"]
    with subprocess.Popen(squatter, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stdin
        assert process.stdout.readline()  # at the end of the program at the latest
        down = throwaway("down", "--name", name)
        assert (down.returncode, down.stderr) == (
            1,
            "throwaway: another account's program has taken the name of this cluster; choose another --name\n",
        )
        status = throwaway("status")
        assert status.returncode == 0
        assert name in status.stderr
        assert process.poll() is None
        process.stdin.close()


def test_a_dead_node_is_shown(throwaway: CommandLine) -> None:
    name = f"dead-node-{os.getpid()}"
    assert throwaway("up", "--name", name, "--nodes", "2").returncode == 0
    found = sandbox.find(name)
    assert found
    os.kill(found.node_pid("worker1"), signal.SIGKILL)
    eventually(lambda: not found.has_node("worker1"), "worker1 is dead")
    lines = throwaway("status").stdout.splitlines()
    assert lines[lines.index(next(line for line in lines if line.startswith(name))) + 2].endswith("(dead)")
    throwaway("down", "--name", name)


@pytest.mark.parametrize("command", ["down", "shell", "kubeconfig"])
def test_a_name_that_cannot_be_is_refused_by_every_command(throwaway: CommandLine, command: str) -> None:
    refused = throwaway(command, "--name", "x" * 200)
    assert refused.returncode == 1
    assert refused.stderr.endswith("cannot name a cluster: use up to 32 of a-z, 0-9 and '-', as in 'my-test'\n")


def test_an_interactive_shell_keeps_its_programs_whatever_bashrc_does(
    throwaway: CommandLine, cluster_name: str, tmp_path: Path
) -> None:
    intruder = tmp_path / "bin"
    intruder.mkdir()
    (intruder / "kubectl").write_text("#!/bin/sh\necho the wrong one\n")
    (intruder / "kubectl").chmod(0o755)
    (tmp_path / ".bashrc").write_text(f"PATH={intruder}:$PATH\nPS1='prompt> '\necho bashrc was read\n")
    terminal, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "throwaway", "shell", "--name", cluster_name],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "HOME": str(tmp_path), "SHELL": "/bin/bash"},
        start_new_session=True,
    ) as shell:
        os.close(theirs)
        os.write(terminal, b"kubectl get nodes -o name\nexit\n")
        shown = b""
        with contextlib.suppress(OSError):  # the terminal's end, once nobody has it open
            while part := os.read(terminal, 4096):
                shown += part
        os.close(terminal)
        assert shell.wait(60) == 0
    text = shown.decode()
    assert "bashrc was read" in text
    assert f"({cluster_name}) prompt> " in text
    assert "node/worker2" in text
    assert "the wrong one" not in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nosuch",), "no such command 'nosuch'; '"),
        (("down", "foo"), "'foo' is one word too many (a cluster is named by --name foo)"),
        (("shell", "--nmae", "foo"), "no such option '--nmae', did you mean '--name'"),
        (("node", "stop", "worker2", "worker1"), "one node at a time"),
        (("exec", "worker1", "--name", "foo", "--", "hostname"), "options stand before the node"),
        (("up", "--nodes", "many"), "'many' is not a valid integer"),
    ],
)
def test_what_is_typed_wrong_is_said_in_one_line(throwaway: CommandLine, arguments: tuple[str, ...], said: str) -> None:
    command = subprocess.run([sys.executable, "-m", "throwaway", *arguments], capture_output=True, text=True)
    assert command.returncode == 2
    assert said in command.stderr
    assert command.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("logs", "worker1"),
        ("capture", "worker1"),
        ("trace", "worker1", "--port", "1"),
        ("node", "stop", "worker1"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_what_other_providers_do_not_know_is_refused_where_one_of_them_is_asked_for(
    throwaway: CommandLine, cluster_name: str, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THROWAWAY_PROVIDER", "kind")
    monkeypatch.setenv("THROWAWAY_CLUSTER", cluster_name)
    done = throwaway(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("throwaway: this command is for embedded clusters alone, and THROWAWAY_PROVIDER is")


@pytest.mark.parametrize("where", [("shell",), ("exec", "worker1")])
def test_a_command_that_is_not_there_is_said_to_be_so(
    throwaway: CommandLine, cluster_name: str, where: tuple[str, ...]
) -> None:
    done = throwaway(where[0], "--name", cluster_name, *where[1:], "--", "nosuchcmd")
    assert done.returncode == 127
    assert done.stderr.startswith("throwaway: cannot run 'nosuchcmd' on this ")


def test_what_follows_kubectls_first_word_is_its_own(throwaway: CommandLine, cluster_name: str) -> None:
    """Also `--`, without which kubectl refuses to exec."""
    done = throwaway("kubectl", "--name", cluster_name, "exec", "--help")
    assert done.stdout.startswith("Execute a command in a container"), done.stderr
    done = throwaway("kubectl", "--name", cluster_name, "-n", "default", "exec", "nobody", "--", "true")
    assert 'pods "nobody" not found' in done.stderr


def test_kubectl_ends_with_the_command_that_runs_it(throwaway: CommandLine, cluster_name: str) -> None:
    process = throwaway.start("kubectl", "--name", cluster_name, "get", "nodes", "--watch")
    next_line(process)
    started = descendants(process.pid)
    assert len(started) == 2
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    eventually(lambda: not running(started), "kubectl has ended", 10)
