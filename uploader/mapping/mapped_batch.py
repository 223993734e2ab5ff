"""Hold what the mapping made of the table of a batch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from uploader.mapping.cleaning import Repairs

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True)
class MappedBatch:
    """The rows of a table that can be sent as they are, and what is sent for each.

    *good* is, for each row of the table, whether the plan makes a request of it about which nothing is to be said: no
    reason to reject it, no warning, no value left out. Of the others nothing is known here; the plan maps them one by
    one. *identity* holds a column of texts for each identity field, in the order of the mapping, null where the row has
    no such value. *bodies* are the bodies up to their `request_datetime`, with the quote that begins its value, and
    *moments* its values where a column gives it (None: it is the time of the request). *repairs* counts what the
    cleaning changed in good rows.
    """

    good: "pl.Series"
    identity: "pl.DataFrame"
    bodies: "pl.Series"
    moments: "pl.Series | None"
    repairs: Repairs
