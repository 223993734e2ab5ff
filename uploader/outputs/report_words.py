"""Say what the report of a run says, in English and in Korean."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Final, Literal, TypeAlias, assert_never

from uploader.counts import Counts
from uploader.run_record import RunEnd, RunRecord

Language: TypeAlias = Literal["en", "ko"]

_TEXTS: Final[Mapping[str, tuple[str, str]]] = {
    "title": ("Upload report", "업로드 보고서"),
    "job": ("Job", "작업"),
    "run": ("Run", "실행"),
    "service": ("Service", "서비스"),
    "started": ("Started", "시작"),
    "ended": ("Ended", "종료"),
    "took": ("Took", "소요 시간"),
    "sessions": ("Sessions", "세션"),
    "retry_file": ("Retry file", "재시도 파일"),
    "outcome": ("Outcome", "결과"),
    "none": ("none", "없음"),
    "exit_status": ("exit status {status}", "종료 상태 {status}"),
    "rows": ("Rows", "행"),
    "requests": ("Requests", "요청"),
    "requests_sent": ("requests", "요청"),
    "retries": ("retries", "재시도"),
    "limited": ("throttled replies", "한도 초과 응답"),
    "limited_seconds": ("paused by throttling", "한도 초과로 대기"),
    "maybe_sent_twice": ("maybe sent twice", "두 번 전송되었을 수 있음"),
    "seconds": ("duration", "소요 시간"),
    "throughput": ("Throughput", "처리 속도"),
    "throughput_note": (
        "A moment may be above the line of the limit, which counts whole windows of {per}: see the use of the quota.",
        "한도는 {per} 구간 단위로 적용되므로 순간적으로 선을 넘을 수 있습니다. 구간별 사용량은 아래에 있습니다.",
    ),
    "registrations": (
        "{count} of the requests registered people. That call has its own limit; below, only its pauses are shown.",
        "요청 중 {count}건은 사람 등록이며 한도가 따로 적용됩니다. 아래에는 그 대기 시간만 포함됩니다.",
    ),
    "per_second": ("requests a second", "초당 요청"),
    "limit": ("limit", "한도"),
    "per_second_limit": ("limit, on average", "한도(평균)"),
    "pauses": ("Throttling and outages", "한도 초과와 장애"),
    "no_pauses": ("The service never throttled the run, and was never out.", "한도 초과도 장애도 없었습니다."),
    "throttled": ("throttled", "한도 초과"),
    "outage": ("outage", "장애"),
    "from": ("From", "시작"),
    "to": ("To", "끝"),
    "what": ("What", "내용"),
    "more_pauses": ("{count} shorter ones are not listed.", "더 짧은 {count}건은 표시하지 않았습니다."),
    "windows": ("Use of the quota", "한도 사용량"),
    "windows_note": (
        "Requests used in each window of the quota, by everyone who shares it, where the service states it.",
        "한도 구간마다 사용된 요청 수입니다. 서비스가 알려 준 경우 다른 클라이언트의 사용량도 포함합니다.",
    ),
    "windows_joined": (
        "{count} windows; each bar is the fullest of several.",
        "전체 {count}개 구간이며, 막대 하나는 여러 구간 중 가장 많이 사용된 구간입니다.",
    ),
    "used": ("used", "사용"),
    "latency": ("Latency", "응답 시간"),
    "latency_note": (
        "From the sending of a request to its reply, exact to 5 %.",
        "요청을 보낸 때부터 응답을 받을 때까지의 시간입니다(오차 5 %).",
    ),
    "p50": ("half of the replies", "응답의 50 %"),
    "p95": ("95 % of the replies", "응답의 95 %"),
    "p99": ("99 % of the replies", "응답의 99 %"),
    "reasons": ("Why rows were not accepted", "행이 받아들여지지 않은 사유"),
    "no_reasons": ("No row was rejected or failed.", "거부되거나 실패한 행이 없습니다."),
    "more_reasons": ("{rows} rows have {count} other reasons.", "그 밖의 사유 {count}개, {rows}행."),
    "last_runs": ("Last runs of this job", "이 작업의 최근 실행"),
    "last_runs_note": (
        "Rows of every start of the job, also of those that sent nothing; the newest on the right.",
        "아무것도 전송하지 못한 경우를 포함한 모든 실행의 행 수이며, 오른쪽이 최신입니다.",
    ),
    "not_accepted": ("rejected or failed", "거부 또는 실패"),
    "this_run": ("this run", "이 실행"),
    "no_intervals": (
        "The journal says nothing of the run over time: it sent nothing, or an earlier version made it.",
        "저널에 시간별 기록이 없습니다. 전송한 것이 없거나 이전 버전으로 실행한 경우입니다.",
    ),
    "some_missing": (
        "{count} requests are in no interval: a session was killed within seconds of sending them.",
        "요청 {count}건은 시간별 기록에 없습니다. 전송 직후 세션이 강제 종료되었습니다.",
    ),
    "made_by": (
        "Made by uploader {version} from the run's journal. Times are in the zone {zone}.",
        "uploader {version}이 실행의 저널로 만들었습니다. 시간대는 {zone}입니다.",
    ),
}

_KOREAN_FAILURES: Final[Mapping[int, str]] = {
    1: "프로그램 오류로 중단됨",
    2: "시작하지 못함: 옵션 또는 설정 오류",
    4: "거부됨: 입력을 읽을 수 없거나 전체가 잘못됨",
    5: "중단됨: 서비스가 거부함",
    6: "중단됨: 서비스에 연결할 수 없거나 한도 초과가 너무 오래 지속됨",
    7: "중단됨: 디스크, 상태 파일 또는 이 컴퓨터의 오류",
    8: "시작하지 못함: 다른 실행이 진행 중",
    9: "중단됨: 입력이 변경됨",
    10: "시간 제한으로 중단됨",
    129: "SIGHUP으로 중단됨",
    130: "SIGINT로 중단됨",
    143: "SIGTERM으로 중단됨",
}
"""How starts ended early, by their exit statuses."""

_COUNTS: Final = (
    ("read", "읽음"),
    ("accepted", "성공"),
    ("unchanged", "변경 없음"),
    ("replaced by a newer row", "더 새로운 행으로 대체"),
    ("rejected", "거부"),
    ("failed", "실패"),
    ("not attempted", "시도하지 않음"),
)
"""The words of each count, in the order of `Counts`."""


def words_in(language: Language) -> Mapping[str, str]:
    """Return the texts of a report in *language* by their keys."""
    number = {"en": 0, "ko": 1}[language]
    counts = zip((one.name for one in fields(Counts)), _COUNTS, strict=True)
    return {key: texts[number] for key, texts in (*_TEXTS.items(), *counts)}


def outcome_in(language: Language, record: RunRecord) -> str:
    """Return how the start of *record* ended, in *language*; in English it is what `uploader runs` says."""
    if language == "en":
        return record.outcome
    match record.end:
        case RunEnd.RUNNING:
            return "실행 중"
        case RunEnd.KILLED:
            return "강제 종료되었거나 종료를 기록하지 못함"
        case RunEnd.SUCCEEDED:
            return _korean_success(record)
        case RunEnd.REJECTED:
            return f"완료, {_korean_rows(record.counts)}"
        case RunEnd.FAILED:
            return _KOREAN_FAILURES.get(record.exit_status or 0, "비정상 종료")
        case _ as never:
            assert_never(never)


def _korean_success(record: RunRecord) -> str:
    if not record.sources:
        return "전송할 것 없음: 대기 중인 재시도 파일 없음"
    if record.already_sent_by:
        return f"전송할 것 없음: 실행 {', '.join(record.already_sent_by)}에서 이미 전송함"
    if record.counts.not_accepted:
        return f"성공, {_korean_rows(record.counts)}"
    return "성공" if record.counts.read else "전송할 것 없음: 행 없음"


def _korean_rows(counts: Counts) -> str:
    kinds = (("거부", counts.rejected), ("실패", counts.failed))
    return ", ".join(f"{kind} {number:,}행" for kind, number in kinds if number)


def language_of(environ: Mapping[str, str]) -> Language:
    """Return the language that the locale in *environ* asks for: Korean, or else English."""
    locale = next((environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environ.get(name)), "")
    return "ko" if locale.lower().startswith("ko") else "en"
