"""Real browsers in real windows, driven by key presses: Chromium and Firefox under Xvfb, with xdotool."""

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from proofs.world import wait_for

PRIVATE = {"Chromium": "ctrl+shift+n", "Firefox": "ctrl+shift+p"}
"""Each browser, and the keys that open a private window in it."""

_QUIET = {
    "app.update.enabled": "false",
    "browser.aboutwelcome.enabled": "false",
    "browser.shell.checkDefaultBrowser": "false",
    "browser.startup.page": "0",
    "datareporting.policy.dataSubmissionEnabled": "false",
    "network.captive-portal-service.enabled": "false",
    "network.connectivity-service.enabled": "false",
    "startup.homepage_welcome_url": '"about:blank"',
    "toolkit.telemetry.reportingpolicy.firstRun": "false",
}
"""Firefox's preferences that keep it from asking, and from calling home. How it connects is left as it is."""
_CHROMIUM = (
    "chromium",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-gpu",
    "--password-store=basic",
    "--no-sandbox",  # which needs rights that root in a namespace has not; only our own pages are shown
)


@dataclass
class Browser:
    """A browser that runs."""

    name: str
    """`Chromium` or `Firefox`."""
    environment: dict[str, str]
    """In which its windows are."""
    window: str = ""
    """The id of the one that has the focus."""

    def press(self, keys: str) -> None:
        """Press keys together, as in `ctrl+shift+r`, in the window that has the focus."""
        self._xdotool("windowfocus", self.window, "key", "--clearmodifiers", keys)

    def type_address(self, url: str) -> None:
        """Type an address into the address bar, and press Enter."""
        self.press("ctrl+l")
        self._xdotool("type", "--clearmodifiers", "--delay", "5", url)
        self.press("Return")

    def open_tab(self) -> None:
        """Open a tab by its keys, and wait until it is there."""
        shown = self.title()
        self.press("ctrl+t")
        self._settle(shown)

    def open_window(self, keys: str) -> None:
        """Open a window by its keys, and give it the focus, as a window manager would."""
        before, shown = self._windows(), self.title()
        self.press(keys)
        self.focus(before)
        self._settle(shown)

    def focus(self, before: frozenset[str] = frozenset()) -> None:
        """Have key presses go to a window that was not there before, as soon as there is one."""
        (self.window, *_) = wait_for(lambda: self._windows() - before, f"{self.name} opens a window")
        self._xdotool("windowfocus", "--sync", self.window)

    def _settle(self, shown: str) -> None:
        """Wait until something else is shown, and has been for half a second.

        Chromium's new tabs are called `New Tab`, then `Untitled` while they are being loaded, then `New Tab` again.
        What is typed before is lost. If loading is so quick that it is not seen, three seconds have to do.
        """
        titles = [shown] * 5

        def is_settled() -> bool:
            time.sleep(0.1)
            titles.append(self.title())
            if titles[-1].startswith("New Tab") and len(titles) < 30:
                return titles[-1] == titles[-5] and any(title.startswith("Untitled") for title in titles)
            return shown not in titles[-5:] and len(set(titles[-5:])) == 1

        wait_for(is_settled, f"{self.name} shows something else than {shown}")

    def title(self) -> str:
        """The title of the window that has the focus."""
        return self._xdotool("getwindowname", self.window).strip()

    def _windows(self) -> frozenset[str]:
        """The ids of all windows with a title."""
        return frozenset(self._xdotool("search", "--onlyvisible", "--name", ".+").split())

    def _xdotool(self, *arguments: str) -> str:
        done = subprocess.run(
            ["xdotool", *arguments], env=self.environment, capture_output=True, text=True, timeout=30, check=False
        )
        return done.stdout  # `search` fails when it finds nothing


@contextlib.contextmanager
def running(name: str, url: str) -> Iterator[Browser]:
    """A browser with a profile of its own, which shows a page; nothing of it is left."""
    with tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True) as home, _display() as display:
        # Without what the developer's own desktop has set, where windows would open otherwise.
        environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": home, "DISPLAY": display}
        profile = Path(home, "profile")
        if name == "Firefox":
            profile.mkdir()
            preferences = [f'user_pref("{key}", {value});' for key, value in _QUIET.items()]
            (profile / "user.js").write_text("\n".join(preferences))
            command = ["firefox-esr", "--no-remote", "--profile", str(profile), url]
        else:
            command = [*_CHROMIUM, f"--user-data-dir={profile}", url]
        nowhere = subprocess.DEVNULL
        with subprocess.Popen(
            command, env=environment, stdout=nowhere, stderr=nowhere, start_new_session=True
        ) as process:
            try:
                browser = Browser(name, environment)
                browser.focus()
                yield browser
            finally:
                os.killpg(process.pid, signal.SIGKILL)


def version(name: str) -> str:
    """The first number of a browser's version, as in `156`."""
    program = "firefox-esr" if name == "Firefox" else "chromium"
    printed = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    return next(word.split(".")[0] for word in printed.split() if word[0].isdigit())


@contextlib.contextmanager
def _display() -> Iterator[str]:
    """A display that nobody sees; yields its name, as in `:0`."""
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1280x900x24", "-nolisten", "tcp"]
    with subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL) as process:
        os.close(writing)
        try:
            with os.fdopen(reading) as said:
                yield f":{said.readline().strip()}"
        finally:
            process.terminate()
