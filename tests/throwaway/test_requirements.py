"""What a machine lacks: found out on machines that are made to lack it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from throwaway import linux, requirements
from throwaway.errors import ThrowawayError
from throwaway.plan import IpFamily, make_plan
from throwaway.requirements import Problem


@pytest.fixture
def bin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which programs are found; it has those of this machine."""
    folder = tmp_path / "bin"
    folder.mkdir()
    programs = (*requirements._PROGRAMS, *requirements._PROGRAMS_OF_AN_ACCOUNT, *requirements._OPTIONAL_PROGRAMS)
    for program in programs:
        found = requirements.find_program(program.name)
        assert found, f"this machine itself lacks {program.name}"
        (folder / program.name).symlink_to(found)
    (folder / "mkdir").symlink_to("/bin/mkdir")
    monkeypatch.setattr(requirements, "SYSTEM_PATH", str(folder))
    return folder


def _script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def _as_account(monkeypatch: pytest.MonkeyPatch, etc: Path, subuid: str, subgid: str) -> None:
    """Let it be asked for an ordinary account, without a name, whose ranges of ids are these."""
    etc.mkdir()
    (etc / "subuid").write_text(subuid)
    (etc / "subgid").write_text(subgid)
    monkeypatch.setattr(requirements, "_ETC", etc)
    monkeypatch.setattr(os, "getuid", lambda: 54321)


def test_nothing_is_missing_on_the_machine_that_runs_the_tests() -> None:
    assert requirements.missing() == []
    requirements.require()


def test_missing_programs_are_named_with_their_packages_in_one_line(bin_folder: Path) -> None:
    _script(bin_folder / "apt-get", "exit 1")
    for name in ("runc", "nft", "dig"):
        (bin_folder / name).unlink()
    problems = requirements.missing()
    assert [problem.what for problem in problems] == ["runc", "nft", "dig"]
    assert problems[0].command == "apt-get install -y --no-install-recommends runc"
    assert requirements.explain(problems) == (
        "this machine lacks runc, nft, dig; as root: "
        "apt-get install -y --no-install-recommends runc nftables bind9-dnsutils"
    )


@pytest.mark.parametrize(
    ("manager", "command"),
    [
        ("dnf", "dnf install -y nftables bind-utils"),
        ("pacman", "pacman -S --needed --noconfirm nftables bind"),
        ("none", "install nftables bind9-dnsutils (Debian's names)"),
    ],
)
def test_packages_have_the_names_of_the_distribution(bin_folder: Path, manager: str, command: str) -> None:
    _script(bin_folder / manager, "exit 1")
    for name in ("nft", "dig"):
        (bin_folder / name).unlink()
    assert requirements.explain(requirements.missing()).endswith(f"; as root: {command}")


def test_only_an_ordinary_account_needs_the_programs_that_map_ids(
    bin_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bin_folder / "newuidmap").unlink()
    monkeypatch.setattr(os, "getuid", lambda: 0)
    assert requirements.missing() == []
    _as_account(monkeypatch, tmp_path / "etc", "54321:100000:65536\n", "54321:100000:65536\n")
    assert [(problem.what, problem.package) for problem in requirements.missing()] == [("newuidmap", "uidmap")]


@pytest.mark.parametrize("own", ["", "54321:165536:1000\n"])
def test_an_account_without_enough_ids_is_given_a_free_range(
    bin_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str
) -> None:
    _as_account(monkeypatch, tmp_path / "etc", f"other:100000:65536\n{own}", "54321:100000:65536\n")
    (problem,) = requirements.missing()
    first = 165536 if not own else 166536
    assert problem.what == f"a range of 65535 ids for 54321 in {tmp_path}/etc/subuid"
    assert problem.command == f"usermod --add-subuids {first}-{first + 65535} 54321"


def test_files_of_ids_that_do_not_exist_are_like_empty_ones(
    bin_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _as_account(monkeypatch, tmp_path / "etc", "", "")
    for path in (tmp_path / "etc").iterdir():
        path.unlink()
    assert [problem.command for problem in requirements.missing()] == [
        "usermod --add-subuids 100000-165535 54321",
        "usermod --add-subgids 100000-165535 54321",
    ]


def test_a_kernel_that_allows_no_user_namespaces_is_noticed_by_trying() -> None:
    # The limit belongs to a user namespace and holds for what is inside it: this machine keeps its own.
    ask = "from throwaway import requirements as r; print(r.explain(r.missing()))"
    script = 'echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"'
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh", sys.executable, "-c", ask],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert done.stdout == (
        "this machine lacks permission for user namespaces (user.max_user_namespaces=0); "
        "as root: sysctl -w user.max_user_namespaces=15000\n"
    )


def test_ubuntus_restriction_is_named_when_mounting_is_denied(
    bin_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bin_folder / "unshare").unlink()
    _script(bin_folder / "unshare", "echo 'mount: /proc: permission denied.' >&2; exit 71")
    name = "kernel.apparmor_restrict_unprivileged_userns"
    monkeypatch.setattr(requirements, "_sysctl", lambda asked: {name: "1"}.get(asked, ""))
    (problem,) = requirements.missing()
    assert problem.command == f"sysctl -w {name}=0"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (71, "permission for user namespaces (mounting /proc failed: mount: not permitted)"),
        (1, "permission for user namespaces (making namespaces failed: mount: not permitted)"),
        (74, "overlayfs in a user namespace"),
    ],
)
def test_a_refusal_that_no_setting_explains_says_which_step_failed(
    bin_folder: Path, monkeypatch: pytest.MonkeyPatch, code: int, expected: str
) -> None:
    (bin_folder / "unshare").unlink()
    _script(bin_folder / "unshare", f"echo 'mount: not permitted' >&2; exit {code}")
    monkeypatch.setattr(requirements, "_sysctl", lambda name: "")
    assert [problem.what for problem in requirements.missing()] == [expected]


@pytest.mark.parametrize("step", ["proc", "sysfs", "tmpfs", "overlay"])
def test_the_trial_fails_at_the_mount_that_fails(bin_folder: Path, step: str) -> None:
    (bin_folder / "mount").unlink()
    _script(
        bin_folder / "mount",
        f'case "$*" in "-t {step} "*) echo denied >&2; exit 1;; esac\nexec /usr/bin/mount "$@"',
    )
    (problem,) = requirements.missing()
    expected = {"proc": "mounting /proc", "sysfs": "mounting /sys", "tmpfs": "mounting a tmpfs"}
    assert expected.get(step, "overlayfs in a user namespace") in problem.what


def test_a_kernel_without_nftables_is_said(bin_folder: Path) -> None:
    (bin_folder / "nft").unlink()
    _script(bin_folder / "nft", "echo 'netlink: Error: Protocol not supported' >&2; exit 1")
    said = requirements.explain(requirements.missing())
    assert said == "this machine lacks nftables in its kernel; as root: modprobe nf_tables"


def test_another_system_or_an_old_kernel_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as context:
        context.setattr(sys, "platform", "darwin")
        assert [problem.command for problem in requirements.missing()] == ["use Linux"]
    monkeypatch.setattr("platform.release", lambda: "5.11.22-generic")
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert [problem.what for problem in requirements.missing()] == [
        "a supported processor (this is riscv64)",
        "Linux 5.13 or newer (this is 5.11.22-generic)",
    ]


def _fake_apt_get(bin_folder: Path, needs_update: bool) -> Path:
    """An apt-get that logs its calls and puts programs where they are missing; returns the log."""
    log = bin_folder.parent / "apt-get.log"
    lists = bin_folder.parent / "lists"
    if not needs_update:
        lists.touch()
    _script(
        bin_folder / "apt-get",
        f"""echo "$@" >> {log}
case "$*" in
    *update*) : > {lists};;
    *) [ -e {lists} ] || {{ echo 'E: Unable to locate package' >&2; exit 100; }}
       for name in runc dig; do [ -e {bin_folder}/$name ] || ln -s /bin/true {bin_folder}/$name; done;;
esac""".replace("ln -s", "/bin/ln -s"),
    )
    return log


def test_what_only_one_command_needs_is_missed_by_that_command_alone(bin_folder: Path) -> None:
    _script(bin_folder / "apt-get", "exit 1")
    requirements.require_optional("tcpdump")
    (bin_folder / "tcpdump").unlink()
    requirements.require()
    with pytest.raises(ThrowawayError) as raised:
        requirements.require_optional("tcpdump")
    assert str(raised.value) == (
        "this machine lacks tcpdump; as root: apt-get install -y --no-install-recommends tcpdump "
        "(or 'throwaway setup'): 'throwaway capture' shows packets with it"
    )


def test_setup_installs_what_only_one_command_needs_too(bin_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = _fake_apt_get(bin_folder, needs_update=False)
    monkeypatch.setattr(os, "getuid", lambda: 0)
    (bin_folder / "tcpdump").unlink()
    requirements.setup(lambda step: None)
    assert log.read_text().splitlines() == ["-o DPkg::Lock::Timeout=120 install -y -qq --no-install-recommends tcpdump"]


@pytest.mark.parametrize("needs_update", [False, True])
def test_setup_installs_what_is_missing_and_updates_lists_only_when_it_must(
    bin_folder: Path, monkeypatch: pytest.MonkeyPatch, needs_update: bool
) -> None:
    log = _fake_apt_get(bin_folder, needs_update)
    monkeypatch.setattr(os, "getuid", lambda: 0)
    for name in ("runc", "dig"):
        (bin_folder / name).unlink()
    reports: list[str] = []
    requirements.setup(reports.append)
    install = "-o DPkg::Lock::Timeout=120 install -y -qq --no-install-recommends runc bind9-dnsutils"
    assert log.read_text().splitlines() == ([install, "update -qq", install] if needs_update else [install])
    assert reports == ["installing runc bind9-dnsutils"]


def test_setup_does_nothing_where_nothing_is_missing(bin_folder: Path) -> None:
    log = _fake_apt_get(bin_folder, needs_update=False)
    requirements.setup(print)
    assert not log.exists()


def test_setup_says_what_to_run_where_it_may_not_install(
    bin_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = _fake_apt_get(bin_folder, needs_update=False)
    _as_account(monkeypatch, tmp_path / "etc", "", "54321:1:65536\n")
    for name in ("runc", "dig"):
        (bin_folder / name).unlink()
    with pytest.raises(ThrowawayError) as raised:
        requirements.setup(print)
    assert str(raised.value) == (
        f"this machine lacks runc, dig, a range of 65535 ids for 54321 in {tmp_path}/etc/subuid; as root: "
        "apt-get install -y --no-install-recommends runc bind9-dnsutils && "
        "usermod --add-subuids 100000-165535 54321"
    )
    assert not log.exists()


def test_a_failing_installation_says_why_in_one_line(bin_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _script(bin_folder / "apt-get", "echo 'E: first' >&2; echo 'E: No space left on device' >&2; exit 100")
    monkeypatch.setattr(os, "getuid", lambda: 0)
    (bin_folder / "runc").unlink()
    with pytest.raises(ThrowawayError) as raised:
        requirements.setup(lambda step: None)
    assert str(raised.value) == ("apt-get install -y --no-install-recommends runc failed: E: No space left on device")


def test_commands_that_help_with_several_problems_are_named_once() -> None:
    problems = [Problem("a", "", "sysctl x=1"), Problem("b", "", "sysctl x=1"), Problem("c", "", "", "")]
    assert requirements.explain(problems[:2]) == "this machine lacks a, b; as root: sysctl x=1"


@pytest.mark.parametrize("ip_family", ["ipv6", "dual"])
def test_a_kernel_without_ipv6_is_said_to_those_who_ask_for_it(
    monkeypatch: pytest.MonkeyPatch, ip_family: IpFamily
) -> None:
    monkeypatch.setattr(requirements, "_IPV6", Path("/proc/net/not-there"))
    monkeypatch.setattr(linux, "can_make_inotify_instances", lambda count: True)
    with pytest.raises(ThrowawayError, match=rf"no IPv6, so that --ip-family {ip_family} is not possible"):
        requirements.require_for(make_plan(ip_family=ip_family))
    requirements.require_for(make_plan())


def test_too_little_memory_for_so_many_nodes_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:        2048000 kB\nMemAvailable:     614400 kB\nHugePages_Total:       0\n")
    monkeypatch.setattr(requirements, "_MEMINFO", meminfo)
    monkeypatch.setattr(linux, "can_make_inotify_instances", lambda count: True)
    requirements.require_for(make_plan(nodes=1))
    with pytest.raises(ThrowawayError, match=r"--nodes 10 needs at least 1050 MB .* this machine has 600 MB left"):
        requirements.require_for(make_plan(nodes=10))
