from uploader.sandbox import Report, WindowCount


def test_a_report_reads_as_lines() -> None:
    report = Report(
        requests=1_205,
        applied=1_000,
        profiles=900,
        windows=(WindowCount(1_719_397_740.0, 1_205, 1_000, 200),),
        over_limit=200,
        not_stored={"age: not registered": 3},
        codes={"HTTP 429": 200, "20000": 1_000, "50000": 5},
        strays=1,
    )

    assert report.lines() == [
        "requests   1,205 received, 1,000 applied, 200 over the limit",
        "profiles   900",
        "reply      1,000 x 20000",
        "reply      5 x 50000",
        "reply      200 x HTTP 429",
        "window     2024-06-26T10:29:00.000Z: 1,205 received, 1,000 applied, 200 over the limit",
        "NOT STORED 3 x age: not registered",
        "wrong path 1 to another path or with another method",
    ]


def test_an_idle_sandbox_reports_nothing_more_than_its_zeros() -> None:
    report = Report(0, 0, 0, (), 0, {}, {})

    assert report.lines() == ["requests   0 received, 0 applied, 0 over the limit", "profiles   0"]
