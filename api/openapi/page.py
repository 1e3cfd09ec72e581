"""`/openapi.json`, and `/docs`: Swagger UI from the installed package, from no other host."""

from functools import lru_cache
from importlib import resources
from typing import Final

from flask import Blueprint, Response
from pydantic_core import to_json

from api.openapi.document import document
from api.responses.problems import Problem

# Swagger UI puts style attributes into its markup, hence the one relaxation.
_PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'"
)

_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>Vitrine API</title>
  <link rel="icon" href="data:,">
  <link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
  <div id="page"><p>The description itself is <a href="openapi.json">openapi.json</a>.</p></div>
  <script src="docs/swagger-ui-bundle.js"></script>
  <script src="docs/start.js"></script>
</body>
</html>
"""

_START: Final = """SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#page",
  deepLinking: true,
  validatorUrl: null
});
"""

_SHIPPED: Final = {
    "swagger-ui.css": ("css/swagger-ui.css", "text/css"),
    "swagger-ui-bundle.js": ("js/swagger-ui-bundle.js", "text/javascript"),
}

_SHIPPED_SECONDS: Final = 3600


@lru_cache
def _serialised(*, keys_needed: bool) -> bytes:
    """Made once a process: it takes a few hundred milliseconds."""
    return to_json(document(keys_needed=keys_needed))


class Documentation:
    """The API's description, for programs and for people."""

    def __init__(self, *, keys_needed: bool) -> None:
        self._document = _serialised(keys_needed=keys_needed)

    def blueprint(self) -> Blueprint:
        """The routes."""
        blueprint = Blueprint("documentation", __name__)
        blueprint.get("/openapi.json")(self.openapi)
        blueprint.get("/docs")(self.page)
        blueprint.get("/docs/<name>")(self.asset)
        return blueprint

    def openapi(self) -> Response:
        """The OpenAPI 3.1 document."""
        return Response(self._document, content_type="application/json")

    def page(self) -> Response:
        """The page."""
        return Response(
            _PAGE,
            content_type="text/html; charset=utf-8",
            headers={"Content-Security-Policy": _PAGE_POLICY},
        )

    def asset(self, name: str) -> Response:
        """What the page loads."""
        if name == "start.js":
            return Response(_START, content_type="text/javascript; charset=utf-8")
        if name not in _SHIPPED:
            raise Problem(404, "not_found", "there is no such page")
        path, media_type = _SHIPPED[name]
        folder = resources.files("flask_openapi3_swagger") / "templates" / "swagger"
        return Response(
            (folder / path).read_bytes(),
            content_type=f"{media_type}; charset=utf-8",
            headers={"Cache-Control": f"max-age={_SHIPPED_SECONDS}"},
        )
