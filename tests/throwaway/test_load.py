"""`throwaway load` and `throwaway image build` on a real cluster: what they make runs, and what cannot be is said."""

import gzip
import hashlib
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from command_line import CommandLine
from throwaway import Cluster, ThrowawayError, build, images
from throwaway.requirements import ARCHITECTURES

ARCHITECTURE = ARCHITECTURES[platform.machine()]
NODES = ("control-plane", "worker1", "worker2")
NAMESPACE = f"load-{os.getpid()}"


@pytest.fixture(scope="module")
def cluster(cluster_name: str) -> Iterator[Cluster]:
    """The shared cluster, with a namespace for the Pods of these tests."""
    found = Cluster.find_or_fail(cluster_name, provider="embedded")
    found.kubectl(["create", "namespace", NAMESPACE])
    yield found
    found.kubectl(["delete", "namespace", NAMESPACE, "--wait=false"])


@pytest.fixture(scope="module")
def http_echo() -> Path:
    """A static program that answers `-version`."""
    built = build.find()
    assert built, "there is a cluster"
    return built.bin / "http-echo"


def printed(cluster: Cluster, image: str, node: str = "worker1", pull: str = "IfNotPresent") -> str:
    """What a container of an image prints on a node until it ends."""
    name = f"{node}-{hashlib.sha256(image.encode()).hexdigest()[:8]}"
    container = {"name": "it", "image": image, "imagePullPolicy": pull}
    spec = {
        "nodeName": node,
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 0,
        "containers": [container],
    }
    cluster.apply(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec},
        namespace=NAMESPACE,
    )
    cluster.wait(f"pod/{name}", "jsonpath={.status.phase}=Succeeded", namespace=NAMESPACE, timeout=30)
    return cluster.logs(name, namespace=NAMESPACE)


def write_docker_tar(tar: Path, tags: list[str] | None, program: Path, architecture: str = ARCHITECTURE) -> Path:
    """A tar of an image with one program, in the layout of `docker save` before version 25."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        archive.add(program.resolve(), "program")
    diff_id = hashlib.sha256(layer.getvalue()).hexdigest()
    config = {
        "architecture": architecture,
        "os": "linux",
        "config": {"Entrypoint": ["/program"], "Cmd": ["-version"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff_id}"]},
    }
    content = json.dumps(config).encode()
    config_name = f"{hashlib.sha256(content).hexdigest()}.json"
    manifest = [{"Config": config_name, "RepoTags": tags, "Layers": [f"{diff_id}/layer.tar"]}]
    with tarfile.open(tar, "w") as archive:
        for name, blob in (
            (f"{diff_id}/layer.tar", layer.getvalue()),
            (config_name, content),
            ("manifest.json", json.dumps(manifest).encode()),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(blob)
            archive.addfile(info, io.BytesIO(blob))
    return tar


def test_an_image_built_on_the_toolbox_runs_on_each_node(
    throwaway: CommandLine, cluster: Cluster, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text(
        "FROM localhost/toolbox:1\n"
        "ENV GREETING='hello from the image'\n"
        "COPY --chown=1000:2000 --chmod=750 . /bin/own/\n"
        "WORKDIR /bin/own\n"
        'CMD ["sh", "run.sh"]\n'
    )
    (tmp_path / ".dockerignore").write_text("*\n!run.sh\n")
    (tmp_path / "run.sh").write_text('echo "$GREETING"; ls; stat -c "%u:%g %a" /usr/bin/own/run.sh; stat -c %a /tmp\n')
    reference = f"built:{os.getpid()}"
    done = throwaway("image", "build", "--tag", reference, "--name", cluster.name, "-o", "json", str(tmp_path))
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["reference"], report["cluster"]) == (f"docker.io/library/{reference}", cluster.name)
    for node in NODES:
        assert printed(cluster, reference, node) == "hello from the image\nrun.sh\n1000:2000 750\n1777\n"


def test_an_image_of_nothing_but_a_static_program_runs(
    throwaway: CommandLine, cluster: Cluster, tmp_path: Path, http_echo: Path
) -> None:
    shutil.copy(http_echo, tmp_path / "http-echo")
    (tmp_path / "Dockerfile").write_text(
        'FROM scratch\nCOPY http-echo /\nUSER 65534\nENTRYPOINT ["/http-echo"]\nCMD ["-version"]\n'
    )
    tar = tmp_path / "image.tar"
    reference = f"localhost/static:{os.getpid()}"
    written = throwaway("image", "build", "--tag", reference, "--output-file", str(tar), str(tmp_path))
    assert written.returncode == 0, written.stderr
    loaded = throwaway("load", "--name", cluster.name, str(tar))
    assert f"  {reference}\n" in loaded.stdout, loaded.stderr
    expected = subprocess.run([http_echo, "-version"], capture_output=True, text=True, check=True)
    assert printed(cluster, reference) == expected.stdout + expected.stderr


def test_a_tar_of_docker_gzipped_on_standard_input_is_loaded_under_all_its_names(
    cluster: Cluster, tmp_path: Path, http_echo: Path
) -> None:
    tar = write_docker_tar(tmp_path / "image.tar", [f"saved-{os.getpid()}", "localhost/saved:2"], http_echo)
    done = subprocess.run(
        [sys.executable, "-m", "throwaway", "load", "--name", cluster.name, "-"],
        input=gzip.compress(tar.read_bytes(), 1),
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    latest, other = done.stdout.decode().splitlines()[1:3]
    assert latest.split("  ")[1:] == [
        f"docker.io/library/saved-{os.getpid()}:latest",
        "(pulled each time, unless a Pod has imagePullPolicy: IfNotPresent)",
    ]
    assert other == "  localhost/saved:2"
    assert "http-echo" in printed(cluster, f"saved-{os.getpid()}")


def test_nodes_that_come_later_have_what_was_loaded(
    throwaway: CommandLine, cluster: Cluster, tmp_path: Path, http_echo: Path
) -> None:
    reference = f"localhost/before:{os.getpid()}"
    cluster.load(write_docker_tar(tmp_path / "image.tar", [reference], http_echo))
    try:
        added = throwaway("node", "add", "--name", cluster.name, "later")
        assert added.returncode == 0, added.stderr
        assert "http-echo" in printed(cluster, reference, "later", pull="Never")
        throwaway("node", "stop", "--name", cluster.name, "later")
        while_off = f"localhost/while-off:{os.getpid()}"
        assert cluster.load(write_docker_tar(tmp_path / "image.tar", [while_off], http_echo)) == [while_off]
        started = throwaway("node", "start", "--name", cluster.name, "later")
        assert started.returncode == 0, started.stderr
        assert "http-echo" in printed(cluster, while_off, "later", pull="Never")
    finally:
        throwaway("node", "delete", "--name", cluster.name, "later")


def test_an_image_for_another_architecture_is_refused(cluster: Cluster, tmp_path: Path, http_echo: Path) -> None:
    other = "amd64" if ARCHITECTURE == "arm64" else "arm64"
    tar = write_docker_tar(tmp_path / "image.tar", ["other:1"], http_echo, other)
    with pytest.raises(ThrowawayError) as raised:
        cluster.load(tar)
    assert str(raised.value) == (
        f"image docker.io/library/other:1 in {tar} is for linux/{other}, the nodes are linux/{ARCHITECTURE};"
        f" save it with --platform linux/{ARCHITECTURE}"
    )


def test_one_report_names_all_images_of_several_tars(throwaway: CommandLine, cluster: Cluster, tmp_path: Path) -> None:
    tars = []
    for number in (1, 2):
        tars.append(str(tmp_path / f"{number}.tar"))
        images.write(images.Image(f"localhost/several:{number}", (images.File("/f", b"x"),)), Path(tars[-1]))
    done = throwaway("load", "--name", cluster.name, "--output", "json", *tars)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    assert report.pop("seconds") > 0
    assert report == {
        "cluster": cluster.name,
        "provider": "embedded",
        "images": [
            {"reference": "localhost/several:1", "is_pulled_always": False},
            {"reference": "localhost/several:2", "is_pulled_always": False},
        ],
    }


def tar_of(tar: Path, **files: bytes) -> bytes:
    """The bytes of a tar with these files."""
    with tarfile.open(tar, "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name.replace("_", "."))
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return tar.read_bytes()


def test_what_is_no_tar_of_images_is_said_in_one_line(
    throwaway: CommandLine, cluster: Cluster, tmp_path: Path, http_echo: Path
) -> None:
    file = tmp_path / "it.tar"
    whole = write_docker_tar(file, ["whole:1"], http_echo).read_bytes()
    manifest = json.dumps([{"Config": "c.json", "RepoTags": ["a:1"], "Layers": []}]).encode()
    cases = {
        "is no tar; 'docker save' and 'podman save' write tars of images": b"text",
        "is a tar, but of no images: it has neither index.json nor manifest.json;"
        " 'docker save' and 'podman save' write those": tar_of(file, etc=b""),
        "is a damaged tar of images (ReadError: unexpected end of data)": whole[: len(whole) // 2],
        "is a damaged tar of images (KeyError: 'c.json')": tar_of(file, manifest_json=manifest),
        "is damaged: Compressed file ended before the end-of-stream marker was reached": gzip.compress(whole, 1)[:-9],
    }
    with tarfile.open(file, "w") as archive:
        folder = tarfile.TarInfo("manifest.json")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
    cases["is a damaged tar of images (ValueError: manifest.json is no file)"] = file.read_bytes()
    for complaint, content in cases.items():
        file.write_bytes(content)
        with pytest.raises(ThrowawayError) as raised:
            cluster.load(file)
        assert str(raised.value) == f"{file} {complaint}"
    nothing = throwaway("load", "--name", cluster.name, "-")
    assert nothing.stderr.splitlines()[-1].startswith("throwaway: standard input is empty;")
    done = throwaway("load", "--name", cluster.name, "-o", "json", f"{tmp_path}/not-there.tar")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1] == f"throwaway: there is no image tar {tmp_path}/not-there.tar"


def test_an_image_that_no_pod_could_name_is_refused(cluster: Cluster, tmp_path: Path, http_echo: Path) -> None:
    unnamed = write_docker_tar(tmp_path / "unnamed.tar", None, http_echo)
    with pytest.raises(ThrowawayError, match=r"no image in .*unnamed.tar has a name; save it by its name"):
        cluster.load(unnamed)
    short = tmp_path / "short.tar"
    images.write(images.Image("short:3", (images.File("/f", b"x"),)), short)
    with pytest.raises(ThrowawayError) as raised:
        cluster.load(short)
    assert str(raised.value) == (
        f"the name 'short:3' in {short} is not complete; save the image as docker.io/library/short:3"
    )


@pytest.mark.parametrize("arguments", [("load", "image.tar"), ("image", "build", "--tag", "a:1")])
def test_a_cluster_that_does_not_run_is_said_first(throwaway: CommandLine, arguments: tuple[str, ...]) -> None:
    done = throwaway(*arguments, "--name", "not-there")
    assert done.returncode == 1
    assert done.stderr.startswith(
        "throwaway: no cluster 'not-there' is running; start it with 'throwaway up --name not-there'"
    )
