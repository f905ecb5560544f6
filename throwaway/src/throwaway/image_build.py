"""Builds an image from a folder and a Dockerfile, as far as nothing in it has to be executed.

The same folder makes the same bytes. Where this and Docker could differ, it says so in an error, with file and line.
"""

import copy
import platform
import posixpath
import re
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from throwaway import build, dockerfile, image_archive, images, references
from throwaway.dockerfile import DockerfileError, Instruction
from throwaway.errors import ThrowawayError
from throwaway.image_archive import Archived, Layer, Variant
from throwaway.image_context import Context
from throwaway.image_tree import Tree
from throwaway.requirements import ARCHITECTURES

_MINIMAL = 'FROM localhost/toolbox:1, then COPY . /app, then CMD ["sh", "/app/run.sh"]'
_ELSEWHERE = "or build the image elsewhere and 'throwaway load' it"
_REFUSED = {
    "RUN": f"nothing is executed here, so RUN cannot be; do it before and COPY what it makes, {_ELSEWHERE}",
    "HEALTHCHECK": "Kubernetes does not read HEALTHCHECK; give the container probes and leave it out",
}


def write(folder: Path, file: Path | None, reference: str, tar: Path, bases: Sequence[Path] = ()) -> str:
    """Build the image `reference` from a folder, and write it as a tar; returns its digest.

    `file` is the Dockerfile, by default the one in the folder. FROM finds images in the tars `bases`, too. The tar may
    lie in the folder, without being one of the image's files. Raises `ThrowawayError` for what is not there or cannot
    be done here.
    """
    if "@" in reference:
        raise ThrowawayError(f"{reference} has a digest, which is found out when the image is made; give NAME:TAG")
    if not folder.is_dir():
        raise ThrowawayError(f"there is no folder {folder}")
    if not tar.parent.is_dir():
        raise ThrowawayError(f"{tar} cannot be written: there is no folder {tar.parent}; make it first")
    if tar.exists() and not tar.is_file():
        raise ThrowawayError(f"{tar} is no file, so it is not replaced; choose another one")
    found = file or folder / "Dockerfile"
    if not found.is_file():
        raise ThrowawayError(f"there is no Dockerfile {found}; a minimal one has the lines {_MINIMAL}")
    instructions = dockerfile.parse(found)
    if not any(instruction.name == "FROM" for instruction in instructions):
        raise ThrowawayError(f"{found} has no FROM; a minimal Dockerfile has the lines {_MINIMAL}")
    with ExitStack() as opened:
        building = _Building(
            Context(folder.resolve(), but_for=tar.resolve()), lambda name: _find_base(name, bases, opened)
        )
        for instruction in instructions:
            building.carry_out(instruction)
        return images.write(building.image(references.full(reference)), tar)


def _find_base(name: str, bases: Sequence[Path], opened: ExitStack) -> Variant:
    """The image called so for this machine, in one of the tars or among those that each cluster has."""
    reference, wanted = references.full(name), f"linux/{ARCHITECTURES[platform.machine()]}"
    archived = [image for tar in bases for image in opened.enter_context(image_archive.opened(tar)).images]
    built = build.find()
    own = images.images(built.bin) if built else []
    if all(image.reference != reference for image in archived):
        archived += [_archived(image, opened) for image in own if image.reference == reference]
    for variant in [variant for image in archived if image.reference == reference for variant in image.variants]:
        if variant.platform == wanted:
            return variant
    there = ", ".join(["scratch", *(image.reference for image in archived), *(image.reference for image in own)])
    raise ThrowawayError(
        f"there is no image {reference} for {wanted} here; there are {there}; another one is given by --base IMAGE.tar"
    )


def _archived(image: images.Image, opened: ExitStack) -> Archived:
    folder = opened.enter_context(tempfile.TemporaryDirectory(prefix="throwaway-"))
    images.write(image, Path(folder, "base.tar"))
    (archived,) = opened.enter_context(image_archive.opened(Path(folder, "base.tar"))).images
    return archived


class _Building:
    """An image as it comes to be, instruction by instruction."""

    def __init__(self, context: Context, find_base: Callable[[str], Variant]) -> None:
        self._context = context
        self._find_base = find_base
        self._has_begun = False
        self._base: tuple[Layer, ...] = ()
        self._tree = Tree()
        self._config: dict[str, Any] = {"Env": [f"PATH={images.PATH}"], "WorkingDir": "/"}
        architecture = ARCHITECTURES[platform.machine()]
        self._known_arguments = {
            "TARGETOS": "linux",
            "TARGETARCH": architecture,
            "TARGETPLATFORM": f"linux/{architecture}",
        }
        self._arguments: dict[str, str] = {}
        self._has_cmd = False
        self._shells: dict[str, Instruction] = {}

    def carry_out(self, instruction: Instruction) -> None:
        """Do what an instruction says; raises `ThrowawayError` where that cannot be done."""
        known = {
            "FROM": self._from,
            "ARG": self._arg,
            "COPY": self._copy,
            "ADD": self._copy,
            "ENV": self._env,
            "LABEL": self._label,
            "ENTRYPOINT": self._entrypoint,
            "CMD": self._cmd,
            "WORKDIR": self._workdir,
            "USER": self._user,
            "EXPOSE": self._expose,
        }
        if reason := _REFUSED.get(instruction.name):
            raise instruction.error(reason)
        if instruction.name not in known:
            raise instruction.error(f"{instruction.name} is not known here; there are {', '.join(known)}; {_ELSEWHERE}")
        if not instruction.rest:
            raise instruction.error(f"{instruction.name} says nothing")
        if not self._has_begun and instruction.name not in ("FROM", "ARG"):
            raise instruction.error(f"{instruction.name} comes before FROM")
        try:
            known[instruction.name](instruction)
        except DockerfileError:
            raise
        except ThrowawayError as error:
            raise instruction.error(str(error)) from None

    def image(self, reference: str) -> images.Image:
        """What has come to be."""
        for instruction in self._shells.values():
            if self._tree.kind(self._tree.real("/bin/sh")) != "file":
                raise instruction.error(
                    f"without brackets {instruction.name} needs /bin/sh, which the image does not have;"
                    f' write it as in {instruction.name} ["/program", "--option"]'
                )
        return images.Image(reference, tuple(self._tree.own.values()), config=self._config, base=self._base)

    @property
    def _folder(self) -> str:
        return self._config.get("WorkingDir") or "/"

    @property
    def _variables(self) -> dict[str, str]:
        environment = dict(each.split("=", 1) for each in self._config.get("Env") or [])
        return self._arguments | environment

    def _from(self, instruction: Instruction) -> None:
        if self._has_begun:
            raise instruction.error(
                f"an image is made in one stage here, so FROM comes once; keep the last, {_ELSEWHERE}"
            )
        self._has_begun = True
        flags, instruction = instruction.flags()
        words = instruction.words(self._arguments)
        if flags or len(words) not in (1, 3) or (len(words) == 3 and words[1].upper() != "AS"):
            raise instruction.error("FROM is followed by the name of an image and nothing else here")
        # Those before FROM are for FROM only, and for an ARG of the same name that says no value.
        self._known_arguments |= self._arguments
        self._arguments.clear()
        if words[0] == "scratch":
            return
        base = self._find_base(words[0])
        self._tree.add_layers(base.layers)
        self._base = base.layers
        self._config = copy.deepcopy(base.config.get("config") or {})

    def _arg(self, instruction: Instruction) -> None:
        for word in instruction.words(self._variables):
            name, equals, value = word.partition("=")
            self._arguments[name] = value if equals else self._known_arguments.get(name, "")

    def _copy(self, instruction: Instruction) -> None:
        flags, instruction = instruction.flags()
        owner, mode = _owner(instruction, flags.pop("chown", "")), _mode(instruction, flags.pop("chmod", ""))
        if "from" in flags:
            raise instruction.error(
                f"COPY --from takes from another stage or image, which is not done here, {_ELSEWHERE}"
            )
        if flags:
            raise instruction.error(f"{instruction.name} has no --{next(iter(flags))} here; there are --chown, --chmod")
        if "<<" in instruction.rest:
            raise instruction.error("here-documents are not read here; write the text to a file and COPY that")
        *patterns, target = instruction.words(self._variables) or [""]
        if not patterns:
            raise instruction.error(f"{instruction.name} needs one or more sources and a target")
        sources = [source for pattern in patterns for source in self._sources(instruction, pattern)]
        place = self._tree.real(posixpath.join(self._folder, target))
        is_into = target.endswith("/") or self._tree.kind(place) == "folder"
        if len(sources) > 1 and not is_into:
            raise instruction.error(f"there are {len(sources)} sources, so the target has to be a folder: {target}/")
        for source in sources:
            content = self._context.followed(source)
            if (self._context.folder / content).is_dir():
                self._copy_folder(content, place, owner, mode)
            else:
                into = posixpath.join(place, posixpath.basename(source)) if is_into else place
                self._tree.add(self._context.entry(content, into, owner, mode))

    def _sources(self, instruction: Instruction, pattern: str) -> list[str]:
        if re.match(r"https?://|git@|git://", pattern):
            raise instruction.error(f"nothing is fetched here; download {pattern} before and COPY it")
        found = self._context.matching(pattern)
        if not found:
            raise instruction.error(
                f"there is no {pattern} in {self._context.folder}, or .dockerignore excludes it;"
                " sources are named from this folder on"
            )
        for source in found:
            path = self._context.folder / source
            if instruction.name == "ADD" and path.is_file() and tarfile.is_tarfile(path):
                raise instruction.error(f"tars are not unpacked here; unpack {source} before, and COPY its folder")
        return found

    def _copy_folder(self, source: str, place: str, owner: tuple[int, int], mode: int | None) -> None:
        """Copy what is in a folder, not the folder itself."""
        self._tree.add_folder(place, owner)
        for path in self._context.below(source):
            self._tree.add(
                self._context.entry(path, posixpath.join(place, posixpath.relpath(path, source)), owner, mode)
            )

    def _env(self, instruction: Instruction) -> None:
        found = dict(each.split("=", 1) for each in self._config.get("Env") or []) | self._pairs(instruction)
        self._config["Env"] = [f"{name}={value}" for name, value in found.items()]

    def _label(self, instruction: Instruction) -> None:
        self._config["Labels"] = (self._config.get("Labels") or {}) | self._pairs(instruction)

    def _pairs(self, instruction: Instruction) -> dict[str, str]:
        """NAME=VALUE …, or the older form NAME VALUE, where the value is all of the rest."""
        name, *rest = instruction.rest.split(None, 1)
        if "=" not in name:
            if not rest:
                raise instruction.error(f"{instruction.name} {name} has no value; write {name}=VALUE")
            return {name: instruction.word(self._variables, rest[0])}
        pairs = {}
        for word in instruction.words(self._variables):
            name, equals, value = word.partition("=")
            if not name or not equals:
                raise instruction.error(f"{word!r} is not NAME=VALUE; a value with spaces stands in quotation marks")
            pairs[name] = value
        return pairs

    def _entrypoint(self, instruction: Instruction) -> None:
        self._config["Entrypoint"] = self._command(instruction)
        if not self._has_cmd:
            self._config["Cmd"] = []  # the base's belongs to the base's entrypoint

    def _cmd(self, instruction: Instruction) -> None:
        self._has_cmd = True
        self._config["Cmd"] = self._command(instruction)

    def _command(self, instruction: Instruction) -> list[str]:
        self._shells.pop(instruction.name, None)
        if (listed := instruction.listed()) is not None:
            return listed
        self._shells[instruction.name] = instruction
        return ["/bin/sh", "-c", instruction.rest]

    def _workdir(self, instruction: Instruction) -> None:
        folder = posixpath.join(self._folder, instruction.word(self._variables))
        self._config["WorkingDir"] = posixpath.normpath(folder)
        self._tree.add_folder(self._tree.real(folder), (0, 0))

    def _user(self, instruction: Instruction) -> None:
        self._config["User"] = instruction.word(self._variables)

    def _expose(self, instruction: Instruction) -> None:
        ports: dict[str, dict[str, str]] = {}
        for word in instruction.words(self._variables):
            found = re.fullmatch(r"(\d+)(?:/(tcp|udp|sctp))?", word.lower())
            if not found:
                raise instruction.error(f"{word!r} is no port; write one as in 8080 or 53/udp")
            ports[f"{found[1]}/{found[2] or 'tcp'}"] = {}
        self._config["ExposedPorts"] = (self._config.get("ExposedPorts") or {}) | ports


def _owner(instruction: Instruction, text: str) -> tuple[int, int]:
    if not text:
        return 0, 0
    found = re.fullmatch(r"(\d+)(?::(\d+))?", text)
    if not found:
        raise instruction.error(f"--chown={text}: give ids, as in --chown=1000:1000; names are not looked up here")
    return int(found[1]), int(found[2] or found[1])


def _mode(instruction: Instruction, text: str) -> int | None:
    if not text:
        return None
    if not re.fullmatch(r"[0-7]{3,4}", text):
        raise instruction.error(f"--chmod={text}: give an octal number, as in --chmod=755")
    return int(text, 8)
