"""Send the export of a Korean CRM: each customer is stored as the service documents it, or named with what is wrong."""

import csv
import json
import logging
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, Final

import pytest

from samples import make
from tests.command import SERVICE, TOKEN, books_of
from uploader.cli import main
from uploader.sandbox import Profile, Sandbox

pytestmark = [pytest.mark.slow, pytest.mark.no_cover]

SAMPLES: Final = Path(__file__).parents[2] / "samples"
REGISTERED: Final = ("--set", "registered=registered.yaml")
WITHOUT_A_WAIT: Final = ("--set", "rate.per=1s")
ENVIRON: Final = {"DFINERY_SERVICE_ID": SERVICE, "DFINERY_ACCESS_TOKEN": TOKEN}
REASONS: Final = {number: reason for number, (_, reason) in make.CRM_BROKEN.items()} | {
    make.CRM_CUT_OFF: "the record has 10 fields where the header has 20"
}
CUSTOMERS: Final = tuple(make.crm_customers(make.Dice(make.CRM_SEED)))
SENDABLE: Final = [each for number, each in enumerate(CUSTOMERS, start=1) if number not in REASONS]


@dataclass(frozen=True, slots=True)
class Delivered:
    """What came of the export: exit statuses and messages of check and dry run, the summary, and what is stored."""

    check: int
    checked: str
    run: int
    ran: str
    summary: Mapping[str, Any]
    profiles: Sequence[Profile]
    retry: str


@pytest.fixture(scope="module", params=["by hand", "by init"])
def delivered(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Delivered]:
    """Check the export, and send it to the sandbox, by the configuration of the samples or by what `init` wrote."""
    folder = tmp_path_factory.mktemp("crm")
    for name in ("crm_export.csv", "registered.yaml"):
        shutil.copy(SAMPLES / name, folder)
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "by hand":
            shutil.copy(SAMPLES / "crm_config.yaml", folder / "config.yaml")
        else:
            assert _type(patch, folder, "init", "crm_export.csv")[0] == 0
        yield _delivered(patch, folder)


def _delivered(patch: pytest.MonkeyPatch, folder: Path) -> Delivered:
    """Check and send `crm_export.csv` of *folder*, with nothing changed but where the registered properties stand."""
    profiles: list[Profile] = []
    close = Sandbox.close

    def keep_and_close(box: Sandbox) -> None:
        profiles.extend(box.profiles())
        close(box)

    patch.setattr(Sandbox, "close", keep_and_close)
    patch.setattr(tempfile, "tempdir", str(folder))
    check, checked = _type(patch, folder, "check", "crm_export.csv", *REGISTERED)
    run, ran = _type(
        patch, folder, "run", "crm_export.csv", *REGISTERED, *WITHOUT_A_WAIT, "--sandbox", "--summary", "summary.json"
    )
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    retry = (folder / summary["retry_file"]).read_text(encoding="cp949") if summary.get("retry_file") else ""
    return Delivered(check, checked, run, ran, summary, profiles, retry)


def _type(patch: pytest.MonkeyPatch, folder: Path, *words: str) -> tuple[int, str]:
    """Run the command in *folder*; return its exit status and what it said to people."""
    patch.chdir(folder)
    patch.setattr("sys.argv", ["uploader", *words])
    for name, value in ENVIRON.items():
        patch.setenv(name, value)
    said = StringIO()
    with redirect_stderr(said), pytest.raises(SystemExit) as ended:
        main()
    logging.getLogger("uploader").handlers.clear()
    assert isinstance(ended.value.code, int)
    return ended.value.code, said.getvalue()


def test_every_customer_who_can_be_sent_is_stored_as_the_service_documents_it(delivered: Delivered) -> None:
    stored = _sorted((profile.identity, profile.properties) for profile in delivered.profiles)

    assert stored == _sorted((customer.identity, customer.properties) for customer in SENDABLE)


def test_every_other_row_is_rejected_and_nothing_that_was_sent_is_dropped(delivered: Delivered) -> None:
    assert (delivered.check, delivered.run) == (3, 3), delivered.checked + delivered.ran
    assert books_of(delivered.summary) == {"sent": len(SENDABLE), "rejected": len(REASONS)}
    assert "NOT STORED" not in delivered.ran


@pytest.mark.parametrize("number", sorted(REASONS))
def test_the_check_names_each_rejected_row_with_what_was_expected(delivered: Delivered, number: int) -> None:
    named = re.escape(REASONS[number])

    assert re.search(rf"^  {named}.*: row {number} \(line \d+\)$", delivered.checked, re.MULTILINE), delivered.checked


def test_the_retry_file_has_the_rejected_rows_and_no_others(delivered: Delivered) -> None:
    rows = list(csv.DictReader(StringIO(delivered.retry)))

    assert [(int(row["_row"]), row["_kind"]) for row in rows] == [(number, "rejected") for number in sorted(REASONS)]
    assert [row["_row"] for row in rows if not row["_reason"]] == []


def test_the_export_holds_every_kind_of_trouble_that_it_is_made_for() -> None:
    """A change of the script that loses one of them would let the tests above say less."""
    cells = [customer.cells for customer in CUSTOMERS]
    kinds = {
        "phone with dashes": _count(cells, "휴대폰", r"010-\d{4}-\d{4}"),
        "phone with spaces": _count(cells, "휴대폰", r"010 \d{4} \d{4}"),
        "phone with country code": _count(cells, "휴대폰", r"\+82 10-\d{4}-\d{4}|82\(0\)10-\d{4}-\d{4}"),
        "phone without its zero": _count(cells, "휴대폰", r"10\d{8}"),
        "number of the shop": _count(cells, "휴대폰", r"02-555-0100"),
        "placeholder for an address": _count(cells, "이메일", r"none@none\.com"),
        "word for nothing as an address": _count(cells, "이메일", r"NULL|N/A|-"),
        "space around an address": _count(cells, "이메일", r"\s\S+|\S+\s"),
        "space around an id": _count(cells, "회원번호", r"\s\d{8}|\d{8}\s"),
        "customer without an id": _count(cells, "회원번호", ""),
        "gender in Korean": _count(cells, "성별", r"남|여"),
        "birth date with points": _count(cells, "생년월일", r"\d{4}\.\d\d\.\d\d"),
        "birth date with dashes": _count(cells, "생년월일", r"\d{4}-\d\d-\d\d"),
        "birth date in digits": _count(cells, "생년월일", r"\d{8}"),
        "birth date of a year of two digits": _count(cells, "생년월일", r"\d\d\.\d\d\.\d\d"),
        "amount with its unit": _count(cells, "누적구매금액", r"[\d,]+원"),
        "amount behind a won sign": _count(cells, "누적구매금액", r"￦ ?[\d,]+"),
        "time of the afternoon": _count(cells, "가입일시", r"[\d-]+ 오후 \d+:\d\d:\d\d"),
        "word for nothing": sum(_count(cells, column, r"NULL|-") for column in ("생년월일", "적립금", "최근방문일시")),
        "list": _count(cells, "관심분야", r"\w+\|.*"),
        "line end within a cell": _count(cells, "메모", r".*\n.*"),
        "refused consent": _count(cells, "야간푸시수신동의", "N"),
    }

    assert {kind: count for kind, count in kinds.items() if count <= make.CRM_CUSTOMERS // 100} == {}
    assert len(CUSTOMERS) == make.CRM_CUSTOMERS


def _count(rows: Iterable[Mapping[str, str]], column: str, form: str) -> int:
    return sum(re.fullmatch(form, row[column]) is not None for row in rows)


def _sorted(people: Iterable[tuple[Mapping[str, str], Mapping[str, object]]]) -> list[str]:
    """Return *people* as texts, in which a `1` differs from a `1.0` and from a `true`."""
    return sorted(json.dumps(person, ensure_ascii=False, sort_keys=True) for person in people)
