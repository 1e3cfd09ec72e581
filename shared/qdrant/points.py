"""Products as points, and back. Pure.

A live point carries its product's fields (those that are set), and beside them:

- `tenant` (every search and listing asks for it), `rev` (guards every write),
- `group_id` always, the product's own id if the shop named none, so that grouping needs no
  special case; `ungrouped` then says so, and the product reads back without a group,
- `image_sha256`, `image_etag`, `image_last_modified`: the picture behind the vector,
- `indexed_at` and `warnings`,
- `terms`: what filters compare of its strings and attributes (`shared/models/terms.py`),
- `paid_price`: what the shopper pays, if it has a price,
- `words`: the terms of its texts, by which searches by words tell who matches, and `codes`: its
  codes as they are compared (`shared/words/analyser.py`). The sparse vector `words` says how much
  each term counts,
- `awaits_picture` while the fields are those of `rev`, and `image_url`, the vector and the facts of
  its picture still those of before: the URL of the picture that is to come. The write that brings
  it carries the same `rev`.

A tombstone has no vector and no field of the product but `id` and `version`. It carries
`tombstone_of` instead of `tenant`, so the tenant filter alone hides it everywhere, without a
second condition that would cost each search its speed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol

from shared.models.change import State
from shared.models.product import ImageFacts, Product, StoredProduct, paid_price, point_id
from shared.models.terms import terms_of
from shared.qdrant.vectors import WORDS, VectorSet
from shared.words.sparse import SparseVector

TERMS: Final = "terms"
CODES: Final = "codes"
"""The payload's fields of them. The field of the words has their vector's name."""

Point = dict[str, Any]
"""A point as Qdrant's REST API takes it; its dense vectors are still numpy arrays."""

PAID_PRICE: Final = "paid_price"
"""The payload's field of what the shopper pays."""

ProductKey = tuple[str, str]
"""Tenant and product id."""

Payload = dict[str, Any]

_PRODUCT_FIELDS: Final = tuple(Product.model_fields)


class IndexedWords(NamedTuple):
    """A product's words in the index. `vector`: None if the stored one is to stay, because it is
    that of the same text.
    """

    terms: Sequence[str]
    codes: Sequence[str]
    vector: SparseVector | None


@dataclass(frozen=True, slots=True, eq=False)
class LivePoint:
    """A product to be searchable, with all dense vectors of the collection, L2-normalised.

    `rev` is in microseconds since 1970, `indexed_at` in ISO 8601. `after_fields`: whether it may
    follow fields that were written under this very rev. `words`: None leaves them to an upgrade of
    the index.
    """

    tenant: str
    product: Product
    rev: int
    vectors: VectorSet
    image: ImageFacts
    indexed_at: str
    warnings: Sequence[str] = ()
    after_fields: bool = False
    words: IndexedWords | None = None

    @property
    def key(self) -> ProductKey:
        return self.tenant, self.product.id


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A deleted product: it stays so that a late write still loses to its `rev`.

    `version` is the shop's own at the deletion, if it sends versions.
    """

    tenant: str
    product_id: str
    rev: int
    version: int | None = None

    @property
    def key(self) -> ProductKey:
        return self.tenant, self.product_id


@dataclass(frozen=True, slots=True)
class PayloadWrite:
    """A live product's fields anew, with the vector that is stored.

    It takes effect only if the stored picture still is `image.sha256`: what was decided about
    one picture must not be written beside the vector of another. `awaited_url`: of the
    product's own picture, which another write of the same rev is to bring. `after_fields`: whether
    this may be that write.
    """

    tenant: str
    product: Product
    rev: int
    image: ImageFacts
    indexed_at: str
    warnings: Sequence[str] = ()
    awaited_url: str | None = None
    after_fields: bool = False
    replaces: Mapping[str, Any] | None = None
    """The stored payload that was decided about, if it was read under the claim that this write
    ends. Then fields that are the same are not written, and nothing is if another write came in
    between."""
    words: IndexedWords | None = None
    """Without a vector only beside `replaces`: what else is stored may be of another text."""

    @property
    def key(self) -> ProductKey:
        return self.tenant, self.product.id


PointWrite = LivePoint | Tombstone | PayloadWrite


class StoredRev(NamedTuple):
    """The rev of a stored point. `awaits_picture`: whether only its fields are of that rev."""

    rev: int
    awaits_picture: bool

    def holds(self, rev: int) -> bool:
        """Whether the change of this rev, or a newer one, stands whole."""
        return self.rev > rev or (self.rev == rev and not self.awaits_picture)


@dataclass(frozen=True, slots=True)
class StoredPoint:
    """A product as the index holds it: the live product, or None for a tombstone."""

    rev: int
    version: int | None
    product: StoredProduct | None
    awaits_picture: bool = False
    """Whether only the fields are those of `rev`, and the picture is one from before."""

    def holds(self, rev: int) -> bool:
        """Whether the change of this rev, or a newer one, stands whole."""
        return StoredRev(self.rev, self.awaits_picture).holds(rev)

    @property
    def is_tombstone(self) -> bool:
        return self.product is None


class _Point(Protocol):
    @property
    def is_tombstone(self) -> bool: ...


def state_of(point: _Point | None) -> State:
    """Whether the index holds a product, only its tombstone, or nothing of it."""
    if point is None:
        return State.ABSENT
    return State.DELETED if point.is_tombstone else State.LIVE


@dataclass(frozen=True, slots=True)
class StoredEmbedding:
    """A live product's vector of its picture, of length 1, and the group it stands in."""

    embedding: Sequence[float]
    group_id: str


def highest_revs(writes: Sequence[PointWrite]) -> dict[ProductKey, PointWrite]:
    """One write per product, the one with the highest rev; of equal ones the last.

    Of two entries for one point in one operation Qdrant applies the last, whatever their revs.
    """
    chosen: dict[ProductKey, PointWrite] = {}
    for write in writes:
        rival = chosen.get(write.key)
        if rival is None or write.rev >= rival.rev:
            chosen[write.key] = write
    return chosen


def point_of(write: LivePoint | Tombstone) -> Point:
    """The whole point: all that is stored of it before goes."""
    if isinstance(write, Tombstone):
        return {"id": point_id(*write.key), "vector": {}, "payload": tombstone_payload(write)}
    return {
        "id": point_id(*write.key),
        "vector": {**write.vectors.as_json(), **words_vector(write.words)},
        "payload": live_payload(write),
    }


def words_vector(words: IndexedWords | None) -> dict[str, Any]:
    """The vector of the words under its name; nothing if there are none to write."""
    if words is None or words.vector is None:
        return {}
    return {WORDS: {"indices": words.vector.indices, "values": words.vector.values}}


def tombstone_payload(tombstone: Tombstone) -> Payload:
    payload: Payload = {
        "id": tombstone.product_id,
        "tombstone_of": tombstone.tenant,
        "rev": tombstone.rev,
    }
    if tombstone.version is not None:
        payload["version"] = tombstone.version
    return payload


def live_payload(point: LivePoint | PayloadWrite) -> Payload:
    product = point.product
    payload: Payload = product.model_dump(exclude_none=True)
    if product.created_at is not None:
        payload["created_at"] = product.created_at.isoformat()
    if product.group_id is None:
        payload |= {"group_id": product.id, "ungrouped": True}
    payload |= {
        "tenant": point.tenant,
        "rev": point.rev,
        "image_sha256": point.image.sha256,
        "indexed_at": point.indexed_at,
        "warnings": list(point.warnings),
        **derived(payload, point.words),
    }
    if isinstance(point, PayloadWrite) and point.awaited_url is not None:
        payload["awaits_picture"] = point.awaited_url
    if point.image.etag is not None:
        payload["image_etag"] = point.image.etag
    if point.image.last_modified is not None:
        payload["image_last_modified"] = point.image.last_modified
    return payload


def derived(fields: Mapping[str, Any], words: IndexedWords | None) -> Payload:
    """The part of a live point that searches look at and that follows from its product's fields."""
    made: Payload = {TERMS: terms_of(fields)}
    if words is not None:
        made |= {WORDS: words.terms, CODES: words.codes}
    paid = paid_price(fields)
    if paid is not None:
        made[PAID_PRICE] = paid
    return made


def stored_point(
    payload: Mapping[str, Any], embedding: Sequence[float] | None = None
) -> StoredPoint:
    """The product or tombstone of a retrieved point. `embedding` is None if it wasn't asked for."""
    product = stored_product(payload, embedding) if "tenant" in payload else None
    awaits_picture = "awaits_picture" in payload
    return StoredPoint(payload["rev"], payload.get("version"), product, awaits_picture)


def product_of(payload: Mapping[str, Any]) -> Product:
    """The product behind a live point's payload.

    It was validated when it was accepted, and rules may have become stricter since; so it is
    built as it stands.
    """
    fields = {name: payload[name] for name in _PRODUCT_FIELDS if name in payload}
    if "created_at" in fields:
        fields["created_at"] = datetime.fromisoformat(fields["created_at"])
    if payload.get("ungrouped"):
        del fields["group_id"]
    return Product.model_construct(**fields)


def stored_product(
    payload: Mapping[str, Any], embedding: Sequence[float] | None = None
) -> StoredProduct:
    """The product behind a live point's payload, with the facts of its picture."""
    return StoredProduct(
        product=product_of(payload),
        rev=payload["rev"],
        indexed_at=payload["indexed_at"],
        image=ImageFacts(
            payload["image_sha256"],
            payload.get("image_etag"),
            payload.get("image_last_modified"),
        ),
        warnings=tuple(payload.get("warnings", ())),
        embedding=embedding,
        payload=payload,
    )
