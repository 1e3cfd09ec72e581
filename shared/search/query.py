"""A search with its pictures at hand. Pure."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from shared.errors import QueryPictureFault
from shared.models.change import Aspect
from shared.models.search.hits import QueryType
from shared.models.search.requests import Ranking, SearchRequest, SimilarRequest


@dataclass(frozen=True, slots=True)
class QueryPicture:
    """A picture's file, and the field of the request that it came by."""

    field: Literal["image_url", "image_base64"]
    data: bytes
    sha256: str

    @classmethod
    def of(cls, field: Literal["image_url", "image_base64"], data: bytes) -> "QueryPicture":
        """The picture with its digest."""
        return cls(field, data, hashlib.sha256(data).hexdigest())


@dataclass(frozen=True, slots=True)
class Query:
    """All that an answer depends on, but for the index itself."""

    ranking: Ranking
    query_type: QueryType
    text: str | None
    pictures: tuple[QueryPicture, ...]
    product_id: str | None
    leaves_out_group: bool
    """Whether the product and its group are no results."""

    @classmethod
    def of_search(cls, request: SearchRequest, pictures: Sequence[QueryPicture]) -> "Query":
        """The query of a request, whose pictures have been fetched."""
        return cls(
            ranking=request,
            query_type=request.query_type,
            text=request.normalised_text(),
            pictures=tuple(pictures),
            product_id=request.product_id,
            leaves_out_group=False,
        )

    @classmethod
    def of_similar(cls, request: SimilarRequest) -> "Query":
        """A query for other products that look like one."""
        return cls(
            ranking=request,
            query_type="product",
            text=None,
            pictures=(),
            product_id=request.product_id,
            leaves_out_group=True,
        )

    def own(self, fault: QueryPictureFault) -> QueryPictureFault:
        """The fault by the field of this query that has the picture: whoever asks the same at
        once shares a computation, and may have given the picture in another one.
        """
        fields = (each.field for each in self.pictures if each.sha256 == fault.sha256)
        return QueryPictureFault(next(fields, fault.field), fault.fault, fault.sha256)

    def ranks_by(self) -> frozenset[Aspect]:
        """The parts that decide which products answer, and in which order: not what they show."""
        ranking = self.ranking
        aspects = {Aspect.MEMBERSHIP}
        if ranking.category_filter is not None:
            aspects.add(Aspect.CATEGORY)
        if ranking.price_min is not None or ranking.price_max is not None:
            aspects.add(Aspect.PRICE)
        if ranking.attributes:
            aspects.add(Aspect.ATTRIBUTES)
        return frozenset(aspects)

    def normalised(self) -> Mapping[str, object]:
        """The same for all queries that have the same answer, however they were written.

        A picture counts by its content, not by where it came from.
        """
        ranking = self.ranking
        return {
            "text": self.text,
            "pictures": sorted(picture.sha256 for picture in self.pictures),
            "product_id": self.product_id,
            "leaves_out_group": self.leaves_out_group,
            "top_k": ranking.top_k,
            "offset": ranking.offset,
            # 20 and 20.0 ask for the same.
            "price_min": _float(ranking.price_min),
            "price_max": _float(ranking.price_max),
            "min_score": _float(ranking.min_score),
            "terms": ranking.terms(),
        }


def _float(number: int | float | None) -> float | None:
    return None if number is None else float(number)
