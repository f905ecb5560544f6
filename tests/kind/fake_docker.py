"""Plays the program `docker` for the kind CLI: notes each call, and does as if containers ran.

$FAKE_DOCKER is a folder: `calls.jsonl` gets the calls, `files/NODE/PATH` what is written to nodes and read from them,
`containers.json` holds the containers. On a node nothing can be run but what kind needs up to `kubeadm init`.
"""

import fcntl
import json
import os
import sys
from pathlib import Path

FOLDER = Path(os.environ["FAKE_DOCKER"])
INFO = {
    "CgroupVersion": "2", "CgroupDriver": "systemd", "MemoryLimit": True, "PidsLimit": True, "CPUShares": True,
    "SecurityOptions": [],
}  # fmt: skip
VERSION = "v1.37.0"


def main(arguments: list[str]) -> None:
    with (FOLDER / "lock").open("w") as lock:  # kind starts nodes at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        with (FOLDER / "calls.jsonl").open("a") as calls:
            calls.write(json.dumps(arguments) + "\n")
        file = FOLDER / "containers.json"
        containers = json.loads(file.read_text()) if file.exists() else {}
        command, *rest = arguments
        if command == "run":
            labels = [rest[at + 1] for at, word in enumerate(rest) if word == "--label"]
            containers[rest[rest.index("--name") + 1]] = dict(label.split("=", 1) for label in labels)
        if command == "rm":
            containers = {name: labels for name, labels in containers.items() if name not in rest}
        file.write_text(json.dumps(containers))
    if command == "-v":
        print("Docker version 99.0.0, build fake")
    elif command == "ps":
        wanted = rest[rest.index("--filter") + 1].removeprefix("label=")
        key, _, value = wanted.partition("=")
        found = {name: labels[key] for name, labels in containers.items() if labels.get(key, "") == value or not value}
        for line in found if rest[-1] == "{{.Names}}" else found.values():
            print(line)
    elif command == "info":
        print(json.dumps(INFO) if rest[-1] == "{{json .}}" else "overlay2" if rest[-1] == "{{.Driver}}" else "[]")
    elif command == "inspect" and "type=image" not in rest[0]:
        inspect(rest[1], containers[rest[-1]])
    elif command == "network" and rest[0] == "ls":
        print("kind")
    elif command == "logs":
        print("Reached target Multi-User System.")
    elif command == "exec":
        words = [word for word in rest if word not in ("--privileged", "-i")]
        on_node(FOLDER / "files" / words[0], words[1:])


def inspect(what: str, labels: dict[str, str]) -> None:
    if "io.x-k8s.kind.role" in what:
        print(labels["io.x-k8s.kind.role"])
    elif "IPAddress" in what:
        print("172.18.0.2,fc00:f853:ccd:e793::2")
    elif "NetworkSettings.Ports" in what:
        print(f"127.0.0.1\t{os.environ.get('FAKE_API_PORT', '6443')}")


def on_node(files: Path, words: list[str]) -> None:
    if words == ["cat", "/kind/version"]:
        print(VERSION)
    elif words[0] == "cat":
        print((files / words[1].lstrip("/")).read_text(), end="")
    elif words[0] == "cp":
        target = files / words[2].lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(sys.stdin.read())
    elif words[0] == "echo":
        print(*words[1:])
    elif words[0] != "mkdir":
        sys.exit(f"the fake docker runs no {words[0]}")


if __name__ == "__main__":
    main(sys.argv[1:])
