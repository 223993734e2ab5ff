"""A table of identities becomes the same bodies as its rows."""

from tests.batches import text_batch
from uploader.endpoints import IDENTITIES
from uploader.mapping import compile_plan
from uploader.mapping.columnar_plan import columnar_plan
from uploader.mapping.rules import IdentityRule, MappingRules
from uploader.model import Rejected

NOW = "2024-06-24T06:42:25.394Z"
RULES = MappingRules((IdentityRule("external_id", "id"), IdentityRule("email", "mail")))
ROWS = [{"id": '"7"', "mail": "a@x.kr"}, {"id": "2", "mail": ""}, {"id": "", "mail": "b@x.kr"}, {"id": "", "mail": ""}]


def test_a_table_of_identities_becomes_the_bodies_of_its_rows() -> None:
    plan = compile_plan(RULES, endpoint=IDENTITIES, source="s", config="c", columns=None)
    columnar = columnar_plan(plan, "text", {})
    assert not isinstance(columnar, str)
    batch = text_batch(ROWS)

    mapped = columnar.map_batch(batch)

    works = [plan.map_row(batch.row(at), NOW) for at in range(len(ROWS))]
    assert mapped.good.to_list()[1:] == [True, True, False]
    for work, good, body in zip(works, mapped.good, mapped.bodies, strict=True):
        assert not good or (not isinstance(work, Rejected) and IDENTITIES.complete(body.encode(), NOW) == work.body)
    assert isinstance(works[-1], Rejected)
