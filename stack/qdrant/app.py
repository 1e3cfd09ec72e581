"""The HTTP side: routes, bodies, and answers in Qdrant's shape."""

import asyncio
import hmac
import time
from concurrent.futures import Future
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from shared.loopback import is_loopback
from stack.qdrant.endpoints import ENDPOINTS, WRITES, Call, Endpoint
from stack.qdrant.engine import Engine
from stack.qdrant.refusals import Refusal, disk_full, malformed, not_served, wrong_input
from stack.reserve import Reserve

log = structlog.get_logger(__name__)

_CLIENT_CLOSED: Final = 499
"""Nobody reads this answer. nginx's status for it."""

MAX_BODY_BYTES: Final = 32 * 2**20  # Qdrant's own default


def build_app(engine: Engine, reserve: Reserve, api_key: str | None) -> Starlette:
    """The whole server, answering from the given engine, and with a key to its holders alone.

    `reserve`: of the disk that it writes to.
    """
    routes = [
        Route(path, _handler(endpoint, engine, reserve, api_key), methods=[method])
        for method, path, endpoint in ENDPOINTS
    ]
    # A route with methods=["GET"] answers HEAD too; everything that no route takes is named.
    return Starlette(
        routes=[
            *routes,
            Route("/readyz", _ready, methods=["GET"]),
            Route("/{path:path}", _unserved, methods=_ALL_METHODS),
        ]
    )


_ALL_METHODS: Final = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"]


def _handler(endpoint: Endpoint, engine: Engine, reserve: Reserve, api_key: str | None) -> Any:
    async def handle(request: Request) -> Response:
        began = time.perf_counter()
        try:
            _check_key(request, api_key)
            call = await _call(request)
            if endpoint in WRITES:
                _check_disk_space(reserve, call.body_bytes)
            future = engine.submit(endpoint(call), call.timeout)
            result = await _unless_gone(request, future)
        except Exception as error:  # whatever fails is answered, none closes the connection
            return _refused(_refusal_for(error), began)
        elapsed = time.perf_counter() - began
        return _json(200, {"result": result, "status": "ok", "time": elapsed})

    return handle


async def _unless_gone(request: Request, future: Future[Any]) -> Any:
    """The work's result. Work that hasn't begun is given up once its caller has hung up."""
    waiting = asyncio.wrap_future(future)
    # The body has been read, so nothing but its end can come from the connection.
    gone = asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait({waiting, gone}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
    if not waiting.done():
        waiting.cancel()  # takes the work along, unless it has begun
        raise Refusal(_CLIENT_CLOSED, "the caller has hung up")
    return waiting.result()


async def _call(request: Request) -> Call:
    _check_origin(request)
    body = await _body(request)
    parsed = None
    if body:
        if not request.headers.get("content-type", "").startswith("application/json"):
            # Qdrant asks for it too; it also keeps web pages from posting without a preflight.
            raise Refusal(400, "Content type error")
        try:
            parsed = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise malformed(str(error)) from error
    return Call(
        collection=request.path_params.get("collection", ""),
        parameters=request.query_params,
        body=parsed,
        body_bytes=len(body),
        field=request.path_params.get("field", ""),
        vector=request.path_params.get("vector", ""),
    )


def _check_key(request: Request, api_key: str | None) -> None:
    if api_key is None:
        return
    # Both headers that Qdrant takes.
    bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
    presented = request.headers.get("api-key", bearer)
    if not hmac.compare_digest(presented.encode("latin-1"), api_key.encode("utf-8")):
        raise Refusal(401, "Must provide an API key or an Authorization bearer token")


def _check_disk_space(reserve: Reserve, body_bytes: int) -> None:
    if not reserve.has_room(body_bytes):
        raise disk_full()


def _check_origin(request: Request) -> None:
    # A web page may point a name of its own at loopback; then it is this header that tells.
    if not is_loopback(urlsplit(f"//{request.headers.get('host', '')}").hostname):
        raise Refusal(403, "Forbidden: this server answers to loopback names only")


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise Refusal(413, f"Payload is larger than allowed (limit: {MAX_BODY_BYTES} bytes)")
    return bytes(body)


def _refusal_for(error: Exception) -> Refusal:
    if isinstance(error, Refusal):
        return error
    if isinstance(error, TypeError | ValueError | OverflowError):
        # The engine's constructors check the values; only their first line is for people.
        return malformed(str(error).partition("\n")[0])
    if type(error) is Exception and not str(error).startswith("Service"):
        return wrong_input(str(error))  # how the engine reports what doesn't fit the collection
    log.error("request_failed", exc_info=error)
    return Refusal(500, f"Service internal error: {error}")


def _refused(refusal: Refusal, began: float) -> Response:
    response = _json(
        refusal.status,
        {"status": {"error": refusal.message}, "time": time.perf_counter() - began},
    )
    if refusal.retry_after is not None:
        response.headers["Retry-After"] = str(refusal.retry_after)
    return response


def _json(status: int, content: object) -> Response:
    encoded = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(encoded, status, media_type="application/json")


async def _ready(_request: Request) -> Response:
    # The port opens after every collection is open, so whoever gets here finds them ready.
    return PlainTextResponse("all shards are ready")


async def _unserved(request: Request) -> Response:
    operation = f"{request.method} {request.url.path}"
    return _refused(not_served(operation), time.perf_counter())
