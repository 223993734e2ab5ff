"""Write the sample files: made-up customers as CSV, JSON lines and Parquet, and others as a Korean CRM exports them."""

import argparse
import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from random import Random
from typing import TypeAlias, TypeVar

import polars as pl

Cells: TypeAlias = dict[str, str]
"""One row as CSV writes it: column → text, empty for nothing."""

ROWS = 3000
SEED = 20240305
COLUMNS = (
    "user_id",
    "name",
    "email",
    "phone",
    "gender",
    "birth",
    "age",
    "score",
    "vip",
    "joined",
    "tags",
    "membership",
    "push_optin",
    "sms_ads_optin",
    "night_ads_optin",
    "updated_at",
)
IDENTITY = ("user_id", "email", "phone")

BROKEN_CELLS: Mapping[int, Cells] = {
    150: {"night_ads_optin": "maybe"},
    480: {"age": "thirty"},
    777: {"birth": "20230230"},
    1024: dict.fromkeys(IDENTITY, ""),
    1500: {"joined": "last spring"},
    1999: {"score": "12,5"},
    2800: {"push_optin": "글쎄"},
}
"""The rows, counted from 1, that are wrong on purpose, and what stands in them."""

CUT_OFF = 2345
"""The row that ends too early: it lacks fields in CSV, is cut in the middle in JSONL and names nobody in Parquet."""

CRM_CUSTOMERS = 500
CRM_SEED = 20260401
CRM_BROKEN: Mapping[int, tuple[Cells, str]] = {
    37: ({"생년월일": "1990.02.30"}, "column '생년월일' → df_birth: not a date ("),
    88: ({"휴대폰": "010-123-45"}, "column '휴대폰' → phone_no: not a phone number of Korea (phone: KR)"),
    129: ({"성별": "서울"}, "column '성별' → df_gender: not one of values ("),
    170: ({"누적구매금액": "12,34원"}, "column '누적구매금액': not a whole number (thousands: ',')"),
    211: ({"문자수신동의": "확인중"}, "column '문자수신동의' → df_sms_ads_optin: neither true nor false"),
    252: ({"가입일시": "작년 봄"}, "column '가입일시': not a date and time ("),
    293: ({"이메일": "minjun.kim@"}, "column '이메일' → email: "),
    334: ({"방문횟수": "많음"}, "column '방문횟수': not a whole number"),
    375: ({"회원번호": "", "휴대폰": "-", "이메일": "N/A"}, "no identity: nothing in '회원번호', "),
    457: ({"회원번호": "1.00E+07"}, "column '회원번호' → external_id: "),
}
"""The customers, counted from 1, that are wrong on purpose: what stands in their row, and how the reason begins."""

CRM_CUT_OFF = 416
"""The row of the CRM's export that ends too early."""

_T = TypeVar("_T")

_SURNAMES = (
    ("김", "kim"),
    ("이", "lee"),
    ("박", "park"),
    ("최", "choi"),
    ("정", "jung"),
    ("강", "kang"),
    ("조", "cho"),
    ("윤", "yoon"),
    ("장", "jang"),
    ("임", "lim"),
    ("한", "han"),
    ("오", "oh"),
)
_GIVEN_NAMES = (
    ("민준", "minjun"),
    ("서연", "seoyeon"),
    ("도윤", "doyun"),
    ("지우", "jiwoo"),
    ("하은", "haeun"),
    ("시우", "siwoo"),
    ("수아", "sua"),
    ("예준", "yejun"),
    ("지민", "jimin"),
    ("유나", "yuna"),
    ("현우", "hyunwoo"),
    ("은서", "eunseo"),
)
_ENGLISH_NAMES = (
    ("Emma Wilson", "emma.wilson"),
    ("Liam Brown", "liam.brown"),
    ("Siobhán O'Brien", "siobhan.obrien"),
    ("Zoë Müller", "zoe.muller"),
    ("Baker, Noah Jr.", "noah.baker"),
    ('Ava "Ace" Martin', "ava.martin"),
    ("Mia Anderson", "mia.anderson"),
    ("Jack Taylor", "jack.taylor"),
)
_TAGS = ("vip", "coupon", "newsletter", "app", "store", "쿠폰", "신규")
_MEMBERSHIPS = ("Bronze", "Silver", "Gold", "골드", "VVIP")
_CONSENT_WORDS = (("Y", "N"), ("true", "false"))
_CONSENTS = ("push_optin", "sms_ads_optin", "night_ads_optin")
_TRUTH = {"Y": True, "true": True, "N": False, "false": False}
_CRM_COLUMNS = (
    "회원번호",
    "이름",
    "성별",
    "생년월일",
    "휴대폰",
    "이메일",
    "우편번호",
    "회원등급",
    "누적구매금액",
    "적립금",
    "방문횟수",
    "평균평점",
    "가입일시",
    "최근방문일시",
    "관심분야",
    "푸시수신동의",
    "문자수신동의",
    "야간푸시수신동의",
    "팩스",
    "메모",
)
_CRM_CONSENTS = {
    "푸시수신동의": ("df_push_optin", "df_push_ads_optin"),
    "문자수신동의": ("df_sms_ads_optin",),
    "야간푸시수신동의": ("df_push_night_ads_optin",),
}
_GENDERS = {"남": "Male", "여": "Female"}
_GRADES = ("VIP", "골드", "실버", "브론즈", "일반")
_INTERESTS = ("패션", "뷰티", "여행", "식품", "가전", "도서")
_MEMOS = ("VIP 초대, 2026년 봄", '"문 앞에" 놓아 주세요', "전화 부재\n문자로 연락", "환불 문의")
_NOTHING = ("", "NULL", "-")
_NO_EMAIL = ("", "NULL", "N/A", "-", "none@none.com", "none@none.com")
_SHOP = "02-555-0100"
_TODAY = date(2026, 4, 1)
_NOON = 12
_SEOUL = timezone(timedelta(hours=9))


class Dice:
    """Throw the same dice everywhere: of `Random`, only `random()` promises the same numbers in every Python."""

    def __init__(self, seed: int) -> None:
        """Begin the sequence that *seed* stands for."""
        self._random = Random(seed)

    def below(self, limit: int) -> int:
        """Return a whole number from 0 up to, but not including, *limit*."""
        return int(self._random.random() * limit)

    def chance(self, share: float) -> bool:
        """Return true in about *share* of the calls."""
        return self._random.random() < share

    def pick(self, options: Sequence[_T]) -> _T:
        """Return one of *options*."""
        return options[self.below(len(options))]


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer of the CRM: the cells of the export's row, and who and what the service shall hold after it."""

    cells: Cells
    identity: Mapping[str, str]
    properties: Mapping[str, object]


def rows(dice: Dice) -> Iterator[Cells]:
    """Yield the sample's rows in order: new customers, one in twenty an earlier one with new values, a few broken."""
    known: list[Cells] = []
    for number in range(1, ROWS + 1):
        broken = number in BROKEN_CELLS or number == CUT_OFF
        if known and not broken and dice.chance(0.05):
            cells = dice.pick(known) | _changing(dice, number)
        else:
            cells = _newcomer(dice, number) | _changing(dice, number)
        if not broken and cells["user_id"]:
            known.append(cells)
        yield cells | BROKEN_CELLS.get(number, {})


def crm_customers(dice: Dice) -> Iterator[Customer]:
    """Yield the customers of the CRM in order, as their rows spell them and as they are.

    The rows of `CRM_BROKEN` and `CRM_CUT_OFF` can't be sent; what their customers are does not matter.
    """
    for number in range(1, CRM_CUSTOMERS + 1):
        people, details = _crm_identity(dice, number), _crm_details(dice)
        broken, _ = CRM_BROKEN.get(number, ({}, ""))
        cells = dict.fromkeys(_CRM_COLUMNS, "") | people.cells | details.cells | broken
        yield Customer(cells, people.identity, {**people.properties, **details.properties})


def write(folder: Path) -> None:
    """Write the `profiles.*` and `crm_export.csv` into *folder*, over what is there."""
    sample = list(rows(Dice(SEED)))
    with (folder / "profiles.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(_csv_lines(sample))
    (folder / "profiles.jsonl").write_text("".join(_json_lines(sample)), encoding="utf-8", newline="\n")
    _frame(sample).write_parquet(folder / "profiles.parquet")
    with (folder / "crm_export.csv").open("w", encoding="cp949", newline="") as file:
        csv.writer(file, lineterminator="\r\n").writerows(_crm_lines(crm_customers(Dice(CRM_SEED))))


def _newcomer(dice: Dice, number: int) -> Cells:
    """Return what stays the same in a customer's life; one identity value at least is there."""
    name, mailbox = _name(dice)
    birth = date(1950, 1, 1) + timedelta(days=dice.below(57 * 365))
    joined = datetime(2019, 1, 1, tzinfo=_SEOUL) + timedelta(seconds=dice.below(7 * 365 * 86_400))
    cells = {
        "user_id": f"{number:08d}",
        "name": name,
        "email": f"{mailbox}{number}@example.com",
        "phone": _phone(dice, number),
        "gender": dice.pick(("Male", "Female")),
        "birth": f"{birth:%Y%m%d}",
        "age": str((_TODAY - birth).days * 4 // 1461),
        "joined": f"{joined:%Y-%m-%d %H:%M:%S}",
    }
    kept = dice.pick(IDENTITY)
    return {column: "" if column != kept and dice.chance(0.06) else text for column, text in cells.items()}


def _changing(dice: Dice, number: int) -> Cells:
    """Return what every row says anew, the later row at the later time."""
    updated = datetime(2026, 4, 1, tzinfo=_SEOUL) + timedelta(seconds=number * 60 + dice.below(60))
    yes, no = dice.pick(_CONSENT_WORDS)
    return {
        "score": dice.pick((f"{dice.below(2001) / 20}", f"{dice.below(2001) / 20}", "")),
        "vip": dice.pick(("예", "아니오", "아니오", "아니오", "")),
        "tags": "|".join([tag for tag in _TAGS if dice.chance(0.2)][:3]),
        "membership": dice.pick((*_MEMBERSHIPS, "")),
        **{consent: dice.pick((yes, yes, no, "")) for consent in _CONSENTS},
        "updated_at": f"{updated:%Y-%m-%d %H:%M:%S}",
    }


def _name(dice: Dice) -> tuple[str, str]:
    """Return a full name, and what its owner's mailbox is called."""
    return dice.pick(_ENGLISH_NAMES) if dice.chance(0.25) else _korean_name(dice)


def _korean_name(dice: Dice) -> tuple[str, str]:
    (surname, surname_latin), (given, given_latin) = dice.pick(_SURNAMES), dice.pick(_GIVEN_NAMES)
    return surname + given, f"{given_latin}.{surname_latin}"


def _phone(dice: Dice, number: int) -> str:
    """Return a phone number of its own for each *number*."""
    # Mobile numbers that go on with a 1 after 010 are given to nobody, so no real person is in the samples.
    local = f"101{number * 3_000 + dice.below(3_000):07d}"
    return f"82{local}" if dice.chance(0.1) else f"0{local}"


def _csv_lines(sample: Sequence[Cells]) -> Iterator[Sequence[str]]:
    yield COLUMNS
    for number, cells in enumerate(sample, start=1):
        line = [cells[column] for column in COLUMNS]
        yield line[: len(line) // 2] if number == CUT_OFF else line


def _json_lines(sample: Sequence[Cells]) -> Iterator[str]:
    for number, cells in enumerate(sample, start=1):
        line = json.dumps(
            {column: _json_value(column, cells[column]) for column in COLUMNS if cells[column]}, ensure_ascii=False
        )
        yield (line[: len(line) // 2] if number == CUT_OFF else line) + "\n"


def _json_value(column: str, text: str) -> object:
    """Return *text* in the column's own type, or as it is where it can't be read as one."""
    if column in _CONSENTS:
        return _TRUTH.get(text, text)
    if column == "tags":
        return text.split("|")
    number = {"age": int, "score": float}.get(column)
    try:
        return number(text) if number else text
    except ValueError:
        return text


def _frame(sample: Sequence[Cells]) -> pl.DataFrame:
    """Return the rows as a table: text in every column with a broken cell, empty cells as nulls."""
    nobody = dict.fromkeys(IDENTITY, "")
    whole = [cells | nobody if number == CUT_OFF else cells for number, cells in enumerate(sample, start=1)]
    table = pl.DataFrame(
        [{column: cells[column] or None for column in COLUMNS} for cells in whole],
        schema=dict.fromkeys(COLUMNS, pl.String),
    )
    return table.with_columns(
        pl.col("tags").str.split("|"),
        pl.col("updated_at").str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="ms"),
    )


def _crm_identity(dice: Dice, number: int) -> Customer:
    """Return who a customer is. Where the shop does not know the address or the number, it wrote something instead."""
    name, mailbox = _korean_name(dice)
    identity = {
        "external_id": f"{number:08d}",
        "phone_no": f"8210{_crm_local(number, dice)}",
        "email": f"{mailbox}{number}@example.com",
    }
    kept = dice.pick(tuple(identity))
    cells = {
        "회원번호": _padded(dice, identity["external_id"], 0.03),
        "이름": _padded(dice, name, 0.05),
        "휴대폰": _crm_phone(dice, identity["phone_no"].removeprefix("8210")),
        "이메일": _padded(dice, identity["email"], 0.08),
    }
    missing = {
        "external_id": ("회원번호", "", 0.04),
        "phone_no": ("휴대폰", dice.pick(("", "-", _SHOP, _SHOP)), 0.1),
        "email": ("이메일", dice.pick(_NO_EMAIL), 0.2),
    }
    for field, (column, spelled, share) in missing.items():
        if field != kept and dice.chance(share):
            cells[column] = spelled
            del identity[field]
    return Customer(cells, identity, {"df_name": name})


def _crm_details(dice: Dice) -> Customer:
    """Return what is known of a customer; a part of each column is empty, or holds a word for nothing."""
    parts = [_crm_facts(dice), _crm_amounts(dice), _crm_times(dice), _crm_consents(dice)]
    cells = {column: text for part in parts for column, text in part.cells.items()}
    return Customer(cells, {}, {key: value for part in parts for key, value in part.properties.items()})


def _crm_facts(dice: Dice) -> Customer:
    cells, properties = {}, dict[str, object]()
    if gender := dice.pick(("남", "여", "남", "여", "남", "여", "")):
        cells["성별"], properties["df_gender"] = gender, _GENDERS[gender]
    birth = date(1950, 1, 1) + timedelta(days=dice.below(57 * 365))
    cells["생년월일"] = _one_of(dice, f"{birth:%Y.%m.%d}", f"{birth:%Y-%m-%d}", f"{birth:%Y%m%d}", f"{birth:%y.%m.%d}")
    properties["df_birth"] = f"{birth:%Y-%m-%d}"
    grade = dice.pick(_GRADES)
    cells["회원등급"], properties["df_membership"] = _padded(dice, grade, 0.05), grade
    for column, key in (("생년월일", "df_birth"), ("회원등급", "df_membership")):
        if dice.chance(0.05):
            cells[column] = dice.pick(_NOTHING)
            del properties[key]
    if dice.chance(0.9):
        cells["우편번호"] = properties["우편번호"] = f"0{1000 + dice.below(9000)}"
    if dice.chance(0.1):
        cells["메모"] = properties["메모"] = dice.pick(_MEMOS)
    if interests := [each for each in _INTERESTS if dice.chance(0.3)]:
        cells["관심분야"], properties["관심분야"] = "|".join(interests), interests
    return Customer(cells, {}, properties)


def _crm_amounts(dice: Dice) -> Customer:
    spent, points, visits, rating = dice.below(9_000_000), dice.below(90_000), dice.below(400), dice.below(51) / 10
    cells = {
        # The won sign of cp949 is a wide one.
        "누적구매금액": _one_of(dice, f"{spent:,}원", f"￦{spent:,}", f"{spent}", f"￦ {spent:,}"),
        "적립금": f"{points:,}",
        "방문횟수": f"{visits}",
        "평균평점": f"{rating}",
    }
    properties = {"누적구매금액": spent, "적립금": points, "방문횟수": visits, "평균평점": rating}
    for column in cells:
        if dice.chance(0.04):
            cells[column] = dice.pick(_NOTHING)
            del properties[column]
    return Customer(cells, {}, properties)


def _crm_times(dice: Dice) -> Customer:
    joined = datetime(2019, 1, 1, tzinfo=_SEOUL) + timedelta(seconds=dice.below(7 * 365 * 86_400))
    visited = datetime(2026, 1, 1, tzinfo=_SEOUL) + timedelta(minutes=dice.below(90 * 1440))
    half = "오전" if joined.hour < _NOON else "오후"
    cells = {
        "가입일시": f"{joined:%Y-%m-%d} {half} {(joined.hour - 1) % _NOON + 1}:{joined:%M:%S}",
        "최근방문일시": _one_of(
            dice,
            f"{visited:%Y-%m-%d %H:%M}",
            f"{visited:%Y.%m.%d %H:%M}",
            f"{visited:%Y-%m-%d %H:%M:%S}",
            f"{visited:%Y.%m.%d %H:%M}",
        ),
    }
    properties: dict[str, object] = {"가입일시": _utc(joined), "최근방문일시": _utc(visited)}
    if dice.chance(0.06):
        cells["최근방문일시"] = dice.pick(_NOTHING)
        del properties["최근방문일시"]
    return Customer(cells, {}, properties)


def _crm_consents(dice: Dice) -> Customer:
    cells = {column: dice.pick(("Y", "Y", "N", "")) for column in _CRM_CONSENTS}
    given = {key: _TRUTH[cells[column]] for column, keys in _CRM_CONSENTS.items() if cells[column] for key in keys}
    return Customer(cells, {}, given)


def _crm_local(number: int, dice: Dice) -> str:
    """Return the last eight digits of a mobile number of its own for each *number*; see `_phone`."""
    return f"1{number * 3_000 + dice.below(3_000):07d}"


def _crm_phone(dice: Dice, local: str) -> str:
    head, tail = local[:4], local[4:]
    return dice.pick(
        (
            *[f"010-{head}-{tail}"] * 5,
            f"010 {head} {tail}",
            f"010.{head}.{tail}",
            f"010{head}{tail}",
            f"10{head}{tail}",
            f"+82 10-{head}-{tail}",
            f"82(0)10-{head}-{tail}",
        )
    )


def _one_of(dice: Dice, usual: str, common: str, rare: str, rarest: str) -> str:
    """Return one of four spellings: most are *usual*, few are the *rarest*."""
    return dice.pick((*[usual] * 15, *[common] * 6, *[rare] * 3, rarest))


def _padded(dice: Dice, text: str, share: float) -> str:
    """Return *text*, in a *share* of the calls with white space at one end."""
    return dice.pick((f"{text} ", f" {text}", f"{text}\u3000")) if dice.chance(share) else text


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.000Z"


def _crm_lines(customers: Iterator[Customer]) -> Iterator[Sequence[str]]:
    yield _CRM_COLUMNS
    for number, customer in enumerate(customers, start=1):
        line = [customer.cells[column] for column in _CRM_COLUMNS]
        yield line[: len(line) // 2] if number == CRM_CUT_OFF else line


def main() -> None:
    """Write the samples into the folder that the command line names, else beside this script."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent)
    write(parser.parse_args().folder)


if __name__ == "__main__":
    main()
