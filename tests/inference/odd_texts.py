"""Draw texts as they stand in files: numbers, dates, phone numbers, words for nothing, and what is odd."""

from random import Random
from typing import Final

TEXTS: Final = (
    "", "1", "0", "007", "+1", "1.5", "1e5", "9" * 25, "9" * 19, "Y", "N", "예", "아니오", "거부", "x@example.com",
    "A@B.com", "01012345678", "010-1234-5678", "821012345678", "02-123-4567", "2024-01-02", "20240102", "20241301",
    "2024/1/2", "03/04/2024", "2024-01-02 03:04:05", "1987-05-10 02:30:00", "NaN", " ", " e", "a|b", "-0", "NULL", "-",
    "1,000원", "₩5", "₩ -", "(5,000)", "남", "여", "a;b", "2024-03-05 오후 3:12 KST", "90.03.05", "010-0000-0000",
    "none@none.com", "1001.0", "45356", "1709600000", "없음", "0000-00-00", "two\nlines", 'qu"ote', "'00127",
    '="00126"',
    "2024-01-02 10:00 EST", "8.2E+11", "1.234", "1.234,5", "x" * 50, "\u0661\u0662", "user_id",
    "\u200bz",
)  # fmt: skip


def any_text(random: Random) -> str:
    return random.choice(
        [
            *random.choices(TEXTS, k=6),
            f"010{random.randrange(10**8):08}",
            str(random.randrange(10 ** random.randrange(1, 20))),
            f"u{random.randrange(1000)}@mail.com",
            "".join(random.choices("abZ0 ,./-:한", k=random.randrange(8))),
        ]
    )
