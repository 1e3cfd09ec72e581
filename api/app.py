"""The app factory."""

import structlog
from flask import Flask

from api.access.auth import key_ring, protect
from api.access.browsers import register_cors, register_hosts
from api.access.rates import SEARCH, WRITE, RateLimiter
from api.access.slots import WaitingRoom, shares
from api.intake import Intake
from api.metrics import Metrics
from api.openapi.page import Documentation
from api.request_log import register_edge
from api.resources.health import Health, readiness_of
from api.resources.index_watch import IndexWatch
from api.resources.indexing import Indexing
from api.resources.jobs import JobResource
from api.resources.products import ProductIdConverter, Products
from api.resources.search import Searching
from api.responses.answers import PREFIX
from api.responses.landing import Landing
from api.responses.problems import register_problems
from api.services import Services


def create_app(services: Services) -> Flask:
    """The API on these services. Raises where it would be open to the network without keys."""
    keys = key_ring(services.settings)
    if keys and (exposure := keys.exposure()):
        structlog.get_logger("api").warning("keys_file_exposed", reason=exposure)
    # Flask would serve a folder of static files at /static.
    app = Flask("api", static_folder=None)
    # Ids may hold slashes anywhere, and a redirect would lose the body.
    app.url_map.merge_slashes = False
    app.url_map.converters["product_id"] = ProductIdConverter
    register_edge(app)
    register_problems(app)
    register_cors(app, services.settings)
    if keys is None:
        register_hosts(app, services.settings)

    rates = RateLimiter(
        services.settings.redis_cache_url,
        {
            SEARCH: services.settings.rate_limit_search,
            WRITE: services.settings.rate_limit_write,
        },
    )
    intake = Intake(services.ledger, services.doorbell, rates)
    share = shares(services.settings.api_threads)
    held = WaitingRoom(share.held)
    waiting = WaitingRoom(share.waiting, held)
    batches = WaitingRoom(share.waiting, held)
    pictures = WaitingRoom(services.settings.api_picture_queries, held)
    landing = Landing(services.jobs, waiting)
    for resource in (
        Indexing(intake, landing, batches),
        Products(services.ledger, services.qdrant, intake, landing),
        JobResource(services.jobs, intake, waiting),
        Searching(services.search, pictures),
    ):
        app.register_blueprint(protect(resource.blueprint(), keys, rates), url_prefix=PREFIX)

    index = IndexWatch(services.qdrant.facts)
    for open_resource in (
        Health(
            readiness_of(services),
            Metrics(services.ledger, services.qdrant.collection, index),
            index,
            lambda: services.ledger.is_lost(services.qdrant.collection),
            lambda: keys is not None and keys.exposure() is not None,
        ),
        Documentation(keys_needed=keys is not None),
    ):
        blueprint = open_resource.blueprint()
        app.register_blueprint(blueprint, url_prefix=PREFIX, name=f"{blueprint.name}_v1")
        # Probes and scrapers find them at the root, whatever version the API will have.
        app.register_blueprint(blueprint)
    return app
