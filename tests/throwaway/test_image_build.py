"""Dockerfiles: what they make of a folder, and how they are refused. Running what is built is up to `test_load`."""

import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from throwaway import image_archive, image_build, images, references
from throwaway.errors import ThrowawayError
from throwaway.image_context import Context
from throwaway.images import File, Folder, Image, Link

Files = dict[str, str]
Layer = dict[str, tarfile.TarInfo]
Build = Callable[..., tuple[dict[str, Any], Layer]]


def write_files(folder: Path, files: Files) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        path.chmod(0o644)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """The tar of an image base:1 with a link /bin, a folder that all may write to, and a shell."""
    entries = (
        File("/usr/bin/sh", b"#!"),
        Link("/bin", "usr/bin"),
        Folder("/tmp", 0o1777),
        Link("/loop", "loop"),
    )
    tar = tmp_path / "base.tar"
    config = {"Env": ["PATH=/bin", "A=base"], "Entrypoint": ["/base"], "Cmd": ["base"], "WorkingDir": ""}
    images.write(Image("docker.io/library/base:1", entries, config=config), tar)
    return tar


@pytest.fixture
def built(tmp_path: Path, base: Path) -> Build:
    """Builds an image; returns the configuration of its containers and what is in its own layer."""

    def run(dockerfile: str, files: Files | None = None) -> tuple[dict[str, Any], Layer]:
        folder, tar = tmp_path / "folder", tmp_path / "image.tar"
        folder.mkdir(exist_ok=True)
        write_files(folder, {"Dockerfile": dockerfile, **(files or {})})
        image_build.write(folder, None, "it:1", tar, [base])
        with image_archive.opened(tar) as archive:
            assert archive.references == ["docker.io/library/it:1"]
            (variant,) = archive.images[0].variants
            with variant.layers[-1].open() as content, tarfile.open(fileobj=content) as layer:
                return variant.config["config"], {member.name: member for member in layer}

    return run


FILES = {"a.txt": "a", "b.txt": "b", "app/c.py": "c", "app/sub/d.py": "d", ".hidden": "h"}


@pytest.mark.parametrize(
    ("copy", "places"),
    [
        ("COPY a.txt /x", ["x"]),
        ("COPY a.txt /x/", ["x", "x/a.txt"]),
        ("COPY a.txt /tmp", ["tmp/a.txt"]),
        ("COPY a.txt .", ["a.txt"]),
        ("COPY ./a.txt /b.txt /x/", ["x", "x/a.txt", "x/b.txt"]),
        ("COPY *.txt /x/", ["x", "x/a.txt", "x/b.txt"]),
        ("COPY [ab].t?t .hid* /x/", ["x", "x/.hidden", "x/a.txt", "x/b.txt"]),
        ("COPY app /x", ["x", "x/c.py", "x/sub", "x/sub/d.py"]),
        ("COPY app/ /tmp", ["tmp/c.py", "tmp/sub", "tmp/sub/d.py"]),
        ("COPY app/*/d.py /x/y/", ["x", "x/y", "x/y/d.py"]),
        ("ADD a.txt /bin/", ["usr/bin/a.txt"]),
        ('COPY ["a.txt", "/with space"]', ["with space"]),
        ("WORKDIR /w\nWORKDIR v\nCOPY a.txt x", ["w", "w/v", "w/v/x"]),
        ("WORKDIR /bin\nCOPY a.txt .", ["usr/bin/a.txt"]),
    ],
)
def test_copied_files_lie_where_docker_puts_them(built: Build, copy: str, places: list[str]) -> None:
    _, layer = built(f"FROM base:1\n{copy}\n", FILES)
    assert sorted(layer) == places, "and no folder of the base is written anew, for it would lose its permissions"


def test_permissions_are_those_of_the_folder_or_of_the_options(built: Build, tmp_path: Path) -> None:
    write_files(tmp_path / "folder", {"run": "", "sub/x": ""})
    (tmp_path / "folder/run").chmod(0o751)
    (tmp_path / "folder/sub/link").symlink_to("../run")
    _, layer = built("FROM scratch\nCOPY run /1\nCOPY --chown=7 --chmod=600 run /2/\nCOPY --chown=7:8 sub /3\n")
    seen = {name: (entry.uid, entry.gid, oct(entry.mode)[2:], entry.mtime) for name, entry in layer.items()}
    assert seen == {
        "1": (0, 0, "751", 0),
        "2": (7, 7, "755", 0),
        "2/run": (7, 7, "600", 0),
        "3": (7, 8, "755", 0),
        "3/x": (7, 8, "644", 0),
        "3/link": (7, 8, "777", 0),
    }
    assert (layer["3/link"].type, layer["3/link"].linkname) == (tarfile.SYMTYPE, "../run")


def test_the_configuration_is_the_bases_with_what_the_dockerfile_says(built: Build) -> None:
    config, _ = built(
        "ARG BASE=base\n"
        "ARG OTHER=x\n"
        "# a comment\n"
        "FROM ${BASE}:1 AS only\n"
        "ARG TARGETARCH\n"
        "ARG NAME=arg OTHER\n"
        "env B=\"$A and ${NAME}\" C='$A' D=a\\ b E=${OTHER:-y} F=${A:+y}$ \\\n"
        "  # a comment between\n"
        "\n"
        "  G=${TARGETARCH:+known}\n"
        "ENV A own  value\n"
        'LABEL one=1 "two words"=2\n'
        "EXPOSE 80 53/UDP\n"
        "WORKDIR $C\n"
        "USER 5:6\n"
        'ENTRYPOINT ["/own", "$A"]\n'
    )
    assert config == {
        "Env": [
            "PATH=/bin", "A=own  value", "B=base and arg", "C=$A", "D=a b", "E=x", "F=y$", "G=known",
        ],
        "Labels": {"one": "1", "two words": "2"},
        "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
        "WorkingDir": "/$A",
        "User": "5:6",
        "Entrypoint": ["/own", "$A"],
        "Cmd": [],
    }  # fmt: skip


def test_a_command_without_brackets_is_run_by_the_shell_of_the_base(built: Build) -> None:
    config, _ = built("FROM base:1\nCOPY Dockerfile /\nCMD echo  $HOME \\\n  done\n")
    assert (config["Entrypoint"], config["Cmd"]) == (["/base"], ["/bin/sh", "-c", "echo  $HOME   done"])


def test_the_same_files_make_the_same_digest_whenever_and_wherever(tmp_path: Path) -> None:
    digests = set()
    for number, name in enumerate(("one", "two/deeper")):
        write_files(tmp_path / name, {**FILES, "Dockerfile": "FROM scratch\nCOPY . /\nENV A=1\nLABEL b=2 a=1\n"})
        os.utime(tmp_path / name / "a.txt", (number, number))
        digests.add(image_build.write(tmp_path / name, None, "it:1", tmp_path / "image.tar"))
    write_files(tmp_path / "one", {"a.txt": "changed"})
    digests.add(image_build.write(tmp_path / "one", None, "it:1", tmp_path / "image.tar"))
    assert len(digests) == 2


@pytest.mark.parametrize(
    ("rules", "kept"),
    [
        ("", [".hidden", "a.txt", "app", "app/c.py", "app/sub", "app/sub/d.py", "b.txt"]),
        ("*.py\n", [".hidden", "a.txt", "app", "app/c.py", "app/sub", "app/sub/d.py", "b.txt"]),
        ("**/*.py", [".hidden", "a.txt", "app", "app/sub", "b.txt"]),
        ("# comment\n\n/app/\n.*", ["a.txt", "b.txt"]),
        ("*\n!a*\n", ["a.txt", "app", "app/c.py", "app/sub", "app/sub/d.py"]),
        ("app\n!app/sub/d.py", [".hidden", "a.txt", "app", "app/sub", "app/sub/d.py", "b.txt"]),
        ("!b.txt\n?.txt", [".hidden", "app", "app/c.py", "app/sub", "app/sub/d.py"]),
        ("[^b].txt\napp/*/", [".hidden", "app", "b.txt"]),
        ("**d.py\n.hidden", ["a.txt", "app", "app/c.py", "app/sub", "b.txt"]),
    ],
)
def test_dockerignore_excludes_as_docker_does(tmp_path: Path, rules: str, kept: list[str]) -> None:
    write_files(tmp_path, {**FILES, ".dockerignore": rules})
    assert [path for path in Context(tmp_path).below(".") if path != ".dockerignore"] == kept


@pytest.mark.parametrize(
    ("dockerfile", "line", "complaint"),
    [
        ("FROM base:1\nRUN make", 2, "nothing is executed here, so RUN cannot be; do it before and COPY what it makes"),
        ("FROM base:1\nFROM scratch", 2, "an image is made in one stage here, so FROM comes once"),
        ("FROM base:1\nCOPY --from=x /a /b", 2, "COPY --from takes from another stage or image"),
        ("FROM base:1\n\nADD https://example.com/x /", 3, "nothing is fetched here; download https://example.com/x"),
        ("FROM base:1\nADD base.tar /", 2, "tars are not unpacked here; unpack base.tar before, and COPY its folder"),
        ("FROM base:1\nCOPY <<EOF /a\nx\nEOF", 2, "here-documents are not read here"),
        ("FROM base:1\nCOPY a.txt", 2, "COPY needs one or more sources and a target"),
        ("FROM base:1\nCOPY nothing /x", 2, "there is no nothing in "),
        ("FROM base:1\nCOPY ../../etc/passwd /x", 2, "there is no ../../etc/passwd in "),
        ("FROM base:1\nCOPY outside /x", 2, "folder/outside leads out of the folder, or nowhere"),
        ("FROM base:1\nCOPY a.txt b.txt /x", 2, "there are 2 sources, so the target has to be a folder: /x/"),
        ("FROM base:1\nCOPY a.txt /usr/bin/sh/", 2, "/usr/bin/sh is a file in the image, not a folder"),
        ("FROM base:1\nCOPY a.txt /loop/x", 2, "the links at /loop/x in the image lead in a circle"),
        ("FROM base:1\nCOPY --chown=me a.txt /x", 2, "--chown=me: give ids, as in --chown=1000:1000"),
        ("FROM base:1\nCOPY --chmod=u+x a.txt /x", 2, "--chmod=u+x: give an octal number"),
        ("FROM base:1\nCOPY --parents a.txt /x", 2, "COPY has no --parents here; there are --chown, --chmod"),
        ("FROM base:1\nCMD ['a']", 2, "['a'] is no list in JSON"),
        ("FROM scratch\nCOPY a.txt /\nCMD a", 3, "without brackets CMD needs /bin/sh, which the image does not have"),
        ("FROM base:1\nENV A=${B:?c}", 2, "'${B:?c}' is unknown"),
        ("FROM base:1\nENV A='b", 2, "a quotation mark ' has no end"),
        ("FROM base:1\nENV A=b c", 2, "'c' is not NAME=VALUE; a value with spaces stands in quotation marks"),
        ("FROM base:1\nEXPOSE web", 2, "'web' is no port"),
        ("FROM base:1\nVOLUME /x", 2, "VOLUME is not known here; there are FROM, ARG, COPY, ADD, ENV"),
        ("FROM base:1\nUSER", 2, "USER says nothing"),
        ("FROM not-there:1", 1, "there is no image docker.io/library/not-there:1 for linux/"),
        ("FROM Not/A/Name", 1, "'Not/A/Name' is no name of an image"),
        ("COPY a.txt /x\nFROM base:1", 1, "COPY comes before FROM"),
        ("# escape=`\nFROM base:1", 1, "another escape character than \\ is not known here"),
    ],
)
def test_what_cannot_be_done_is_said_with_file_and_line(
    built: Build, tmp_path: Path, dockerfile: str, line: int, complaint: str
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "outside").symlink_to("/etc/passwd")
    with tarfile.open(folder / "base.tar", "w") as tar:
        tar.add(folder / "outside")
    with pytest.raises(ThrowawayError) as raised:
        built(dockerfile, FILES)
    message = str(raised.value)
    assert message.startswith(f"{folder}/Dockerfile:{line}: ")
    assert complaint in message and "\n" not in message


def test_without_a_dockerfile_a_minimal_one_is_shown_and_it_can_be_built(built: Build, tmp_path: Path) -> None:
    with pytest.raises(ThrowawayError) as raised:
        image_build.write(tmp_path, None, "it:1", tmp_path / "image.tar")
    beginning, _, lines = str(raised.value).partition("a minimal one has the lines ")
    assert beginning == f"there is no Dockerfile {tmp_path}/Dockerfile; "
    minimal = lines.replace(", then ", "\n").replace("localhost/toolbox:1", "base:1")
    config, layer = built(minimal, {"run.sh": ""})
    assert (config["Cmd"], "app/run.sh" in layer) == (["sh", "/app/run.sh"], True)


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("hello", "docker.io/library/hello:latest"),
        ("hello:1", "docker.io/library/hello:1"),
        ("me/hello:1", "docker.io/me/hello:1"),
        ("localhost/hello", "localhost/hello:latest"),
        ("example.com:5000/a/b_c:1.0-x", "example.com:5000/a/b_c:1.0-x"),
        ("example.com/a@sha256:" + 64 * "0", "example.com/a@sha256:" + 64 * "0"),
    ],
)
def test_short_names_are_filled_in_as_kubernetes_does(name: str, full: str) -> None:
    assert references.full(name) == full
    assert references.is_pulled_always(name) == full.endswith(":latest")


@pytest.mark.parametrize("name", ["", "Hello", "a b", "a:", "a//b", "-a", "a@sha256:1"])
def test_what_is_no_name_of_an_image_is_refused(name: str) -> None:
    with pytest.raises(ThrowawayError, match="is no name of an image; one is NAME:TAG"):
        references.full(name)


def test_the_tar_that_is_written_is_none_of_the_images_files(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    digests = {image_build.write(tmp_path, None, "x:1", tmp_path / "image.tar") for _ in range(2)}
    assert len(digests) == 1


def test_a_tar_may_be_written_over_the_one_of_its_base(tmp_path: Path, base: Path) -> None:
    write_files(tmp_path / "folder", {"Dockerfile": "FROM base:1\nCOPY . /x\n"})
    image_build.write(tmp_path / "folder", None, "it:1", base, [base])
    with image_archive.opened(base) as archive:
        assert archive.references == ["docker.io/library/it:1"]
        assert len(archive.images[0].variants[0].layers) == 2
    assert sorted(os.listdir(tmp_path)) == ["base.tar", "folder"]


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    os.mkfifo(tmp_path / "image.tar")
    with pytest.raises(ThrowawayError, match=r"image\.tar is no file, so it is not replaced"):
        image_build.write(tmp_path, None, "x:1", tmp_path / "image.tar")


def test_a_dockerignore_that_is_no_text_is_said(tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").write_bytes(b"\xff")
    with pytest.raises(ThrowawayError, match=r"\.dockerignore is no text in UTF-8$"):
        Context(tmp_path)


def test_a_tar_into_no_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(ThrowawayError, match=r"image.tar cannot be written: there is no folder .*gone; make it first"):
        image_build.write(tmp_path, None, "x:1", tmp_path / "gone" / "image.tar")
