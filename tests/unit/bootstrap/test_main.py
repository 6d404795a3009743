"""The agent's command line: one clear line for each bad input, an honest exit status."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from bootstrap import publish
from bootstrap.__main__ import RUN, main
from bootstrap.clock import Clock
from chalicelib.protocol.codec import decode_result
from chalicelib.protocol.messages import AgentTask, Arguments, Fate, NodeReport, Result
from tests.unit.bootstrap.support.built_agent import built_agent

TARGET = {"instance": "i-0123456789abcdef0", "address": "172.31.0.14"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["evacuate", "{"], "arguments must be JSON"),
        (["evacuate", "[]"], "arguments must be a JSON object, not list"),
        (
            ["evacuate", '{"subject": []}'],
            "unknown field 'subject'; known are deadline, description, fresh, inspection, labels",
        ),
        (["evacuate", '{"subjects": {}}'], "targets must be a list"),
        (["evacuate", json.dumps({"subjects": [TARGET]})], "evacuate needs a deadline"),
        (["evacuate", json.dumps({"deadline": 1e13})], "deadline must be seconds since the epoch"),
        (["evacuate", json.dumps({"sent": -1})], "sent must be seconds since the epoch"),
        (["rebalance", '{"rebalance": {"mode": "fast"}}'], "mode must be surge or rolling, not 'fast'"),
        (["rebalance", '{"rebalance": {"max_moves": -1}}'], "max_moves must be a number from 0 on"),
        (["leave", "{}"], "leave needs at least one target"),
        (["leave", json.dumps({"subjects": [{**TARGET, "instance": "i-x"}]})], "must be an EC2 instance id"),
        (
            ["leave", json.dumps({"subjects": [{**TARGET, "address": "x"}]})],
            "must be a private IPv4 address",
        ),
        (["leave", json.dumps({"subjects": [{**TARGET, "node": "A;b"}]})], "must be a Swarm node id"),
        (["leave", json.dumps({"subjects": ["x"]})], "a target must be an object"),
    ],
)
def test_bad_input_is_one_clear_line_and_status_64(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 64
    out, err = capsys.readouterr()
    assert said in err
    assert "nothing was changed" in err
    assert (out.count("\n"), err.count("\n")) == (1, 1)
    result = decode_result(out)
    assert (result.task.value, result.ok, f"agent: {result.error}\n") == (words[0], False, err)


@pytest.mark.parametrize("ahead", [-600.0, 0.0, 112.0, 130.0])
def test_an_agent_counts_what_is_left_whatever_time_its_host_believes_it_is(
    ahead: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[float] = []

    def run(_: object, arguments: Arguments, clock: Clock) -> Result:
        left.append(arguments.deadline - clock.now())
        return Result(AgentTask.EVACUATE, ok=True)

    monkeypatch.setitem(RUN, AgentTask.EVACUATE, run)
    monkeypatch.setattr("bootstrap.clock._process_age_s", lambda: 3.0)  # its shell had to fetch the agent
    sent = time.time() - ahead
    assert main(["evacuate", json.dumps({"subjects": [TARGET], "deadline": sent + 60, "sent": sent})]) == 0
    assert left[0] == pytest.approx(57, abs=1)
    main(["evacuate", json.dumps({"subjects": [TARGET], "deadline": sent + 60})])
    assert left[1] == pytest.approx(60 - ahead, abs=1), "as agents before, where nothing is told"


def test_the_age_of_a_process_is_read() -> None:
    code = "import time; time.sleep(0.5); from bootstrap.clock import _process_age_s as age; print(age())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0.4 < float(done.stdout) < 30


def test_a_bad_target_is_left_out_and_named_and_the_others_are_served(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Arguments] = []

    def run(_: object, arguments: Arguments, __: object) -> Result:
        asked.append(arguments)
        return Result(AgentTask.LEAVE, ok=True, nodes=(NodeReport(TARGET["instance"], "", Fate.ABSENT),))

    monkeypatch.setitem(RUN, AgentTask.LEAVE, run)
    bad = {"instance": "i-0123456789abcdef1", "address": "172.31.0.15", "node": "A;b"}
    assert main(["leave", json.dumps({"subjects": [bad, TARGET, {**TARGET, "instance": "i-x"}]})]) == 1
    assert [target.instance for target in asked[0].targets] == [TARGET["instance"]]
    out, err = capsys.readouterr()
    result = decode_result(out)
    reason = "left out: node must be a Swarm node id, not 'A;b'"
    assert not result.ok
    assert result.nodes[1:] == (NodeReport(bad["instance"], "", Fate.UNFINISHED, reason),)
    assert "agent: a target without an instance is left out: instance must be an EC2 instance id" in err


def test_where_all_targets_are_bad_nothing_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    bad = {**TARGET, "node": "A;b"}
    assert main(["inspect", json.dumps({"subjects": [bad, bad]})]) == 64
    assert "node must be a Swarm node id" in capsys.readouterr().err


def test_a_task_that_does_not_exist_has_no_result(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dance", "{}"]) == 64
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("agent: unknown task 'dance'; the tasks are init, join")
    assert "nothing was changed" in err
    assert err.count("\n") == 1


def test_an_engine_that_does_not_answer_is_told_apart(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["--engine", f"unix://{tmp_path}/none.sock", "inspect"]) == 69
    out, err = capsys.readouterr()
    assert not decode_result(out).ok
    assert "check on this host that dockerd runs" in err


def test_the_zipapp_runs_by_itself_and_equal_sources_give_equal_bytes(tmp_path: Path) -> None:
    agent = tmp_path / "agent.pyz"
    agent.write_bytes(built_agent())
    assert publish.build() == agent.read_bytes()
    assert len(agent.read_bytes()) < 2_000_000
    told = subprocess.run([sys.executable, "-I", agent, "--help"], capture_output=True, text=True, check=True)
    assert "move the tasks off nodes" in told.stdout
    bad = subprocess.run(
        [sys.executable, "-I", agent, "evacuate", "{"], capture_output=True, text=True, check=False
    )
    assert (bad.returncode, decode_result(bad.stdout).ok) == (64, False)


def test_the_zipapp_holds_the_licence_texts_of_all_that_is_packed_and_its_own() -> None:
    with zipfile.ZipFile(io.BytesIO(built_agent())) as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    required = re.findall(
        r"^([\w-]+)==([\w.]+)", (publish.ROOT / "requirements-agent.txt").read_text(), re.MULTILINE
    )
    for name, version in required:
        folder = f"licenses/{name.replace('-', '_')}-{version}/"
        assert [text for path, text in found.items() if path.startswith(folder) and len(text) > 500], folder
    assert b"Apache License" in found["LICENSE"]
    assert [name for name in found if name.startswith("licenses/requests-") and name.endswith("/NOTICE")]
    assert not [name for name in found if ".dist-info" in name or name.startswith("bin/")]
