"""Write the report of a run as one HTML page that needs nothing else: no script, no font, no network."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from html import escape
from typing import Final, assert_never

from uploader import __version__
from uploader.outputs import report_charts as charts
from uploader.outputs.duration_text import spell_seconds
from uploader.outputs.report_data import RunReport
from uploader.outputs.report_words import Language, outcome_in, words_in
from uploader.run_record import RunEnd, RunRecord
from uploader.timeline import Pause, joined_pauses, windows_of

BEGINNING: Final = '<!doctype html>\n<html data-report-by="uploader"'
"""How every report begins, of every version: what begins so may be replaced by a newer report."""

_WIDTHS: Final = {"narrow": 328, "medium": 680, "wide": 1096}
"""Each chart is drawn for three widths of the page, in pixels; the style sheet shows the one that fits."""

_MOST_PAUSES: Final = 20
_MOST_REASONS: Final = 20
_LONG_SECONDS: Final = 100
_LONG_NUMBER: Final = 9
"""A number of more characters is written smaller."""

_STYLE: Final = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1128px; padding: 16px; background: #fff; color: #1d2126; line-height: 1.45;
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Apple SD Gothic Neo", "Malgun Gothic",
    "Noto Sans KR", "Noto Sans CJK KR", NanumGothic, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 24px; margin: 0 0 4px; line-height: 1.25; }
h2 { font-size: 18px; margin: 28px 0 4px; break-after: avoid; }
p { margin: 4px 0; }
.note, footer { color: #555d66; font-size: 13px; }
.outcome { font-weight: 600; }
.outcome::before { content: ""; display: inline-block; border: 5px solid currentColor; border-radius: 5px;
  margin-right: 7px; }
.good::before { color: #2c7a4b; } .bad::before { color: #c0303c; } .open::before { color: #c2571a; }
dl { margin: 8px 0; display: grid; gap: 8px; }
dl.facts { grid-template-columns: max-content 1fr; gap: 2px 14px; }
dl.facts dt { color: #555d66; } dl.facts dd { margin: 0; }
dl.numbers { grid-template-columns: repeat(auto-fill, minmax(128px, 1fr)); }
dl.numbers div { border: 1px solid #d5dae0; border-radius: 6px; padding: 8px 10px; break-inside: avoid;
  display: flex; flex-direction: column-reverse; justify-content: flex-end; }
dl.numbers dt { color: #555d66; font-size: 13px; } dl.numbers dd { margin: 0; font-size: 20px; font-weight: 600; }
dl.numbers dd { overflow-wrap: normal; }
dl.numbers dd.long { font-size: 14px; line-height: 28px; }
dl.numbers small { display: block; font-size: 12px; font-weight: 400; color: #555d66; }
figure { margin: 6px 0; break-inside: avoid; }
figure svg { display: none; max-width: 100%; height: auto; font-variant-numeric: tabular-nums; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 16px; list-style: none; padding: 0; margin: 6px 0; font-size: 13px; }
.legend svg, .bar { display: inline-block; vertical-align: middle; margin-right: 6px; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px; width: 100%; }
th, td { overflow-wrap: break-word; }
th { text-align: left; color: #555d66; font-weight: 600; }
th, td { padding: 3px 8px 3px 0; border-bottom: 1px solid #e3e6ea; vertical-align: top; }
th.n, td.n { text-align: right; }
th:last-child, td:last-child { padding-right: 0; }
td:first-child { min-width: 74px; }
.n + :not(.n) { padding-left: 10px; }
tr { break-inside: avoid; }
tr.this td { font-weight: 600; }
ul.reasons { list-style: none; padding: 0; margin: 8px 0; }
ul.reasons li { margin: 0 0 10px; break-inside: avoid; }
.bar { display: block; margin: 2px 0 0; width: 100%; height: 10px; }
@media (max-width: 711px) { table { font-size: 11.5px; } th, td { padding-right: 5px; }
  svg.narrow { display: block !important; } }
@media (min-width: 712px) and (max-width: 1127px) { svg.medium { display: block !important; } }
@media (min-width: 1128px) { svg.wide { display: block !important; } }
@media print { @page { margin: 14mm; } body { padding: 0; max-width: none; font-size: 12px; }
  svg.narrow, svg.wide { display: none !important; } svg.medium { display: block !important; }
  a { color: inherit; text-decoration: none; } }
"""


def report_page(report: RunReport, language: Language) -> str:
    """Return the page of *report*, in *language*."""
    return _Page(report, language, words_in(language)).text()


@dataclass(frozen=True, slots=True)
class _Page:
    report: RunReport
    language: Language
    words: Mapping[str, str]

    def text(self) -> str:
        report, words = self.report, self.words
        zone = datetime.fromisoformat(report.run.started).astimezone().strftime("%Z (UTC%z)")
        parts = (
            self._heading(),
            self._numbers(),
            self._throughput(),
            self._pauses(),
            self._windows(),
            self._latency(),
            self._reasons(),
            self._last_runs(),
        )
        body = "\n".join(line for part in parts for line in part)
        made_by = words["made_by"].format(version=__version__, zone=zone)
        return (
            f'{BEGINNING} lang="{self.language}">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
            f"<title>{escape(words['title'])} {escape(report.run.listed_id)}</title>\n"
            f"<style>{_STYLE}</style>\n</head>\n"
            f"<body>\n{body}\n<footer><p>{escape(made_by)}</p></footer>\n</body>\n</html>\n"
        )

    def _heading(self) -> Iterator[str]:
        report, words = self.report, self.words
        yield f"<header>\n<h1>{escape(words['title'])}: {escape(report.run.source)}</h1>"
        latest = report.run.latest
        status = "" if latest.exit_status is None else words["exit_status"].format(status=latest.exit_status)
        outcome = f"{outcome_in(self.language, latest)}{f' ({status})' if status else ''}"
        yield f'<p class="outcome {_kind(latest)}">{escape(outcome)}</p>'
        facts = {
            **({"job": report.run.job} if report.run.job else {}),
            "run": report.run.listed_id,
            "service": report.run.service,
            "started": _moment(report.run.started),
            "ended": "—" if report.run.ended is None else _moment(report.run.ended),
            "sessions": f"{report.run.sessions:,}",
            "retry_file": report.run.retry_file or words["none"],
        }
        rows = (f"<dt>{escape(words[key])}</dt><dd>{escape(value)}</dd>" for key, value in facts.items())
        yield f'<dl class="facts">{"".join(rows)}</dl>\n</header>'

    def _numbers(self) -> Iterator[str]:
        report = self.report
        counts, traffic = report.totals.counts, report.totals.traffic
        rows: dict[str, int] = {**asdict(counts), "maybe_sent_twice": report.totals.maybe_sent_twice}
        requests = {"requests": traffic.requests, "retries": traffic.retries, "limited": traffic.limited}
        seconds = {"limited_seconds": report.totals.limited_seconds, "seconds": report.totals.seconds}
        yield from self._tiles("rows", {key: f"{number:,}" for key, number in rows.items()})
        yield from self._tiles(
            "requests",
            {
                **{key: f"{number:,}" for key, number in requests.items()},
                **{key: _exact_seconds(number) for key, number in seconds.items()},
            },
        )
        missing = traffic.requests - sum(one.totals.requests for one in report.intervals)
        if missing > 0 and report.intervals:
            yield self._note("some_missing", count=f"{missing:,}")

    def _tiles(self, title: str, values: Mapping[str, str]) -> Iterator[str]:
        names = {"requests": "requests_sent"}
        yield f'<h2>{escape(self.words[title])}</h2>\n<dl class="numbers">'
        for key, value in values.items():
            label = escape(self.words[names.get(key, key)])
            long = ' class="long"' if len(value.partition("<")[0]) > _LONG_NUMBER else ""
            yield f'<div><dt>{label}</dt><dd{long} data-value="{key}">{value}</dd></div>'
        yield "</dl>"

    def _throughput(self) -> Iterator[str]:
        intervals, words = self.report.intervals, self.words
        yield f"<h2>{escape(words['throughput'])}</h2>"
        if not intervals:
            yield self._note("no_intervals")
            return
        pauses = joined_pauses(charts.pauses_of(intervals))
        yield self._note("throughput_note", per=spell_seconds(intervals[-1].per))
        if registrations := sum(one.totals.registrations for one in intervals):
            yield self._note("registrations", count=f"{registrations:,}")
        legend = [(charts.BLUE, "per_second"), (charts.LIMIT, "per_second_limit")]
        bands = [(charts.PAUSE_COLORS[kind], kind) for kind in sorted({pause.kind for pause in pauses})]
        yield self._figure(
            "throughput", lambda width: charts.throughput_chart(intervals, pauses, width), legend, boxes=bands
        )

    def _pauses(self) -> Iterator[str]:
        words, intervals = self.words, self.report.intervals
        if not intervals:
            return
        pauses = joined_pauses(charts.pauses_of(intervals))
        yield f"<h2>{escape(words['pauses'])}</h2>"
        if not pauses:
            yield self._note("no_pauses")
            return
        longest = sorted(sorted(pauses, key=lambda pause: -pause.seconds)[:_MOST_PAUSES], key=lambda pause: pause.at)
        yield _table(
            [(words["from"], False), (words["to"], False), (words["took"], True), (words["what"], False)],
            [self._pause_cells(pause) for pause in longest],
        )
        if len(pauses) > len(longest):
            yield self._note("more_pauses", count=f"{len(pauses) - len(longest):,}")

    def _pause_cells(self, pause: Pause) -> Sequence[str]:
        return [
            _moment(pause.at, of=self.report.run.started),
            _moment(pause.end, of=self.report.run.started),
            f"{pause.seconds:,.1f} s" if pause.seconds < _LONG_SECONDS else spell_seconds(pause.seconds),
            self.words[pause.kind],
        ]

    def _windows(self) -> Iterator[str]:
        windows = windows_of(self.report.intervals)
        if not windows:
            return
        count = sum(window.windows for window in windows)
        yield f"<h2>{escape(self.words['windows'])}</h2>\n{self._note('windows_note')}"
        if count > charts.most_columns(_WIDTHS["narrow"]):
            yield self._note("windows_joined", count=f"{count:,}")
        legend = [(charts.LIMIT, "limit")]
        boxes = [(charts.BLUE, "used")]
        yield self._figure("windows", lambda width: charts.windows_chart(windows, width), legend, boxes=boxes)

    def _latency(self) -> Iterator[str]:
        intervals = self.report.intervals
        if not any(interval.latencies for interval in intervals):
            return
        yield f"<h2>{escape(self.words['latency'])}</h2>\n{self._note('latency_note')}"
        legend = [(charts.BLUE, "p50"), (charts.ORANGE, "p95"), (charts.PURPLE, "p99")]
        yield self._figure("latency", lambda width: charts.latency_chart(intervals, width), legend)

    def _reasons(self) -> Iterator[str]:
        reasons = self.report.reasons
        yield f"<h2>{escape(self.words['reasons'])}</h2>"
        if not reasons:
            yield self._note("no_reasons")
            return
        yield '<ul class="reasons">'
        most = reasons[0].rows
        for reason in reasons[:_MOST_REASONS]:
            code = f" ({escape(reason.code)})" if reason.code and reason.code not in reason.phrase else ""
            rows = f'<strong data-reason="{escape(reason.code)}">{reason.rows:,}</strong>'
            bar = f'<rect width="{reason.rows / most:.2%}" height="10" fill="{charts.RED}"/>'
            yield f'<li>{rows} {escape(reason.phrase)}{code}<svg class="bar" aria-hidden="true">{bar}</svg></li>'
        yield "</ul>"
        if others := reasons[_MOST_REASONS:]:
            rows_left = f"{sum(reason.rows for reason in others):,}"
            yield self._note("more_reasons", count=f"{len(others):,}", rows=rows_left)

    def _last_runs(self) -> Iterator[str]:
        runs, words = self.report.last_runs, self.words
        yield f"<h2>{escape(words['last_runs'])}</h2>\n{self._note('last_runs_note')}"
        boxes = [(charts.BLUE, "sent"), (charts.GREY, "unchanged"), (charts.RED, "not_accepted")]
        yield self._figure("last_runs", lambda width: charts.last_runs_chart(runs, width), [], boxes=boxes)
        yield _table(
            [
                (words["started"], False),
                (words["outcome"], False),
                (words["sent"], True),
                (words["not_accepted"], True),
                (words["took"], True),
            ],
            [self._run_cells(run) for run in reversed(runs)],
            marked=[run.has_run(self.report.run.run_id) for run in reversed(runs)],
        )

    def _run_cells(self, run: RunRecord) -> Sequence[str]:
        status = "" if run.exit_status is None else f" ({run.exit_status})"
        numbers = (run.counts.sent, run.counts.not_accepted)
        return [
            _moment(run.started, has_seconds=False),
            f"{outcome_in(self.language, run)}{status}",
            *(f"{number:,}" if run.counts.read else "-" for number in numbers),
            "" if run.ended is None else spell_seconds(run.seconds),
        ]

    def _note(self, key: str, **values: str) -> str:
        return f'<p class="note">{escape(self.words[key].format(**values))}</p>'

    def _figure(
        self,
        name: str,
        draw: Callable[[int], str],
        lines: Iterable[tuple[str, str]],
        *,
        boxes: Iterable[tuple[str, str]] = (),
    ) -> str:
        """Return the chart *name* for all widths, with a legend of its *lines* and *boxes*, each a color and a word."""
        drawn = "\n".join(
            draw(width).replace("<svg ", f'<svg class="{key}" role="img" aria-label="{escape(self.words[name])}" ', 1)
            for key, width in _WIDTHS.items()
        )
        swatches = [
            f'<svg width="22" height="10" aria-hidden="true"><path d="M0 5H22" stroke="{color}" stroke-width="2.4"'
            f' stroke-dasharray="{charts.DASHES[color]}"/></svg>{escape(self.words[key])}'
            for color, key in lines
        ] + [
            f'<svg width="14" height="12" aria-hidden="true"><rect width="14" height="12" fill="{color}"/></svg>'
            f"{escape(self.words[key])}"
            for color, key in boxes
        ]
        legend = "".join(f"<li>{swatch}</li>" for swatch in swatches)
        return f'<figure data-chart="{name}">\n<ul class="legend">{legend}</ul>\n{drawn}\n</figure>'


def _kind(record: RunRecord) -> str:
    """Return the class of how a start ended: `good`, `open` where something is left or still runs, or `bad`."""
    match record.end:
        case RunEnd.SUCCEEDED:
            return "open" if record.counts.not_accepted else "good"
        case RunEnd.REJECTED | RunEnd.RUNNING:
            return "open"
        case RunEnd.FAILED | RunEnd.KILLED:
            return "bad"
        case _ as never:
            assert_never(never)


def _table(
    head: Sequence[tuple[str, bool]], rows: Sequence[Sequence[str]], *, marked: Sequence[bool] | None = None
) -> str:
    """Return a table; *head* says of each column what it is, and whether it holds numbers."""
    kinds = [' class="n"' if is_number else "" for _, is_number in head]
    titles = "".join(f"<th{kind}>{escape(title)}</th>" for kind, (title, _) in zip(kinds, head, strict=True))
    lines = []
    for number, cells in enumerate(rows):
        mark = ' class="this"' if marked is not None and marked[number] else ""
        line = "".join(f"<td{kind}>{escape(cell)}</td>" for kind, cell in zip(kinds, cells, strict=True))
        lines.append(f"<tr{mark}>{line}</tr>")
    return f"<table><thead><tr>{titles}</tr></thead>\n<tbody>{''.join(lines)}</tbody></table>"


def _moment(moment: str | float, *, has_seconds: bool = True, of: str | None = None) -> str:
    """Return the local time of *moment*, ISO 8601 or seconds since 1970; without its date if *of* is that day."""
    local = (
        datetime.fromisoformat(moment) if isinstance(moment, str) else datetime.fromtimestamp(moment, UTC)
    ).astimezone()
    clock = f"{local:%H:%M:%S}" if has_seconds else f"{local:%H:%M}"
    is_same_day = of is not None and datetime.fromisoformat(of).astimezone().date() == local.date()
    return clock if is_same_day else f"{local:%Y-%m-%d} {clock}"


def _exact_seconds(seconds: float) -> str:
    """Return *seconds* as the summary has them; where they are many, also as people say it."""
    exact = f"{round(seconds, 3):,} s"
    return exact if seconds < _LONG_SECONDS else f"{spell_seconds(seconds)}<small>{exact}</small>"
