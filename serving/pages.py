"""/docs and /redoc without a CDN: their scripts come from a package, through this server."""

from functools import cache
from importlib.resources import files

from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from serving.contract import Refusal

_ASSETS = {
    "/docs/swagger-ui-bundle.js": "text/javascript",
    "/docs/swagger-ui.css": "text/css",
    "/docs/redoc.standalone.js": "text/javascript",
    "/docs/favicon.png": "image/png",
}
PATHS = ("/docs", "/redoc", *_ASSETS)


class Pages:
    """The handler of all of them."""

    def __init__(self, title: str, openapi_url: str | None) -> None:
        self._title = title
        self._openapi_url = openapi_url or ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._page(scope["path"])(scope, receive, send)

    def _page(self, path: str) -> Response:
        if path == "/docs":
            return get_swagger_ui_html(
                openapi_url=self._openapi_url,
                title=self._title,
                swagger_js_url="/docs/swagger-ui-bundle.js",
                swagger_css_url="/docs/swagger-ui.css",
                swagger_favicon_url="/docs/favicon.png",
            )
        if path == "/redoc":
            return get_redoc_html(
                openapi_url=self._openapi_url,
                title=self._title,
                redoc_js_url="/docs/redoc.standalone.js",
                redoc_favicon_url="/docs/favicon.png",
                with_google_fonts=False,
            )
        if path not in _ASSETS:
            raise Refusal(404, "not_found", "Not Found")
        return Response(_asset(path.rpartition("/")[2]), media_type=_ASSETS[path])


@cache
def _asset(name: str) -> bytes:
    return (files("fastapi_offline") / "static" / name).read_bytes()
