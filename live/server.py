"""Jupyter's server, as little of it as pages need: their kernels, by a token, and the pages' sessions.

Its handlers for files, terminals, notebooks and logins are left out, and so is what the account has configured for
other Jupyter servers. A token is sent with each request by the page's own script; no cookie is believed, since
browsers send those along with whatever another site asks for, and to each other port of the same machine.
"""

import contextlib
import os
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager, NoSuchKernel
from jupyter_server.auth.identity import IdentityProvider
from jupyter_server.base.handlers import APIHandler
from jupyter_server.serverapp import ServerApp
from jupyter_server.services.kernels.handlers import default_handlers
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, HTTPError, StaticFileHandler, authenticated
from traitlets import Unicode
from traitlets.config import Config

from live.guard import Guard, NotShared
from live.namespaces import has_lab
from live.pages import Pages, page_at
from live.site import Site
from throwaway.errors import ThrowawayError

ROOT = Path(__file__).parents[1]


class TokenOnly(IdentityProvider):
    """Knows readers by the token alone, and checks the Origin of those, too."""

    def get_user_cookie(self, handler: Any) -> None:
        """No cookie is believed."""

    def set_login_cookie(self, handler: Any, user: Any) -> None:
        """None is set."""

    def should_check_origin(self, handler: Any) -> bool:
        """Jupyter lets any site ask that has the token; here none may."""
        return True


class InCluster(KernelSpecManager):
    """Knows one kind of kernel: that of pages, in the cluster's network."""

    cluster = Unicode("throwaway", config=True)

    def find_kernel_specs(self) -> dict[str, str]:
        """The only one."""
        return {"page": ""}

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """How it is started."""
        if kernel_name != "page":
            raise NoSuchKernel(kernel_name)
        kernel = [sys.executable, "-m", "live.kernel", "-f", "{connection_file}"]
        scratch = os.environ["JUPYTER_RUNTIME_DIR"]
        return KernelSpec(
            argv=[sys.executable, "-m", "throwaway", "shell", f"--name={self.cluster}", "--", *kernel],
            # Kubernetes' client leaves the key in a temporary file if the kernel is killed, as by Reset.
            env={"PYTHONPATH": str(ROOT), "LIVE_SCRATCH": scratch, "TMPDIR": scratch},
            display_name="Page",
            language="python",
        )


class Server(ServerApp):
    """Makes what handlers need, and has none itself."""

    default_services = ()  # type: ignore[assignment]  # it would be a tuple of just as many

    def init_signal(self) -> None:
        """Signals are for the program that serves."""


class OfPage(APIHandler):
    """Something of the page whose path is the argument `page`, as in `/kubernetes/resources/services/`."""

    def initialize(self, pages: Pages) -> None:
        """Take the sessions."""
        self._pages = pages

    def _page(self) -> Path:
        page = page_at(self.get_query_argument("page"))
        if page is None:
            raise HTTPError(404, "there is no such page")
        return page


class PageHandler(OfPage):
    """A page's session."""

    @authenticated
    async def get(self) -> None:
        """What it has on the cluster."""
        await self.finish(await self._pages.state(self._page()))

    @authenticated
    async def post(self) -> None:
        """Begin it, unless it has begun."""
        try:
            await self.finish(await self._pages.open(self._page()))
        except ThrowawayError as error:
            raise HTTPError(503, str(error)) from None

    @authenticated
    async def delete(self) -> None:
        """End it, and delete what it made."""
        await self.finish({"left": await self._pages.reset(self._page())})


class LabHandler(OfPage):
    """A page's lab."""

    @authenticated
    async def post(self, act: str) -> None:
        """Start, check or stop it."""
        page = self._page()
        if not has_lab(page):
            raise HTTPError(404, "this page has no lab")
        try:
            await self.finish(await self._pages.do_with_lab(page, act))
        except ThrowawayError as error:
            raise HTTPError(503, str(error)) from None


@contextlib.asynccontextmanager
async def serving(
    port: int, site_port: int, token: str, client: Path, cluster: str, options: Sequence[str], scratch: Path
) -> AsyncIterator[None]:
    """Serve the site and its kernels on loopback; at the end nothing of the kernels is left.

    `client` is the folder with the browser's half, `options` are for `throwaway up` if the cluster ends meanwhile.
    `scratch` is an empty folder with a short path, since sockets lie there.
    """
    for kind in ("RUNTIME", "CONFIG", "DATA"):
        os.environ[f"JUPYTER_{kind}_DIR"] = str(scratch)
    os.environ["JUPYTER_NO_CONFIG"] = "1"
    app = Server(config=_config(token, cluster, scratch))
    app.initialize(argv=[], find_extensions=False, new_httpserver=False)
    kernel_manager: Any = app.kernel_manager
    pages = Pages(kernel_manager, cluster, options, scratch)
    kernels: list[Any] = [(f"/live{pattern}", handler) for pattern, handler in default_handlers]
    own: list[Any] = [
        (r"/live/api/page", PageHandler, {"pages": pages}),
        (r"/live/api/lab/(start|check|stop)", LabHandler, {"pages": pages}),
        (r"/live/(page\.js|page\.css)", StaticFileHandler, {"path": str(client)}),
        (r"/(?!live/).*", Site, {"port": site_port}),
    ]
    settings = {name: value for name, value in app.web_app.settings.items() if name != "static_path"}
    web = Application([*kernels, *own], transforms=[NotShared], **settings)
    server = HTTPServer(Guard(web, [f"127.0.0.1:{port}", f"localhost:{port}"]))
    server.add_sockets(bind_sockets(port, "127.0.0.1"))
    try:
        yield
    finally:
        server.stop()
        await pages.close()
        await kernel_manager.shutdown_all(now=True)


def _config(token: str, cluster: str, scratch: Path) -> Config:
    config = Config()
    config.ServerApp.base_url = "/live/"
    config.ServerApp.ip = "127.0.0.1"
    config.ServerApp.allow_root = True  # it opens nothing that root's own shell has not
    config.ServerApp.root_dir = str(scratch)
    config.ServerApp.identity_provider_class = TokenOnly
    config.ServerApp.kernel_spec_manager_class = InCluster
    config.ServerApp.log_level = "ERROR"
    config.IdentityProvider.token = token
    config.InCluster.cluster = cluster
    # A kernel that has died is told of, and not replaced: it would know nothing of what had run. One that was being
    # replaced just when its session ended was left behind.
    config.AsyncIOLoopKernelRestarter.restart_limit = 0
    config.KernelManager.transport = "ipc"  # kernels have another loopback than this server
    config.MappingKernelManager.default_kernel_name = "page"
    return config
