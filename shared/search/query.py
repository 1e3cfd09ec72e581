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
        filtered_on = self.ranking.filtered_on()
        # All attributes of products are one aspect, whatever their names.
        of_filters = {Aspect(attribute.partition(".")[0]) for attribute in filtered_on}
        return frozenset({Aspect.MEMBERSHIP, *of_filters})

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
            "min_score": None if ranking.min_score is None else float(ranking.min_score),
            "filters": [condition.normalised() for condition in ranking.conditions()],
        }
