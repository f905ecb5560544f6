"""Labs: broken situations on a running cluster, each in a namespace of its own, and whether they are mended.

They come with the site whose repository this package is part of. A lab NAME is three files:

labs/NAME.yaml      the objects of the situation
labs/NAME.py        `check(bench)`, which complains by `Bench.need` until the cause is mended; and `is_settled(bench)`
                    where the situation is not there as soon as all Pods are ready
docs/labs/NAME.md   its page, from which title, symptom and hints are read
"""

import importlib.util
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from throwaway.errors import CommandFailedError, ThrowawayError
from throwaway.hints import which
from throwaway.public import Cluster
from throwaway.waiting import wait_until

ROOT = Path(__file__).parents[3]
"""The site's repository."""
PATIENCE_SECONDS = 5.0
_PAUSE_SECONDS = 2  # each look costs a third of a second of processor time

_HINTS_SHOWN = "throwaway/hints-shown"
"""An annotation of a lab's namespace."""
_START_SECONDS = 90
_FRONT_MATTER = re.compile(r"---\n(.*?)^---\n", re.DOTALL | re.MULTILINE)
_TITLE = re.compile(r"^# (.+)$", re.MULTILINE)
_HINT = re.compile(r'^\?\?\? hint ".*"\n+((?:    .*\n|\n)+)', re.MULTILINE)
_MARK = re.compile(r" \[✓\]\([^)]*\)")
_LINK = re.compile(r"\[([^]]+)\]\([^)]*\)")
_EMPHASIS = re.compile(r"(`+|\*\*|\*)(?=\S)(.+?)(?<=\S)\1")
"""Code, bold and italic type."""


class NotMendedError(ThrowawayError):
    """The cause of a lab's trouble is still there, or something else was done about its symptom."""


@dataclass(frozen=True)
class Lab:
    """A lab, as its files have it."""

    name: str
    """Its name, one word."""

    @property
    def namespace(self) -> str:
        """Where it takes place."""
        return f"lab-{self.name}"

    @property
    def manifest(self) -> Path:
        """Its objects."""
        return ROOT / "labs" / f"{self.name}.yaml"

    @cached_property
    def _page(self) -> str:
        return (ROOT / "docs/labs" / f"{self.name}.md").read_text("utf-8")

    @property
    def _front_matter(self) -> dict[str, Any]:
        found = _FRONT_MATTER.match(self._page)
        return dict(yaml.safe_load(found[1])) if found else {}

    @property
    def title(self) -> str:
        """Its page's title."""
        found = _TITLE.search(self._page)
        return found[1] if found else self.name

    @property
    def symptom(self) -> str:
        """What is seen, in a sentence."""
        return str(self._front_matter["description"])

    @property
    def needs(self) -> tuple[str, ...]:
        """The capabilities that a cluster needs for it, see `throwaway.capabilities`."""
        return tuple(str(self._front_matter.get("needs") or "").split())

    @property
    def hints(self) -> list[str]:
        """Its page's hints, as plain text."""
        texts = [_EMPHASIS.sub(r"\2", _LINK.sub(r"\1", _MARK.sub("", hint))) for hint in _HINT.findall(self._page)]
        return ["\n".join(line.removeprefix("    ") for line in text.strip().splitlines()) for text in texts]

    @cached_property
    def module(self) -> Any:
        """Its module."""
        specification = importlib.util.spec_from_file_location(f"labs.{self.name}", self.manifest.with_suffix(".py"))
        assert specification and specification.loader
        module = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(module)
        return module


def labs() -> list[Lab]:
    """All labs by name; raises `ThrowawayError` where this package was installed without the site."""
    names = sorted(file.stem for file in (ROOT / "labs").glob("*.yaml"))
    if not names:
        raise ThrowawayError("the labs are part of the site; call the throwaway that ./dev installs in its .venv")
    return [Lab(name) for name in names]


def find(name: str) -> Lab:
    """The lab of a name; raises `ThrowawayError` if there is none."""
    there = labs()
    for lab in there:
        if lab.name == name:
            return lab
    raise ThrowawayError(f"there is no lab {name!r}; there are {', '.join(lab.name for lab in there)}")


# On a cluster


def started(cluster: Cluster) -> list[str]:
    """The names of the labs that were started."""
    names = cluster.kubectl(["get", "namespaces", "--output=name"]).split()
    return [name.removeprefix("namespace/lab-") for name in names if name.startswith("namespace/lab-")]


def start(lab: Lab, cluster: Cluster) -> None:
    """Make a lab's situation, and return when it is what its page says.

    Raises `ThrowawayError` when it was started already, or cannot be; then nothing of it is left.
    """
    cluster.need(*lab.needs)
    try:
        cluster.kubectl(["create", "namespace", lab.namespace])
    except CommandFailedError as error:
        if "AlreadyExists" not in error.stderr:
            raise
        raise ThrowawayError(
            f"lab {lab.name!r} is started already;"
            f" 'throwaway lab stop{which(cluster.name, cluster.provider)} {lab.name}' ends it"
        ) from None
    try:
        cluster.apply(lab.manifest, lab.namespace)
        for what, condition in (
            ("deployments", "jsonpath={.status.replicas}"),  # its Pods are made
            ("pods", "jsonpath={.status.containerStatuses[0].state.running}"),
        ):
            options = ["--all", f"--namespace={lab.namespace}", f"--for={condition}", f"--timeout={_START_SECONDS}s"]
            cluster.kubectl(["wait", what, *options], timeout=_START_SECONDS + 10)
        is_settled = getattr(lab.module, "is_settled", Bench.are_ready)
        wait_until(lambda: is_settled(Bench(lab, cluster)), f"lab {lab.name!r} has not come about", _START_SECONDS)
    except BaseException:
        _delete(lab, cluster)
        raise


def check(lab: Lab, cluster: Cluster, patience: float = PATIENCE_SECONDS) -> None:
    """Raise `NotMendedError` unless a lab's cause is mended.

    `patience` is for how many seconds it looks again: what was changed a moment ago has not come to each Node by now.
    """
    _namespace(lab, cluster)
    deadline = time.monotonic() + patience
    while True:
        try:
            lab.module.check(Bench(lab, cluster))
            return
        except NotMendedError:
            if time.monotonic() > deadline:
                raise
        time.sleep(_PAUSE_SECONDS)


def next_hint(lab: Lab, cluster: Cluster) -> tuple[int, str]:
    """The number, from 1, and the text of the hint that was not shown yet; the last one again when all were."""
    shown = _namespace(lab, cluster)["metadata"].get("annotations", {}).get(_HINTS_SHOWN, "0")
    number = min(int(shown) + 1, len(lab.hints))
    cluster.kubectl(["annotate", "namespace", lab.namespace, f"{_HINTS_SHOWN}={number}", "--overwrite"])
    return number, lab.hints[number - 1]


def stop(lab: Lab, cluster: Cluster) -> None:
    """Take a lab's situation away, and whatever was made in its namespace; raises `ThrowawayError` if there is none."""
    _namespace(lab, cluster)
    _delete(lab, cluster)


def _namespace(lab: Lab, cluster: Cluster) -> dict[str, Any]:
    try:
        return dict(cluster.kubectl(["get", "namespace", lab.namespace, "--output=json"]))
    except CommandFailedError as error:
        if "NotFound" not in error.stderr:
            raise
        raise ThrowawayError(
            f"lab {lab.name!r} is not started;"
            f" 'throwaway lab start{which(cluster.name, cluster.provider)} {lab.name}' starts it"
        ) from None


def _delete(lab: Lab, cluster: Cluster) -> None:
    cluster.kubectl(["delete", "namespace", lab.namespace, "--ignore-not-found", "--timeout=90s"], timeout=100)


# For checks


@dataclass(frozen=True)
class Bench:
    """A lab on a cluster, as its check looks at it."""

    lab: Lab
    """The lab."""
    cluster: Cluster
    """The cluster on which it was started."""

    def need(self, condition: object, complaint: str) -> None:
        """Raise `NotMendedError` with the complaint unless the condition is true."""
        if not condition:
            raise NotMendedError(f"lab {self.lab.name!r} is not mended: {complaint}")

    @property
    def nodes(self) -> dict[str, str]:
        """Node → the first of its addresses."""
        return {node.name: node.address for node in self.cluster.nodes}

    @cached_property
    def _there(self) -> dict[str, dict[str, Any]]:
        kinds = "deployments,pods,services,endpointslices"
        listed = self.cluster.kubectl(["get", kinds, f"--namespace={self.lab.namespace}", "--output=json"])
        return {f"{item['kind'].lower()}/{item['metadata']['name']}": item for item in listed["items"]}

    def all(self, kind: str) -> list[Any]:
        """The objects of a kind, as in `pod`, when the check first asked for any."""
        return [item for name, item in self._there.items() if name.startswith(f"{kind}/")]

    def are_ready(self) -> bool:
        """Whether all Pods are."""
        conditions = [pod["status"].get("conditions", ()) for pod in self.all("pod")]
        return all(any(each["type"] == "Ready" and each["status"] == "True" for each in of) for of in conditions)

    def get(self, name: str) -> Any:
        """An object, as in `service/shop`; complains if it is gone."""
        self.need(name in self._there, f"{name} is gone")
        return self._there[name]

    def unchanged(self, *names: str) -> None:
        """Complain if one of these objects no longer is as the lab has made it; what was added to it is no matter."""
        made = {f"{each['kind'].lower()}/{each['metadata']['name']}": each for each in self._made()}
        for name in names:
            field = _first_difference(made[name], self.get(name))
            self.need(not field, f"{name} was to stay as it was, and its {field} is another")

    def _made(self) -> list[Any]:
        return list(yaml.safe_load_all(self.lab.manifest.read_text("utf-8")))

    def no_other(self, kind: str) -> None:
        """Complain of objects of a kind that the lab has not made."""
        made = {each["metadata"]["name"] for each in self._made() if each["kind"].lower() == kind}
        more = [name for each in self.all(kind) if (name := each["metadata"]["name"]) not in made]
        self.need(not more, f"{kind}/{more[0] if more else ''} was put beside what is broken, which still is")

    def leads_to(self, service: str, deployment: str) -> None:
        """Complain unless a Service's endpoints are the Pods of a Deployment, all of them and nobody else."""
        spec = self.get(f"deployment/{deployment}")["spec"]
        labels, given = spec["selector"]["matchLabels"], spec["template"]["metadata"]["labels"]
        selector = self.get(f"service/{service}")["spec"].get("selector") or {}
        self.need(
            selector and selector.items() <= given.items(),
            f"the next Pod that the Deployment {deployment} makes is not found by the Service {service}",
        )
        pods = {
            pod["status"].get("podIP")
            for pod in self.all("pod")
            if labels.items() <= pod["metadata"].get("labels", {}).items()
            and any(owner["kind"] == "ReplicaSet" for owner in pod["metadata"].get("ownerReferences", []))
            and "deletionTimestamp" not in pod["metadata"]
        }
        behind = {
            address
            for each in self.all("endpointslice")
            if each["metadata"].get("labels", {}).get("kubernetes.io/service-name") == service
            for endpoint in each.get("endpoints") or ()
            for address in endpoint["addresses"]
        }
        self.need(
            not behind - pods,
            f"behind the Service {service} there is {', '.join(sorted(behind - pods))},"
            f" which is no Pod of the Deployment {deployment}",
        )
        self.need(pods == behind, f"not all Pods of the Deployment {deployment} are behind the Service {service}")

    def ask(self, url: str, times: int = 1, pod: str = "client") -> list[str]:
        """What a Pod is answered over so many connections, one after another; "" where nothing comes."""
        one = f'echo "$(curl --silent --fail --max-time 2 --connect-timeout 1 {url})"'
        command = ["exec", f"--namespace={self.lab.namespace}", pod, "--", "sh", "-c"]
        said = str(self.cluster.kubectl([*command, f"for i in $(seq {times}); do {one}; done"]))
        return said.splitlines()

    def refuses(self, url: str, pod: str = "client") -> bool:
        """Whether a Pod's connection is refused; Nodes that have not written their rules yet are silent."""
        script = f"curl --silent --output /dev/null --max-time 2 {url}; echo $?"
        said = self.cluster.kubectl(["exec", f"--namespace={self.lab.namespace}", pod, "--", "sh", "-c", script])
        return str(said).strip() == "7"  # of curl's exit codes that of a connection that failed

    def ask_from_outside(self, url: str) -> str:
        """What this machine, beside the Nodes, is answered; "" where nothing comes."""
        try:
            return self.cluster.shell(["curl", "--silent", "--fail", "--max-time", "2", "--connect-timeout", "1", url])
        except CommandFailedError:
            return ""


def is_ready_and_refuses(bench: Bench) -> bool:
    """`is_settled` of labs whose Pods are ready while connections to the Service shop are refused."""
    return bench.are_ready() and bench.refuses("http://shop")


def _first_difference(made: Any, there: Any, path: str = "") -> str:
    """The path of the first field that is in `made` and otherwise in `there`; "" if there is none."""
    if isinstance(made, Mapping):
        if not isinstance(there, Mapping):
            return path
        found = (_first_difference(value, there.get(key), f"{path}.{key}".lstrip(".")) for key, value in made.items())
        return next(filter(None, found), "")
    if isinstance(made, list):
        if not isinstance(there, list) or len(made) != len(there):
            return path
        found = (_first_difference(a, b, f"{path}[{i}]") for i, (a, b) in enumerate(zip(made, there, strict=True)))
        return next(filter(None, found), "")
    return "" if made == there else path
