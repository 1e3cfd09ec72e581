"""Answers other than success, in Qdrant's words and status codes."""


class Refusal(Exception):
    """A request that isn't carried out; `status` is the HTTP status of the answer."""

    def __init__(self, status: int, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_after = retry_after


def malformed(message: str) -> Refusal:
    """The body isn't what the operation takes."""
    return Refusal(400, f"Format error in JSON body: {message}")


def invalid(message: str) -> Refusal:
    """The body has the form, and values that don't go together."""
    return Refusal(422, f"Validation error in JSON body: {message}")


def wrong_input(message: str) -> Refusal:
    """The body doesn't fit the collection."""
    return Refusal(400, f"Wrong input: {message}")


def no_such_collection(name: str) -> Refusal:
    return Refusal(404, f"Not found: Collection `{name}` doesn't exist!")


def not_served(operation: str) -> Refusal:
    """A real Qdrant may well do this; the embedded server doesn't."""
    return Refusal(501, f"Not implemented by the embedded server: {operation}")


def disk_full() -> Refusal:
    """A write would leave too little room to go on, or to start again."""
    return Refusal(503, "Service unavailable: no space left on the disk of DATA_DIR", retry_after=5)


def busy() -> Refusal:
    """More requests wait than the engine should have before it."""
    return Refusal(503, "Service unavailable: too many requests wait for the engine", retry_after=1)


def too_late() -> Refusal:
    """The request's time ran out before its turn came."""
    return Refusal(408, "Timeout error: the request's time ran out while it waited")


def bad_parameter(name: str, value: str) -> Refusal:
    """A parameter of the URL that the operation can't take."""
    return Refusal(400, f"Deserialize error in query parameters: {name} can't be {value!r}")
