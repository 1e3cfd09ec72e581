"""Faults of a request in plain words: pydantic's errors, one per field."""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError, with_config
from typing_extensions import TypedDict

from shared.models.version import NOW

M = TypeVar("M", bound=BaseModel)

MAX_FAULTS: Final = 32
"""Faults named per item; a product has some twenty fields, so only garbage has more."""

_FIELD_LENGTH: Final = 200
"""Names of unknown fields are echoed up to this length."""

_UNKNOWN: Final = "is not a known field"

_TEXT: Final = ("text_query", "q")
_IMAGE: Final = ("image", "image_base64", "image_url")
_OTHER_NAMES: Final = {
    "q": _TEXT,
    "text_query": _TEXT,
    "query": _TEXT,
    "text": _TEXT,
    "image": _IMAGE,
    "image_base64": _IMAGE,
    "file": _IMAGE,
    "picture": _IMAGE,
    "limit": ("top_k",),
    "title": ("name",),
    "product_id": ("id",),
}
"""Names that other requests and other shops' systems use, and the fields here in their order.

A search's fields are called differently in a JSON document, in a URL and in a form.
"""

_SLIP_LENGTH: Final = 64
"""Longer names are no known field's with a slip of the pen."""

_SLIPS: Final = 3
"""Unknown fields of one item that are compared with known ones: in batches it adds up."""

_MESSAGES: Final = {
    "missing": "is required",
    "extra_forbidden": _UNKNOWN,
    "model_type": "must be a JSON object",
    "dict_type": "must be a JSON object",
    "datetime_parsing": "must be an ISO 8601 date-time string",
    "datetime_from_date_parsing": "must be an ISO 8601 date-time string",
}

_CODE_OF_UNION: Final = {
    "attributes": "attribute_type",
    "category_filter": "string_type",
    "brand_filter": "string_type",
    "additional_image_urls": "url_type",
}
"""Fields that take one of several types: pydantic reports each type's refusal, people want one."""
_MESSAGE_OF_UNION: Final = {
    "attribute_type": "must be a string, a number, a boolean or a list of strings",
    "string_type": "must be a string or a list of strings",
    "url_type": "must be a list of URLs",
    "number_type": "must be a number",
}

_NULL: Final = "must not be null"

_PHRASES: Final = (
    ("Input should be", "must be"),
    ("String should have", "must have"),
    ("Dictionary should have", "must have"),
    ("List should have", "must have"),
)


@with_config(use_attribute_docstrings=True)
class Fault(TypedDict):
    """One thing wrong with a request."""

    field: str
    """The field or parameter, such as `attributes.color`; empty for the document as a whole."""
    code: str
    """A stable name of the fault, for programs."""
    message: str
    """The fault in words for people."""


class Invalid(Exception):
    """Data that the model refuses."""

    def __init__(self, faults: Sequence[Fault], raised: int) -> None:
        super().__init__(f"{len(faults)} faults")
        self.faults = faults
        self.raised = raised
        """Errors that pydantic raised for them: the cost of the refusal."""


def validated(model: type[M], data: object) -> M:
    """The data as a model. Raises `Invalid` with every fault."""
    try:
        return model.model_validate(data, context={NOW: time.time()})
    except ValidationError as err:
        raised, found = err.error_count(), faults(err, _names(model))
    if isinstance(data, Mapping) and any(f["code"] == "embedding_not_accepted" for f in found):
        # That rule speaks before the fields are looked at; the rest may have faults as well.
        rest = {name: value for name, value in data.items() if name != "embedding"}
        try:
            model.model_validate(rest, context={NOW: time.time()})
        except ValidationError as err:
            raised, found = raised + err.error_count(), [*found, *faults(err, _names(model))]
    raise Invalid(found[:MAX_FAULTS], raised)


def _names(model: type[BaseModel]) -> Collection[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def unknown_field(name: str, known: Collection[str]) -> Fault:
    """The fault of a name that is none of the known ones. It names the one that is near, if any."""
    message, near = _UNKNOWN, None
    here = next((other for other in _OTHER_NAMES.get(name, ()) if other in known), None)
    if here:
        message = f"is called {here} here"
    elif len(name) <= _SLIP_LENGTH:
        near = _near(name, tuple(known))
    if near:
        message = f"{_UNKNOWN}; did you mean {near}?"
    return Fault(field=name[:_FIELD_LENGTH], code="extra_forbidden", message=message)


# A shop that slips does so in each of its products.
@lru_cache(maxsize=1024)
def _near(name: str, known: tuple[str, ...]) -> str | None:
    # Few slip at the first letter, and comparing with all fields takes five times as long.
    alike = [each for each in known if each[:1] == name[:1].lower()]
    return next(iter(get_close_matches(name.lower(), alike, n=1)), None)


def faults(error: ValidationError, known: Collection[str] = ()) -> list[Fault]:
    """One fault per field, in the order of the model's fields. `known`: these fields' names."""
    details = error.errors(include_url=False)
    by_field: dict[str, list[tuple[str, str]]] = {}
    unions: set[str] = set()
    nulls: set[str] = set()
    for detail in details:
        location, code = detail["loc"], str(detail["type"])
        # Our rules for a whole object name their field in pydantic's context.
        field = detail.get("ctx", {}).get("field") or _field(location)
        if len(location) > field.count(".") + 1:
            unions.add(field)
        # What stands in a list, or for the whole document, is no field's own null.
        if location and detail["input"] is None and code.endswith("_type"):
            nulls.update([] if _in_list(location) else [field])
        by_field.setdefault(field, []).append((code, detail["msg"]))
    named = [
        _fault(field, found, union=field in unions, null=field in nulls)
        for field, found in list(by_field.items())[:MAX_FAULTS]
    ]
    for fault in [fault for fault in named if fault["code"] == "extra_forbidden"][:_SLIPS]:
        fault["message"] = unknown_field(fault["field"], known)["message"]
    return named


def _field(location: Sequence[str | int]) -> str:
    """The field without the names pydantic gives to a union's members."""
    depth = 2 if location[:1] == ("attributes",) else 1
    # A key's own dots would read as another level.
    return ".".join(str(part).replace(".", "·") for part in location[:depth])[:_FIELD_LENGTH]


def _in_list(location: Sequence[str | int]) -> bool:
    return any(isinstance(part, int) for part in location)


def _fault(field: str, found: Iterable[tuple[str, str]], *, union: bool, null: bool) -> Fault:
    fault = _described(field, list(found), union=union)
    if null:
        fault["message"] = _NULL
    return fault


def _described(field: str, found: Sequence[tuple[str, str]], *, union: bool) -> Fault:
    telling = [(code, message) for code, message in found if not code.endswith("_type")]
    if union and not telling:
        code = _CODE_OF_UNION.get(field.split(".", maxsplit=1)[0], "number_type")
        return Fault(field=field, code=code, message=_MESSAGE_OF_UNION[code])
    code, message = (telling or found)[0]
    return Fault(field=field, code=code, message=_MESSAGES.get(code) or _plain(message))


def _plain(message: str) -> str:
    for pydantics, ours in _PHRASES:
        message = message.replace(pydantics, ours)
    return message
