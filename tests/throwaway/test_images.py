"""Images, read back as a registry's client reads them, and used as a container's root."""

import hashlib
import json
import os
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from throwaway import build, images
from throwaway.errors import ThrowawayError
from throwaway.images import Entry, File, Folder, Image, Link


@dataclass
class Read:
    """What an image's tar holds, found as the specification says: from the index by digests."""

    names: list[str]
    """The tar's entries."""
    annotations: dict[str, str]
    """Those of the one manifest that the index lists."""
    config: dict[str, Any]
    """The image's configuration."""
    layer: dict[str, tarfile.TarInfo]
    """The layer's entries by name."""


def _read(tar: Path, extract_to: Path | None = None) -> Read:
    with tarfile.open(tar) as archive:

        def blob(descriptor: dict[str, Any]) -> bytes:
            file = archive.extractfile("blobs/" + descriptor["digest"].replace(":", "/"))
            assert file
            content = file.read()
            assert len(content) == descriptor["size"]
            assert "sha256:" + hashlib.sha256(content).hexdigest() == descriptor["digest"]
            return content

        for required in ("oci-layout", "index.json"):
            assert required in archive.getnames()
        index_file = archive.extractfile("index.json")
        assert index_file
        (described,) = json.load(index_file)["manifests"]
        manifest = json.loads(blob(described))
        config = json.loads(blob(manifest["config"]))
        (layer_descriptor,) = manifest["layers"]
        assert config["rootfs"]["diff_ids"] == [layer_descriptor["digest"]]
        blob(layer_descriptor)
        file = archive.extractfile("blobs/" + layer_descriptor["digest"].replace(":", "/"))
        with tarfile.open(fileobj=file) as layer:
            members = {member.name: member for member in layer.getmembers()}
            if extract_to:
                layer.extraction_filter = lambda member, path: member  # with all permissions
                layer.extractall(extract_to)
        return Read(archive.getnames(), described["annotations"], config, members)


def _write(tmp_path: Path, *entries: Entry) -> Path:
    tar = tmp_path / "image.tar"
    images.write(Image("example.com/test:1", entries, ("/program", "-v"), ("serve",), "65532:65532"), tar)
    return tar


def test_an_image_states_its_name_and_how_it_starts(tmp_path: Path) -> None:
    read = _read(_write(tmp_path, File("/program", b"x")))
    assert read.annotations["io.containerd.image.name"] == "example.com/test:1"
    assert read.config["config"]["Entrypoint"] == ["/program", "-v"]
    assert read.config["config"]["Cmd"] == ["serve"]
    assert read.config["config"]["User"] == "65532:65532"
    assert "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" in read.config["config"]["Env"]
    assert (read.config["os"], read.config["architecture"] in ("amd64", "arm64")) == ("linux", True)


def test_a_layer_belongs_to_root_and_has_folders_before_what_they_hold(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"content" * 10000)
    source.chmod(0o600)
    read = _read(
        _write(tmp_path, File("/opt/a/b", source), Link("/opt/link", "a/b"), Folder("/tmp", 0o1777)),
        tmp_path / "out",
    )
    assert list(read.layer) == ["opt", "opt/a", "opt/a/b", "opt/link", "tmp"]
    assert {(entry.uid, entry.gid, entry.uname, entry.mtime) for entry in read.layer.values()} == {(0, 0, "", 0)}
    assert [oct(read.layer[name].mode) for name in ("opt", "opt/a/b", "tmp")] == ["0o755", "0o755", "0o1777"]
    assert (tmp_path / "out/opt/link").read_bytes() == source.read_bytes()


def test_the_same_files_make_the_same_bytes(tmp_path: Path) -> None:
    entries = (File("/b", b"1"), File("/a/c", b"2"), Link("/d", "a"))
    first = _write(tmp_path, *entries).read_bytes()
    os.utime(tmp_path)
    assert _write(tmp_path, *reversed(entries)).read_bytes() == first
    assert _write(tmp_path, File("/b", b"1"), File("/a/c", b"3"), Link("/d", "a")).read_bytes() != first


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ((File("/a", b""), Link("/a", "b")), "the image has /a twice"),
        (
            (Link("/bin", "usr/bin"), File("/bin/sh", b"")),
            "the image has /bin/sh below /bin, which is not a folder in it",
        ),
    ],
)
def test_entries_that_exclude_each_other_are_refused(tmp_path: Path, entries: tuple[Entry, ...], message: str) -> None:
    with pytest.raises(ThrowawayError) as raised:
        _write(tmp_path, *entries)
    assert str(raised.value) == message


def test_file_names_of_images_differ_and_have_no_separators() -> None:
    names = {Image(reference, ()).file_name for reference in ("a.b/c:1", "a.b/c:2", "a.b/d:1")}
    assert len(names) == 3
    assert not any("/" in name or ":" in name for name in names)


def test_links_on_the_way_to_a_file_are_taken_over(tmp_path: Path) -> None:
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "usr/lib/real.so.1.2").write_bytes(b"library")
    (tmp_path / "usr/lib/name.so.1").symlink_to("real.so.1.2")
    (tmp_path / "lib").symlink_to("usr/lib")
    (tmp_path / "absolute").symlink_to(tmp_path / "lib")
    found = {entry.path: entry for entry in images._with_links(tmp_path / "absolute/name.so.1")}
    assert found == {
        f"{tmp_path}/absolute": Link(f"{tmp_path}/absolute", f"{tmp_path}/lib"),
        f"{tmp_path}/lib": Link(f"{tmp_path}/lib", "usr/lib"),
        f"{tmp_path}/usr/lib/name.so.1": Link(f"{tmp_path}/usr/lib/name.so.1", "real.so.1.2"),
        f"{tmp_path}/usr/lib/real.so.1.2": File(f"{tmp_path}/usr/lib/real.so.1.2", tmp_path / "usr/lib/real.so.1.2"),
    }


@pytest.fixture(scope="module")
def toolbox(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Runs a command in the shell of the unpacked toolbox; returns what it prints."""
    folder = tmp_path_factory.mktemp("toolbox")
    images.write(images.toolbox(), folder / "toolbox.tar")
    _read(folder / "toolbox.tar", folder / "root")

    def run(command: str) -> str:
        chroot = [
            "unshare",
            "--user",
            "--map-root-user",
            "--net",
            "chroot",
            str(folder / "root"),
            "sh",
            "-c",
            command,
        ]
        done = subprocess.run(chroot, capture_output=True, text=True, env={"PATH": images.PATH + ":/usr/sbin"})
        return done.stdout + done.stderr

    return run


def test_the_toolbox_has_the_real_curl_dig_and_nc_and_their_libraries(toolbox: Callable[[str], str]) -> None:
    host = subprocess.run(["curl", "--version"], capture_output=True, text=True, check=True).stdout
    assert toolbox("curl --version") == host
    assert toolbox("dig -v").startswith("DiG 9.")
    assert "[-i interval]" in toolbox("nc -h")  # an option that busybox' nc explains otherwise
    assert "command not found" not in toolbox("curl -sS http://127.0.0.1:1/")


def test_the_toolbox_has_a_shell_an_account_and_temporary_files(toolbox: Callable[[str], str]) -> None:
    assert toolbox("id -un") == "root\n"
    assert toolbox("echo text | tr t T > /tmp/file && cat /tmp/file && stat -c %a /tmp") == "TexT\n1777\n"
    assert toolbox("wget --help").startswith("BusyBox")
    assert toolbox("/bin/sh -c 'echo /bin leads there'") == "/bin leads there\n"


def test_a_missing_tool_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("throwaway.requirements.SYSTEM_PATH", str(tmp_path))
    with pytest.raises(ThrowawayError, match=r"^this machine lacks the program busybox; run 'throwaway setup'$"):
        images.toolbox()


@pytest.fixture(scope="module")
def built() -> build.Built:
    """The programs that clusters are made from, where they are built already: building them takes minutes."""
    built = build.find()
    if built is None:
        pytest.skip("nothing is built yet: run 'throwaway build'")
    return built


def test_every_image_of_a_cluster_starts_its_own_program(built: build.Built, tmp_path: Path) -> None:
    starts = {}
    for image in images.images(built.bin):
        images.write(image, tmp_path / "image.tar")
        read = _read(tmp_path / "image.tar")
        starts[read.annotations["io.containerd.image.name"]] = [
            *read.config["config"]["Entrypoint"],
            *read.config["config"]["Cmd"],
        ]
        if image.entrypoint:
            assert read.layer[image.entrypoint[0].lstrip("/")].mode == 0o755
    assert starts == {
        "registry.k8s.io/pause:3.10.2": ["/pause"],
        "docker.io/hashicorp/http-echo:1.0.0": ["/http-echo"],
        "registry.k8s.io/e2e-test-images/agnhost:2.66.1": ["/agnhost", "pause"],
        "registry.k8s.io/coredns/coredns:v1.14.7": ["/coredns"],
        "quay.io/metallb/controller:v0.15.2": ["/controller"],
        "quay.io/metallb/speaker:v0.15.2": ["/speaker"],
        "localhost/toolbox:1": ["sh"],
    }


def test_containerd_imports_an_image_under_its_name(built: build.Built, tmp_path: Path) -> None:
    tar = _write(tmp_path, File("/program", b"#!/bin/sh\n"), Link("/link", "program"))
    config = tmp_path / "config.toml"
    config.write_text(
        f"""version = 3
root = "{tmp_path}/root"
state = "{tmp_path}/state"
disabled_plugins = [
  "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri"
]
[grpc]
address = "{tmp_path}/socket"
[ttrpc]
address = "{tmp_path}/socket.ttrpc"
"""
    )
    script = f"""
        {built.bin}/containerd --config {config} > {tmp_path}/log 2>&1 &
        tries=0
        until {built.bin}/ctr --address {tmp_path}/socket version > /dev/null 2>&1; do
            tries=$((tries + 1)); [ $tries -lt 300 ] || {{ cat {tmp_path}/log >&2; exit 1; }}; sleep 0.1
        done
        ctr="{built.bin}/ctr --address {tmp_path}/socket --namespace k8s.io"
        $ctr images import --local --snapshotter native {tar} && $ctr images check --snapshotter native
    """
    namespaces = ["--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    done = subprocess.run(["unshare", *namespaces, "sh", "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    listed = done.stdout.splitlines()[-1].split()
    assert listed[0] == "example.com/test:1"
    assert "complete" in listed and listed[-1] == "true"  # all blobs are there; it is unpacked
