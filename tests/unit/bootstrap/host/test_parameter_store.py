"""What a host asks of AWS: signed with its role's keys, refused in one clear line, and no value ever told."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from bootstrap.engine.client import EngineError
from bootstrap.errors import AgentError
from bootstrap.host.docker_daemon import Daemon, DaemonError
from bootstrap.host.host import Host
from bootstrap.host.instance_metadata import RETRIES, Credentials, Identity, Metadata, MetadataError
from bootstrap.host.parameter_store import ParameterError, Parameters

TOKEN = "SWMTKN-1-cafe-beef"  # noqa: S105 what must never be told
VALUES = {
    "instance-id": "i-0123456789abcdef0",
    "local-ipv4": "172.31.0.14",
    "placement/availability-zone": "eu-central-1a",
    "placement/region": "eu-central-1",
    "instance-type": "c5.large",
    "instance-life-cycle": "spot",
    "iam/security-credentials/": "blue-worker",
    "iam/security-credentials/blue-worker": json.dumps(
        {"AccessKeyId": "ASIAKEY", "SecretAccessKey": "secret", "Token": "session"}
    ),
}


class Aws(BaseHTTPRequestHandler):
    """The metadata service and Parameter Store, as strict as they are about their headers."""

    values: dict[str, str]
    stored: dict[str, str]
    throttled: int
    asked: list[dict[str, str]]

    def do_PUT(self) -> None:
        assert self.headers["X-aws-ec2-metadata-token-ttl-seconds"]
        self._answer(200, "imds-session")

    def do_GET(self) -> None:
        if self.headers["X-aws-ec2-metadata-token"] != "imds-session":
            return self._answer(401, "")
        value = self.values.get(self.path.removeprefix("/latest/meta-data/"))
        return self._answer(404 if value is None else 200, value or "")

    def do_POST(self) -> None:
        self.asked.append(dict(self.headers))
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if type(self).throttled:
            type(self).throttled -= 1
            return self._answer(400, '{"__type": "ThrottlingException", "message": "Rate exceeded"}')
        name = message["Name"]
        if "manager" in name and "ASIAKEY" in self.headers["Authorization"]:
            refusal = {"__type": "AccessDeniedException", "Message": f"not {message.get('Value')} on {name}"}
            return self._answer(400, json.dumps(refusal))
        if self.headers["X-Amz-Target"] == "AmazonSSM.PutParameter":
            assert (message["Type"], message["Overwrite"]) == ("SecureString", True)
            self.stored[name] = message["Value"]
            return self._answer(200, '{"Version": 1}')
        assert message["WithDecryption"] is True
        if name not in self.stored:
            return self._answer(400, '{"__type": "com.amazonaws.ssm#ParameterNotFound"}')
        return self._answer(200, json.dumps({"Parameter": {"Value": self.stored[name]}}))

    def _answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture
def aws() -> Iterator[type[Aws]]:
    handler = type("Handler", (Aws,), {"values": dict(VALUES), "stored": {}, "asked": [], "throttled": 0})
    server = HTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    handler.place = f"http://127.0.0.1:{server.server_port}"  # type: ignore[attr-defined]
    yield handler
    server.shutdown()
    server.server_close()


@pytest.fixture
def metadata(aws: Any) -> Metadata:
    return Metadata(aws.place)


@pytest.fixture
def parameters(aws: Any, metadata: Metadata, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Parameters:
    for name in ("AWS_ENDPOINT_URL_SSM", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "environment"
    file.write_text(f"# where AWS is\nAWS_ENDPOINT_URL_SSM={aws.place}\n")
    return Parameters(metadata, file)


def test_the_metadata_service_tells_who_the_host_is(aws: type[Aws], metadata: Metadata) -> None:
    assert metadata.identity() == Identity(
        "i-0123456789abcdef0", "172.31.0.14", "eu-central-1a", "c5.large", "spot"
    )
    del aws.values["instance-life-cycle"]
    assert metadata.identity().lifecycle == "on-demand"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("local-ipv4", "fe80::1"),
        ("placement/availability-zone", "eu central"),
        ("instance-type", "x" * 65),
        ("instance-life-cycle", '"'),
    ],
)
def test_metadata_that_is_none_of_ec2_is_refused(
    aws: type[Aws], metadata: Metadata, name: str, value: str
) -> None:
    aws.values[name] = value
    with pytest.raises(MetadataError, match=f"{name} must be "):
        metadata.identity()


def test_a_host_without_metadata_or_profile_is_told_apart(
    aws: type[Aws], metadata: Metadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bootstrap.host.instance_metadata.RETRIES", RETRIES.new(backoff_factor=0))
    with pytest.raises(MetadataError, match="does not answer within 2 s"):
        Metadata("http://127.0.0.1:9").identity()
    aws.values["instance-id"] = "my-laptop"
    with pytest.raises(MetadataError, match="no EC2 instance"):
        metadata.identity()
    del aws.values["iam/security-credentials/"]
    with pytest.raises(MetadataError, match="no instance profile"):
        metadata.credentials()


def test_credentials_are_never_shown() -> None:
    assert "secret" not in repr(Credentials("key", "secret", "session"))


def test_what_is_stored_encrypted_is_read_again_and_both_calls_are_signed(
    aws: type[Aws], parameters: Parameters
) -> None:
    assert parameters.get("/swarmkeeper/blue/join-token/worker") == ""
    parameters.put("/swarmkeeper/blue/join-token/worker", TOKEN)
    assert parameters.get("/swarmkeeper/blue/join-token/worker") == TOKEN
    for headers in aws.asked:
        assert "Credential=ASIAKEY/" in headers["Authorization"]
        assert "/eu-central-1/ssm/aws4_request" in headers["Authorization"]
        lower = {name.lower(): value for name, value in headers.items()}
        assert lower["x-amz-security-token"] == "session"


def test_a_throttled_call_is_made_again_after_growing_pauses(
    aws: type[Aws], parameters: Parameters, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("bootstrap.host.parameter_store.time.sleep", pauses.append)
    aws.throttled, aws.stored["/a"] = 3, TOKEN
    assert parameters.get("/a") == TOKEN
    assert [0.5 * 2**n <= pause <= 2**n for n, pause in enumerate(pauses)] == [True] * 3
    aws.throttled = 99
    with pytest.raises(ParameterError, match="throttled"):
        parameters.get("/a")


def test_a_refusal_names_the_permission_and_holds_no_token(parameters: Parameters) -> None:
    with pytest.raises(ParameterError) as refusal:
        parameters.put("/swarmkeeper/blue/join-token/manager", TOKEN)
    assert "let this host's role do ssm:PutParameter on it" in str(refusal.value)
    assert "SWMTKN" not in str(refusal.value)


def test_a_missing_token_says_what_to_do(metadata: Metadata, parameters: Parameters) -> None:
    host = Host(metadata, parameters=parameters)
    with pytest.raises(AgentError, match="no join token at /swarmkeeper/blue/join-token/worker: init"):
        host.token("blue", "worker")


@pytest.mark.parametrize("kind", [AgentError, EngineError, ParameterError, MetadataError, DaemonError])
def test_no_error_of_the_agent_tells_a_token_even_if_it_is_cut_off(kind: type[AgentError]) -> None:
    said = str(kind(f'invalid "{TOKEN}", and SWMTKN-1-ca'))
    assert said == 'invalid "(a join token)", and (a join token)'


def test_labels_are_merged_into_the_engines_settings_at_once_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "docker" / "daemon.json"
    daemon = Daemon(file, tmp_path / "pid")
    assert daemon.set_labels({"swarmkeeper.zone": "a"}) is True
    file.write_text(json.dumps({"labels": ["rack=7", "swarmkeeper.zone=b"], "log-driver": "local"}))
    assert daemon.set_labels({"swarmkeeper.zone": "a"}) is True
    assert json.loads(file.read_text()) == {"labels": ["rack=7", "swarmkeeper.zone=a"], "log-driver": "local"}
    assert daemon.set_labels({"swarmkeeper.zone": "a"}) is False
    assert [path.name for path in file.parent.iterdir()] == ["daemon.json"]


def test_settings_that_are_no_json_are_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "daemon.json"
    file.write_text("{oops")
    with pytest.raises(DaemonError, match="left as it is"):
        Daemon(file).set_labels({"a": "b"})
    assert file.read_text() == "{oops"


def test_an_engine_that_does_not_run_cannot_reload(tmp_path: Path) -> None:
    with pytest.raises(DaemonError, match="systemctl reload docker"):
        Daemon(tmp_path / "daemon.json", tmp_path / "pid").reload()


def test_a_symbolic_link_stays_one_and_what_it_points_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    file, link = tmp_path / "shared" / "engine.json", tmp_path / "daemon.json"
    file.write_text('{"log-level": "warn"}')
    file.chmod(0o640)
    link.symlink_to(Path("shared") / "engine.json")
    assert Daemon(link).set_labels({"a": "b"})
    assert link.is_symlink()
    assert json.loads(file.read_text()) == {"log-level": "warn", "labels": ["a=b"]}
    assert (file.stat().st_mode & 0o777, list(tmp_path.glob("**/daemon-*"))) == (0o640, [])


def test_a_symbolic_link_that_points_to_nothing_yet_gets_its_file(
    tmp_path: Path,
) -> None:
    link, loop = tmp_path / "daemon.json", tmp_path / "loop.json"
    link.symlink_to(tmp_path / "shared" / "engine.json")
    assert Daemon(link).set_labels({"a": "b"})
    assert (link.is_symlink(), (tmp_path / "shared" / "engine.json").exists()) == (True, True)
    loop.symlink_to(loop)
    with pytest.raises(DaemonError, match="cannot be read, so it was left as it is"):
        Daemon(loop).set_labels({"a": "b"})


@pytest.mark.parametrize(
    ("state", "warm"),
    [
        (None, False),
        ("InService", False),
        ("Standby", False),
        ("Warmed:Stopped", True),
        ("Warmed:Running", True),
    ],
)
def test_the_metadata_service_tells_whether_the_group_keeps_the_host_in_a_warm_pool(
    aws: type[Aws], metadata: Metadata, state: str | None, *, warm: bool
) -> None:
    if state:
        aws.values["autoscaling/target-lifecycle-state"] = state
    assert metadata.is_warm() is warm


@pytest.mark.parametrize("words", [["--label", "x=y"], ["--label=x=y"]])
def test_labels_on_the_engines_command_line_are_named_before_anything_changes(
    tmp_path: Path, words: list[str]
) -> None:
    daemon = Daemon(tmp_path / "daemon.json", tmp_path / "pid")
    daemon.check_labels_can_be_set()  # no engine runs
    engine = subprocess.Popen([sys.executable, "-c", "input()", *words], stdin=subprocess.PIPE)
    try:
        (tmp_path / "pid").write_text(str(engine.pid))
        with pytest.raises(
            AgentError, match=r"has labels on its command line, so .* was left as it is: remove"
        ):
            daemon.check_labels_can_be_set()
    finally:
        engine.communicate(b"\n")
    assert not (tmp_path / "daemon.json").exists()
