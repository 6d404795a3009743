"""Runs of handlers, read from the log streams that ministack writes."""

from tests.lab.observe.handlers import Line, parse


def stream(*messages: str) -> list[dict[str, object]]:
    return [{"timestamp": 10_000, "message": message} for message in messages]


def test_a_run_begins_its_duration_before_its_end() -> None:
    report = "REPORT RequestId: r-1\tDuration: 2500 ms\tBilled Duration: 2500 ms\tMax Memory Used: 70 MB"
    own = '{"message": "plan", "timestamp": "1970-01-01T00:00:08.250+00:00", "cold_start": true}'
    (run,) = parse(
        "/aws/lambda/tick", [stream("START RequestId: r-1", own, "plain", "END RequestId: r-1", report)]
    )
    assert (run.function, run.request, run.began, run.ended) == ("tick", "r-1", 7.5, 10.0)
    assert run.lines == (Line(8.25, own), Line(10.0, "plain"))
    assert run.cold


def test_the_other_way_powertools_writes_times_is_understood() -> None:
    own = '{"timestamp": "1970-01-01 00:00:08,250+0000"}'
    (run,) = parse("/aws/lambda/f", [stream("START", own, "END", "REPORT RequestId: r\tDuration: 1 ms\t")])
    assert run.lines[0].time == 8.25


def test_a_stream_without_a_report_is_no_run_yet() -> None:
    assert list(parse("/aws/lambda/f", [stream("START RequestId: r-1")])) == []
