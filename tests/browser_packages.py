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
    if not packages or os.getuid() != 0 or platform.freedesktop_os_release().get("ID") != "debian":
        return
    print(f"installing {' '.join(packages)}", flush=True)
    try:
        apt_get_install(packages)
    except ThrowawayError as error:
        print(f"no proofs in browsers: {error}")


if __name__ == "__main__":
    main()
