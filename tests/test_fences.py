"""The tests of the tests: what is wrong on a page is found, and named with page and line.

The pages in cases/ are run like any other. In each one a comment says how it must fail; good.md must not. The
rest needs no cluster, but for `--update-examples`.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import pytest
from markdown import Markdown
from pytest_examples import EvalExample

import sharing
import throwaway
from claims.find import MODES
from fences import python_session
from fences.console import read_commands, run_console
from fences.find import Fence, FenceError, check_settings, check_tabs, find_fences, needs_of
from fences.placeholders import KINDS, Placeholders, unknown
from fences.python_session import PythonSession
from fences.story import advice
from live.leftovers import Cluster, Thing
from live.shell import Shell

ROOT = Path(__file__).parents[1]
CASES = Path(__file__).parent / "cases"
WRONG = sorted(page for page in CASES.glob("*.md") if "<!-- fails at line " in page.read_text())


def run_pages(*arguments: str | Path, **environment: str | None) -> "subprocess.CompletedProcess[str]":
    """Run tests/test_pages.py as a user does; an environment variable that is None is unset."""
    changed = os.environ | {sharing.ALONE: "1"} | environment
    merged = {key: value for key, value in changed.items() if value is not None}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/test_pages.py", *arguments]
    return subprocess.run(command, cwd=ROOT, env=merged, capture_output=True, text=True, timeout=600)


@dataclass
class Wrong:
    """What came of running all wrong pages, one after the other."""

    outcomes: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    """Page → for each test of it, passed, skipped or failure, and its message."""
    left: dict[Thing, str] = field(default_factory=dict)
    """What differs in the cluster."""


@pytest.fixture(scope="module")
def wrong(throwaway_cluster: throwaway.Cluster, tmp_path_factory: pytest.TempPathFactory) -> Wrong:
    folder = tmp_path_factory.mktemp("wrong")
    cluster = Cluster(throwaway_cluster.kubeconfig, folder)
    with sharing.turn(throwaway_cluster.kubeconfig, alone=True):
        before = cluster.at_rest()
        ran = run_pages(*WRONG, f"--junitxml={folder / 'report.xml'}")
        assert ran.returncode == pytest.ExitCode.TESTS_FAILED, ran.stdout + ran.stderr
        wrong = Wrong(left=cluster.settle(before))
    for test in ElementTree.parse(folder / "report.xml").iter("testcase"):
        page = test.attrib["name"].partition("[")[2].rstrip("]").partition(":")[0]
        results = [each for each in test if each.tag != "properties"]
        for result in results or [ElementTree.Element("passed")]:
            message = result.attrib.get("message", "") if result.tag == "skipped" else result.text or ""
            wrong.outcomes.setdefault(page, []).append((result.tag, message))
    return wrong


@pytest.mark.cluster
@pytest.mark.disturbs
@pytest.mark.once
@pytest.mark.parametrize("page", WRONG, ids=lambda page: page.name)
def test_what_is_wrong_is_named_with_page_and_line(page: Path, wrong: Wrong) -> None:
    expected = re.search(r"<!-- fails at line (\S+): (.*) -->", page.read_text())
    assert expected
    name = str(page.relative_to(ROOT))
    failures = [message for outcome, message in wrong.outcomes[name] if outcome not in ("passed", "skipped")]
    assert failures
    for failure in failures:
        assert f"{name}:{expected[1]}: {expected[2]}" in failure
    skips = [message for outcome, message in wrong.outcomes[name] if outcome == "skipped"]
    assert all("an earlier fence of this page failed" in message for message in skips)


@pytest.mark.cluster
@pytest.mark.disturbs
@pytest.mark.once
def test_wrong_pages_leave_the_cluster_as_it_was(wrong: Wrong) -> None:
    assert not wrong.left


@pytest.mark.cluster
@pytest.mark.disturbs
@pytest.mark.once
def test_a_page_on_which_nothing_is_wrong_passes_and_its_skipped_fences_are_listed() -> None:
    ran = run_pages(CASES / "good.md")
    assert ran.returncode == 0, ran.stdout
    assert re.search(r"= fences not run =+\ntests/cases/good.md:\d+-\d+: it would open an editor\n", ran.stdout)


@pytest.mark.cluster
@pytest.mark.disturbs
def test_of_two_fences_for_two_modes_one_is_run_and_the_other_is_listed(proxy_mode: str) -> None:
    ran = run_pages(CASES / "both-modes.md")
    (other,) = {*MODES} - {proxy_mode}
    assert re.search(r"\b2 passed, 1 skipped\b", ran.stdout), ran.stdout
    assert re.search(rf"both-modes.md:\d+-\d+: for kube-proxy's mode {other}\n", ran.stdout)


def lines_of(page: Path) -> list[str]:
    """The lines of each fence of a page, as in `12-19`."""
    return [f"{fence.start_line}-{fence.end_line}" for fence in find_fences(page)]


@pytest.mark.cluster
@pytest.mark.disturbs
@pytest.mark.once
def test_a_page_for_two_readers_is_run_once_for_each_and_what_is_skipped_is_listed_once() -> None:
    page = CASES / "both-readers.md"
    python, kubectl, shared, skipped = lines_of(page)
    ran = run_pages(page, "-v")
    assert re.search(r"\b5 passed, 2 skipped\b", ran.stdout), ran.stdout
    ids = re.findall(r"both-readers\.md:(\S+(?: kubectl)?)\] PASSED", ran.stdout)
    assert ids == [python, shared, f"{kubectl} kubectl", f"{shared} kubectl"]
    assert ran.stdout.count(f"{page.name}:{skipped}: it would open an editor\n") == 1
    assert f"{skipped} kubectl:" not in ran.stdout
    for chosen, passed in ((shared, 2), (f"{shared} and kubectl", 1), (f"{shared} and not kubectl", 1)):
        assert f"{passed} passed" in run_pages(page, "-k", chosen).stdout


@pytest.mark.cluster
@pytest.mark.disturbs
@pytest.mark.once
def test_output_for_two_readers_is_rewritten_and_then_passes(tmp_path: Path) -> None:
    right = (CASES / "both-readers.md").read_text()
    page = write(tmp_path, re.sub(r"^( *(#> )?)made.*", r"\1wrong", right, flags=re.MULTILINE))
    assert page.read_text().count("wrong") == 3
    ran = run_pages(page, "--update-examples")
    assert ran.returncode == 0, ran.stdout
    assert page.read_text() == right
    assert run_pages(page).returncode == 0


@pytest.mark.cluster
@pytest.mark.disturbs
@pytest.mark.once
def test_one_fence_runs_those_above_it_first() -> None:
    page = CASES / "update.after.md"
    needs_imports_of_the_first = find_fences(page)[2]
    ran = run_pages(page, "-k", str(needs_imports_of_the_first))
    assert "1 passed" in ran.stdout, ran.stdout


@pytest.mark.cluster
@pytest.mark.disturbs
@pytest.mark.once
def test_output_is_rewritten_and_then_passes(tmp_path: Path) -> None:
    page = tmp_path / "update.md"
    page.write_text((CASES / "update.before.md").read_text())
    ran = run_pages(page, "--update-examples")
    assert ran.returncode == 0, ran.stdout
    assert page.read_text() == (CASES / "update.after.md").read_text()
    ran = run_pages(page)
    assert ran.returncode == 0, ran.stdout


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"KUBECONFIG": None}, "this is no 'throwaway shell'"),
        ({"KUBECONFIG": "kubeconfig", "THROWAWAY_CLUSTER": None}, "this is no 'throwaway shell'"),
        ({"KUBECONFIG": "kubeconfig", "THROWAWAY_CLUSTER": "ended"}, "no cluster 'ended' is running"),
    ],
)
def test_without_a_throwaway_cluster_nothing_runs(
    environment: dict[str, str | None], says: str, tmp_path: Path
) -> None:
    (tmp_path / "kubeconfig").write_text(
        "{apiVersion: v1, kind: Config, current-context: production, users: [{name: u, user: {token: t}}], "
        "clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}], "
        "contexts: [{name: production, context: {cluster: c, user: u}}]}"
    )
    if environment["KUBECONFIG"]:
        environment = environment | {"KUBECONFIG": str(tmp_path / "kubeconfig")}
    ran = run_pages(CASES / "good.md", **environment)
    assert ran.returncode == pytest.ExitCode.USAGE_ERROR
    assert "passed" not in ran.stdout
    (line,) = ran.stderr.strip().splitlines()
    assert line.startswith("ERROR: ")
    assert says in line


def test_a_page_that_does_not_exist_is_an_error() -> None:
    ran = run_pages("docs/no-such-page.md")
    assert ran.returncode == pytest.ExitCode.USAGE_ERROR
    assert "there is no page" in ran.stderr


def write(folder: Path, text: str) -> Path:
    """A page with this text."""
    page = folder / "page.md"
    page.write_text(text)
    return page


def console(folder: Path, source: str) -> Fence:
    """A console fence; its first line is line 2 of page.md."""
    (fence,) = find_fences(write(folder, f"```console\n{source}```\n"))
    return fence


FOUND_EVERYWHERE = """\
=== "A tab"

    ```yaml title="a.yaml"
    a: 1

    b: 2
    ```

!!! note "An admonition"

    === "A tab inside"

        ``` { .python title="x" }
        x = 1
        ```

1. A list

    ~~~console
    $ ls
    ~~~

````markdown
```python
only shown
```
````
"""


def test_fences_are_found_wherever_the_site_shows_them(tmp_path: Path) -> None:
    page = write(tmp_path, FOUND_EVERYWHERE)
    found = find_fences(page)
    assert [(fence.language, fence.start_line, fence.end_line, fence.indent) for fence in found] == [
        ("yaml", 3, 7, 4),
        ("python", 13, 15, 8),
        ("console", 19, 21, 4),
        ("markdown", 23, 27, 0),
    ]
    assert found[0].source == "a: 1\n\nb: 2\n"
    assert found[0].settings == {"title": "a.yaml"}
    for fence in found:
        text = page.read_text()[fence.start_index : fence.end_index]
        assert "".join(line[fence.indent :] or "\n" for line in text.splitlines(True)) == fence.source


@pytest.mark.parametrize(
    "text",
    [
        'Text\n\n```console test="skip" reason="no braces"\n$ ls\n```\n',
        "Text\n\n```python\nprint(1)\n",
        "- item\n\n    ```python\n  outdented\n    ```\n",
        "> ```python\n> print(1)\n> ```\n",
    ],
)
def test_a_fence_that_the_site_does_not_render_is_an_error(text: str, tmp_path: Path) -> None:
    with pytest.raises(FenceError, match=r"page\.md:\d: "):
        find_fences(write(tmp_path, text))


def test_the_site_renders_a_fence_that_is_not_run(tmp_path: Path) -> None:
    source = '``` { .console title="x" test="skip" reason="it takes an hour" }\n$ ls\n```\n'
    (fence,) = find_fences(write(tmp_path, source))
    check_settings(fence)
    assert not fence.is_run
    html = Markdown(extensions=["attr_list", "pymdownx.highlight", "pymdownx.superfences"]).convert(source)
    assert "```" not in html
    assert 'class="filename">x<' in html


def test_a_fence_for_one_mode_of_kube_proxy_is_run_in_that_mode_only(tmp_path: Path) -> None:
    (fence,) = find_fences(
        write(tmp_path, '=== "nftables"\n\n    ``` { .console mode="nftables" }\n    $ ls\n    ```\n')
    )
    check_settings(fence)
    assert fence.is_run
    assert fence.why_not_run("nftables") == ""
    assert fence.why_not_run("iptables") == "for kube-proxy's mode nftables"


PYTHON_TAB = '=== "Python"\n\n    ```python\n    x = 1\n    ```\n\n'
KUBECTL_TAB = '=== "kubectl"\n\n    ``` { .console client="kubectl" }\n    $ ls\n    ```\n\n'


@pytest.mark.parametrize(
    ("page", "complaint"),
    [
        (f"{PYTHON_TAB}{KUBECTL_TAB}```console\n$ ls\n```\n", ""),
        (f'{KUBECTL_TAB}{PYTHON_TAB}Text.\n\n=== "A"\n\n    ```console\n    $ ls\n    ```\n', ""),
        (f"{PYTHON_TAB}```python\nx = 1\n```\n", ""),
        (f"{PYTHON_TAB}{KUBECTL_TAB}Text.\n\n```python\nx = 1\n```\n", '15: it stands in no tab "Python" with'),
        (f"{PYTHON_TAB}{KUBECTL_TAB}Text.\n\n{PYTHON_TAB}", '17: it stands in no tab "Python" with a tab "kubectl"'),
        (f"{PYTHON_TAB}{KUBECTL_TAB}Text.\n\n{KUBECTL_TAB}", '17: it stands in no tab "kubectl" with a tab "Python"'),
        (f"{PYTHON_TAB}Text.\n\n{KUBECTL_TAB}", '3: it stands in no tab "Python" with a tab "kubectl" beside'),
        ('``` { .console client="kubectl" }\n$ ls\n```\n', '1: it stands in no tab "kubectl" with a tab "Python"'),
        (
            f"{PYTHON_TAB}{KUBECTL_TAB}    ```console\n    $ ls\n    ```\n",
            '13: on a page for two readers a tab "kubectl" has fences with client="kubectl" only',
        ),
        (
            f"{KUBECTL_TAB}{PYTHON_TAB}    ```console\n    $ ls\n    ```\n",
            '13: on a page for two readers a tab "Python" has Python fences only',
        ),
    ],
)
def test_neither_reader_of_a_page_misses_a_step(page: str, complaint: str, tmp_path: Path) -> None:
    fences = find_fences(write(tmp_path, page))
    if not complaint:
        check_tabs(fences)
        return
    with pytest.raises(FenceError, match=rf"page\.md:{complaint}"):
        check_tabs(fences)


@pytest.mark.parametrize("opening", ['.console client="oc"', '.python client="kubectl"'])
def test_a_fence_is_for_all_readers_or_for_one_that_there_is(opening: str, tmp_path: Path) -> None:
    (fence,) = find_fences(write(tmp_path, f"``` {{ {opening} }}\n$ ls\n```\n"))
    with pytest.raises(FenceError, match=r"page\.md:1: a fence that is not for all readers is Python, or has client="):
        check_settings(fence)


@pytest.mark.parametrize(
    ("page", "output", "matches"),
    [
        ("10.96.0.1", "10.96.0.1", True),
        ("a  b", "a      b", True),
        ("a b", "ab", False),
        (".*", "anything", False),
        ("<none> <pending>", "<none>  <pending>", True),
        ("<cluster-ip>", "10.96.200.7", True),
        ("<cluster-ip>", "10.97.0.7", False),
        ("<cluster-ip>", "10.96.0.256", False),
        ("<cluster-ip>", "10.96.0.10 ", True),
        ("<pod-ip>:8080", "10.244.2.17:8080", True),
        ("<pod-ip>", "10.244.2.1", False),
        ("<bridge-ip>", "10.244.2.1", True),
        ("<node-ip>", "172.30.0.12", True),
        ("<node-ip>", "172.30.0.1", False),
        ("<client-ip>", "172.30.0.1", True),
        ("<external-ip>", "172.30.0.200", True),
        ("<external-ip>", "172.30.0.250", True),
        ("<external-ip>", "172.30.0.251", False),
        ("<external-ip>", "172.30.0.999", False),
        ("5678:<node-port>/TCP", "5678:30000/TCP", True),
        ("5678:<node-port>/TCP", "5678:29999/TCP", False),
        ("5678:<node-port>/TCP", "5678:32768/TCP", False),
        ("from port <port>", "from port 54321", True),
        ("from port <port>", "from port 80", False),
        ("<age>", "5s", True),
        ("<age>", "3m27s", True),
        ("<age>", "2d4h", True),
        ("<age>", "5", False),
        ("<age>", "<invalid>", False),
        ("<pod>", "web-6c8f9d7b55-x2x9z", True),
        ("<pod>", "web-x2x9z", True),
        ("<pod>", "web", False),
        ("<pod>", "web-hello", False),
        ("web-<pod-template-hash>-<suffix>", "web-6c8f9d7b55-x2x9z", True),
        ("web-<pod-template-hash>-<suffix>", "api-6c8f9d7b55-x2x9z", False),
        ("<replica-set>", "web-6c8f9d7b55", True),
        ("<replica-set>", "web-hello", False),
        ("<pod-ip6>", "fd00:10:244:1::5", True),
        ("<pod-ip6>", "fd00:10:96::5", False),
        ("<pod-ip6>", "fd00:10:244:1::1", False),
        ("<cluster-ip6>", "fd00:10:96::4a7f", True),
        ("<cluster-ip6>", "10.96.0.10", False),
        ("http://[<node-ip6>]:80", "http://[fd00:172:30::12]:80", True),
        ("<node>", "worker2", True),
        ("<node>", "control-plane", True),
        ("<node>", "worker", False),
        ("<time>", "2026-01-31T12:00:00Z", True),
        ("Date: <time>", "Date: Sat, 31 Jan 2026 12:00:00 GMT", True),
        ("<time>", "12:00", False),
        ("KUBE-SEP-<chain-hash>", "KUBE-SEP-2SDR7TIVRBNZ6PZC", True),
        ("KUBE-SEP-<chain-hash>", "KUBE-SEP-MARK", False),
        ("<uid>", "0b0f1c5e-3c57-4f0c-8a36-5b7d5b1f0a11", True),
    ],
)
def test_a_placeholder_stands_for_its_kind_and_for_nothing_else(page: str, output: str, matches: bool) -> None:
    assert Placeholders().match(page, output) is matches


def test_a_numbered_placeholder_is_the_same_value_wherever_it_stands() -> None:
    placeholders = Placeholders()
    assert placeholders.match("<pod-ip-1> and <pod-ip-2>", "10.244.1.2 and 10.244.2.2")
    assert placeholders.match("<pod-ip-2>", "10.244.2.2")
    assert not placeholders.match("<pod-ip-1>", "10.244.2.2")
    assert not placeholders.match("<pod-ip-1>", "10.244.1.9")
    assert placeholders.match("<pod-ip>", "10.244.2.2")


def test_different_numbers_are_different_values() -> None:
    placeholders = Placeholders()
    assert not placeholders.match("<pod-ip-1> <pod-ip-2>", "10.244.1.2 10.244.1.2")
    assert placeholders.match("<pod-ip-1>", "10.244.1.2")
    assert not placeholders.match("<pod-ip-2>", "10.244.1.2")
    assert not placeholders.match("<pod-ip-1> <pod-ip-1>", "10.244.1.2 10.244.1.3")


def test_a_line_that_does_not_match_binds_nothing() -> None:
    placeholders = Placeholders()
    assert not placeholders.match("<pod-ip-1> <node-port-1>", "10.244.1.2 80")
    assert placeholders.bound == {}


def test_only_placeholders_of_known_kinds_are_accepted() -> None:
    assert unknown("<none> <pod> <pod-7> <cluster-ip-1>") == []
    assert unknown("<whatever> <pods> <age-1>") == ["whatever", "pods", "age-1"]
    assert all(unknown(f"<{kind}>") == [] for kind in KINDS)


def test_what_a_page_needs_of_a_cluster_stands_in_its_front_matter(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    for text, needs in (
        ("---\ntitle: A\nneeds: dual-stack load-balancer\n---\n# A\n", ("dual-stack", "load-balancer")),
        ("---\ntitle: A\n---\n# A\n\nneeds: dual-stack\n", ()),
        ("# A\n\n---\nneeds: dual-stack\n---\n", ()),
    ):
        page.write_text(text)
        assert needs_of(page) == needs
    page.write_text("---\nneeds: dual-stak\n---\n")
    with pytest.raises(FenceError, match=r"page.md:1: needs: there is no capability 'dual-stak'"):
        needs_of(page)


def test_commands_continue_on_lines_that_begin_with_a_greater_sign(tmp_path: Path) -> None:
    fence = console(tmp_path, "$ echo a \\\n>   b\na b\n> not a command\n\n$ true\n")
    commands = read_commands(fence)
    assert [command.text for command in commands] == ["echo a \\\n  b\n", "true\n"]
    assert commands[0].output == ["a b", "> not a command"]


def test_a_console_fence_begins_with_a_command(tmp_path: Path) -> None:
    with pytest.raises(FenceError, match=r"page\.md:2: a console fence begins with a command"):
        read_commands(console(tmp_path, "kubectl get nodes\n"))


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A folder to work in and an empty one for scripts."""
    for name in ("work", "scripts"):
        (tmp_path / name).mkdir()
    return tmp_path / "work", tmp_path / "scripts"


def test_a_command_that_hangs_is_ended_and_what_it_printed_is_shown(folders: tuple[Path, Path]) -> None:
    shell = Shell(*folders)
    with pytest.raises(TimeoutError, match="begun"):
        shell.run("echo begun; sleep 60", deadline=0.5)


def test_a_background_process_does_not_keep_a_command_waiting_and_ends_with_the_shell(
    folders: tuple[Path, Path],
) -> None:
    shell = Shell(*folders)
    status, (pid,) = shell.run("sleep 60 & echo $!", deadline=5)
    shell.close()
    assert status == 0
    assert not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().split()


def test_commands_share_a_shell_and_print_both_streams_in_order(folders: tuple[Path, Path]) -> None:
    shell = Shell(*folders)
    try:
        assert shell.run("cd /; X=1; echo out; echo error >&2; echo out") == (0, ["out", "error", "out"])
        assert shell.run("echo $PWD $X; cat; false") == (1, ["/ 1"])
        assert shell.run("no-such-command") == (127, ["bash: line 1: no-such-command: command not found"])
    finally:
        shell.close()


def test_output_that_varies_is_said_to_with_the_placeholder_to_write(
    tmp_path: Path, folders: tuple[Path, Path]
) -> None:
    fence = console(tmp_path, "$ echo 10.96.200.8:30001\n10.96.200.7:30002\n$ echo a\nb\n")
    shell = Shell(*folders)
    try:
        with pytest.raises(FenceError, match="It varies from run to run: write <cluster-ip> and <node-port> on the"):
            run_console(fence, shell, Placeholders())
    finally:
        shell.close()


def test_what_is_left_behind_comes_with_what_was_likely_forgotten() -> None:
    assert "kubectl -n NAMESPACE" in advice(Thing("ConfigMap", "default", "x", ""))
    assert "deletes its namespace" in advice(Thing("Namespace", "", "x", ""))


@pytest.mark.parametrize(
    "script",
    [
        "sleep 60; echo no",
        "for each in $(seq 100); do sleep 60; done; echo no",
        "while :; do while true; do sleep 0.1; done; done; echo no",
        "ask() { sleep 60; echo no; }; ask && echo no | cat",
    ],
)
def test_an_interrupt_ends_the_script_and_keeps_the_shell(folders: tuple[Path, Path], script: str) -> None:
    printed: list[str] = []

    def show(text: str) -> None:
        printed.append(text)
        if "begun" in text:
            raise KeyboardInterrupt

    shell = Shell(*folders)
    try:
        with pytest.raises(KeyboardInterrupt):
            shell.stream(f"kept=1; cd /; echo begun; {script}\n", show)
        assert "".join(printed) == "begun\n"
        assert shell.run("echo $kept $PWD; false") == (1, ["1 /"])
        assert shell.stream("echo whole\n", printed.append) == 0
        assert "".join(printed) == "begun\nwhole\n"
    finally:
        shell.close()


def test_a_difference_is_shown_with_the_line_where_it_begins(tmp_path: Path, folders: tuple[Path, Path]) -> None:
    fence = console(tmp_path, "$ printf 'one\\ntwo\\nthree\\n'\none\n2\nthree\n")
    shell = Shell(*folders)
    try:
        with pytest.raises(FenceError) as raised:
            run_console(fence, shell, Placeholders())
    finally:
        shell.close()
    what, *diff = str(raised.value).splitlines()
    assert re.search(r"page\.md:4: the output differs .* printf", what)
    assert diff == ["    one", "  - 2", "  + two", "    three"]


def test_a_snippet_that_hangs_is_ended_whatever_it_catches(
    tmp_path: Path,
    folders: tuple[Path, Path],
    eval_example: EvalExample,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(python_session, "DEADLINE", 0.5)
    polling = "while True:\n    try:\n        time.sleep(60)\n    except Exception as error:\n        last = error"
    (fence,) = find_fences(write(tmp_path, f"```python\nimport time\n\n{polling}\n```\n"))
    with pytest.raises(FenceError, match=r"page\.md:6: time\.sleep\(60\)\nraised OverdueError: it had not ended"):
        PythonSession(*folders).run(fence, eval_example, capfd)
