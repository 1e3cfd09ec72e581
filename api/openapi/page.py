"""`/openapi.json`, and `/docs`: Swagger UI from the installed package, from no other host."""

from importlib import resources
from typing import Final

from flask import Response, current_app

from api.openapi.describe import Operation, text_answer
from api.openapi.document import document
from api.openapi.examples import PICTURES
from api.requests.bodies import JSON
from api.responses.answers import PREFIX, json_line
from api.responses.headers import POLICY, STYLED_PAGE_POLICY
from api.responses.problems import Problem

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

_START: Final = f"""const read = (path) => fetch(path)
  .then((answer) => (answer.ok ? answer.json() : null))
  .catch(() => null);

Promise.all([read("openapi.json"), read("{PREFIX}/products?limit=1")]).then(([spec, page]) => {{
  const product = page && page.products[0];
  const picture = (name, value) =>
    product && String(value).startsWith("{PICTURES}/") ? product.image_url : value;
  SwaggerUIBundle({{
    spec: JSON.parse(JSON.stringify(spec, picture)),
    dom_id: "#page",
    deepLinking: true,
    validatorUrl: null
  }});
}});
"""
"""Examples take the picture of a product that is there, if reading one needs no key: that picture
can be fetched for certain, in the demo also without a network."""

_SHIPPED: Final = {
    "swagger-ui.css": ("css/swagger-ui.css", "text/css"),
    "swagger-ui-bundle.js": ("js/swagger-ui-bundle.js", "text/javascript"),
}

_SHIPPED_SECONDS: Final = 3600


_OPENAPI: Final = {"description": "OpenAPI 3.1.", "content": {JSON: {"schema": {"type": "object"}}}}


class DocumentationResource:
    """The API's description, for programs and for people."""

    def __init__(self, *, keys_needed: bool) -> None:
        self._keys_needed = keys_needed
        self._document = b""

    @Operation("GET", "/openapi.json", {200: _OPENAPI}, is_open=True)
    def read_description(self) -> Response:
        """Read this document.

        Programs can make a client of it.
        """
        # Made at the first request, once all routes are there: it takes a tenth of a second.
        self._document = self._document or json_line(
            document(current_app, keys_needed=self._keys_needed)
        )
        return Response(self._document, content_type=JSON)

    @Operation(
        "GET", "/docs", {200: text_answer("A page to try requests out.", "text/html")}, is_open=True
    )
    def read_page(self) -> Response:
        """Read this document as a page.

        Requests can be tried out there.
        """
        return Response(
            _PAGE,
            content_type="text/html; charset=utf-8",
            headers={POLICY: STYLED_PAGE_POLICY},
        )

    @Operation("GET", "/docs/<name>", {}, is_open=True, is_hidden=True)
    def read_page_part(self, name: str) -> Response:
        """Read a script or a style of the page."""
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
