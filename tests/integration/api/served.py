"""The API as gunicorn serves it in tests: real but for the encoder, which loads for seconds."""

from api.app import create_app
from api.bootstrap import build_parts
from shared.ledger.connection import SOCKET_TIMEOUT_SECONDS
from shared.settings import get_settings
from tests.integration.api.conftest import services_on

_services, _ = services_on(get_settings(), "products-served", SOCKET_TIMEOUT_SECONDS)
_services.qdrant.ensure_collection(["color"])

app = create_app(build_parts(_services))
