"""The app factory."""

from collections.abc import Iterable
from typing import get_type_hints

from flask import Flask

from api.access.auth import protect
from api.access.browsers import register_cors, register_hosts
from api.bootstrap import OpenResources, Parts, TenantResources
from api.openapi.describe import routes_of
from api.request_log import register_request_log
from api.resources.products import ProductIdConverter
from api.responses.answers import PREFIX
from api.responses.problems import register_problems


def create_app(parts: Parts) -> Flask:
    """The API with these parts."""
    app = _empty_app()
    register_request_log(app)
    register_problems(app)
    register_cors(app, parts.settings)
    if parts.keys is None:
        register_hosts(app, parts.settings)
    for resource in vars(parts.of_tenants).values():
        blueprint = protect(routes_of(resource), parts.keys, parts.rates)
        app.register_blueprint(blueprint, url_prefix=PREFIX)
    _register_open(app, vars(parts.open).values())
    return app


def described_app() -> Flask:
    """An app that has all routes and answers none, because it has no parts."""
    app = _empty_app()
    for resource in get_type_hints(TenantResources).values():
        app.register_blueprint(routes_of(resource), url_prefix=PREFIX)
    _register_open(app, get_type_hints(OpenResources).values())
    return app


def _empty_app() -> Flask:
    # Flask would serve a folder of static files at /static.
    app = Flask("api", static_folder=None)
    # Ids may hold slashes anywhere, and a redirect would lose the body.
    app.url_map.merge_slashes = False
    app.url_map.converters["product_id"] = ProductIdConverter
    return app


def _register_open(app: Flask, resources: Iterable[object]) -> None:
    for resource in resources:
        blueprint = routes_of(resource)
        # Probes and scrapers find them at the root, whatever version the API will have.
        app.register_blueprint(blueprint)
        app.register_blueprint(blueprint, url_prefix=PREFIX, name=f"{blueprint.name}_v1")
