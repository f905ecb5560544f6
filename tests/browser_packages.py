"""The programs by which proofs press keys in real browsers; as a program, installs them as root on Debian."""

import os
import platform
import shutil

from throwaway import ThrowawayError
from throwaway.requirements import apt_get_install

PACKAGES = {"Xvfb": "xvfb", "xdotool": "xdotool", "chromium": "chromium", "firefox-esr": "firefox-esr"}
"""Program → Debian's package."""


def missing() -> list[str]:
    """The packages that are not installed."""
    return [package for program, package in PACKAGES.items() if not shutil.which(program)]


def main() -> None:
    """Install what is missing where that is possible; elsewhere the proofs that need it are skipped, and say so."""
    packages = missing()
    if not packages or os.getuid() != 0 or not _is_debian():
        return
    print(f"installing {' '.join(packages)}", flush=True)
    try:
        apt_get_install(packages)
    except ThrowawayError as error:
        print(f"no proofs in browsers: {error}")


def _is_debian() -> bool:
    """Ubuntu has other packages: its browsers come as snaps, which cannot be run in a cluster's network."""
    try:
        return platform.freedesktop_os_release()["ID"] == "debian"
    except OSError:
        return False


if __name__ == "__main__":
    main()
