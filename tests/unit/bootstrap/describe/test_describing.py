"""A file becomes a description with each field final, or one line for each thing that is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootstrap.describe.describing import describe
from bootstrap.describe.faults import DescriptionError
from chalicelib.protocol.description import (
    Description,
    Driver,
    Packages,
    PackageSource,
    SourceKind,
    StorageDriver,
    WantedNetwork,
)
from chalicelib.protocol.description_codec import decode_description, encode_description

NETWORK = WantedNetwork("control", "10.32.100.0/24", "10.32.100.1")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def described(text: str) -> Description:
    Path("blue.yaml").write_text(text)
    return describe(Path("blue.yaml")).description


def refused(text: str) -> list[str]:
    with pytest.raises(DescriptionError) as caught:
        described(text)
    return list(caught.value.lines)


@pytest.mark.usefixtures("folder")
class TestGoodFiles:
    """Files that can be taken."""

    def test_a_name_is_enough(self) -> None:
        blue = described("name: blue\n")
        assert (blue.name, blue.profile, blue.stacks, blue.network.networks) == ("blue", "current", (), ())
        assert blue.engine.version == "29.8.2"
        assert blue.engine.log_options == {"max-size": "10m", "max-file": "3"}
        assert (blue.network.driver, blue.network.driver_name) == (
            Driver.WEAVE,
            "weaveworks/net-plugin:2.8.1",
        )

    def test_hosts_read_what_was_described(self) -> None:
        blue = described("name: blue\nstacks: {control: }\n")
        assert decode_description(encode_description(blue)) == blue

    def test_the_book_is_a_profile(self) -> None:
        blue = described("name: blue\nprofile: book\n")
        assert (blue.engine.version, blue.engine.storage_driver) == ("17.09.1", StorageDriver.OVERLAY2)
        assert (blue.host.kernel_from, blue.host.kernel_below) == ("4.4", "4.13")
        assert blue.network.plugin == "weaveworks/net-plugin:2.1.3"

    def test_what_the_file_says_stands_field_by_field(self) -> None:
        blue = described("name: blue\nengine: {version: 28.5.2, log_max_file: 5}\nhost: {systems: []}\n")
        assert (blue.engine.version, blue.engine.log_max_file, blue.engine.log_max_size) == (
            "28.5.2",
            5,
            "10m",
        )
        assert blue.host.systems == ()

    def test_a_profile_of_ones_own_stands_beside_the_file(self) -> None:
        Path("ours.yaml").write_text("engine: {version: 27.5.1}\nnetwork: {driver: overlay}\n")
        blue = described("name: blue\nprofile: ./ours.yaml\n")
        assert (blue.engine.version, blue.network.driver_name) == ("27.5.1", "overlay")

    def test_a_mirror_is_an_object(self) -> None:
        source = "{url: 'https://mirror/docker', key: /etc/mirror.asc, packages: distribution}"
        blue = described(f"name: blue\nengine: {{source: {source}}}\n")
        assert blue.engine.source == PackageSource(
            SourceKind.MIRROR, Packages.DISTRIBUTION, "https://mirror/docker", "/etc/mirror.asc"
        )

    def test_any_version_is_the_distributions(self) -> None:
        blue = described("name: blue\nengine: {source: distribution, version: any}\n")
        assert blue.engine.source == PackageSource(SourceKind.DISTRIBUTION, Packages.DISTRIBUTION)

    def test_a_network_of_the_profile_is_there_where_a_stack_is_on_it(self) -> None:
        assert described("name: blue\nstacks: {control: }\n").network.networks == (NETWORK,)
        assert described("name: blue\nstacks: {service-balancer: }\n").network.networks == ()

    def test_a_stack_has_all_its_settings(self) -> None:
        text = (
            "name: blue\nregistry: mirror:5000\nnetwork: {driver: overlay}\ndefaults: {COOLDOWN: 600}\n"
            "images: {docker-api: 'proxy:1', python: 'python:3.13'}\n"
            "stacks: {service-balancer: {SETTLE: 60}, control: {DOCKER_API_POST: 1}}\n"
        )
        control, balancer = described(text).stacks
        assert control.settings == {
            "REGISTRY": "mirror:5000/",
            "DOCKER_API_IMAGE": "proxy:1",
            "DOCKER_API_POST": "1",
            "CONTROL_DRIVER": "overlay",
            "CONTROL_SUBNET": "10.32.100.0/24",
        }
        assert balancer.settings == {
            "REGISTRY": "mirror:5000/",
            "PYTHON_IMAGE": "python:3.13",
            "SETTLE": "60",
            "COOLDOWN": "600",
        }

    def test_a_stack_of_the_profile_can_be_left_out(self) -> None:
        Path("ours.yaml").write_text("engine: {version: 27.5.1}\nstacks: {control: , service-balancer: }\n")
        blue = described("name: blue\nprofile: ours.yaml\nstacks: {control: false}\n")
        assert [stack.name for stack in blue.stacks] == ["service-balancer"]

    @pytest.mark.parametrize(
        ("engine", "network", "settings"),
        [
            ("29.8.2", "weave", {"min-api-version": "1.24"}),
            ("28.5.2", "weave", {}),
            ("29.8.2", "overlay", {}),
        ],
    )
    def test_new_engines_take_the_api_version_of_the_plugin(
        self, engine: str, network: str, settings: dict[str, str]
    ) -> None:
        blue = described(f"name: blue\nengine: {{version: {engine}}}\nnetwork: {{driver: {network}}}\n")
        assert blue.engine.settings == settings

    def test_an_engine_too_old_for_the_agent_is_warned_of(self) -> None:
        Path("blue.yaml").write_text("name: blue\nengine:\n  version: 17.09.1\n")
        (warning,) = describe(Path("blue.yaml")).warnings
        assert warning == "blue.yaml:3: engine.version 17.09.1: the agent works with 20.10 and later ones"


@pytest.mark.usefixtures("folder")
class TestWrongFiles:
    """Files that are refused."""

    def test_everything_that_is_wrong_is_told_at_once(self) -> None:
        text = """\
name: a b
colour: red
engine:
  version: 28.5
  log_max_file: 0
  live_restore: yes
network:
  driver: overlay
  networks:
    web: {subnet: 10.40.0.0/24, gateway: 10.41.0.1}
    api: {subnet: 10.40.0.128/25}
stacks:
  control: {DOCKER_API_POST: 2}
"""
        told = [
            "blue.yaml:1: name must be a cluster's name: 1 to 64 letters, digits, '.', '_', '-', not 'a b'",
            "blue.yaml:2: colour is unknown; known are name, profile, registry, host, engine, network, ",
            "blue.yaml:4: engine.version must be an exact version such as 29.8.2, or any (with the ",
            "blue.yaml:5: engine.log_max_file must be a whole number from 1 to 1000, not '0'",
            "blue.yaml:6: engine.live_restore must be false: an engine with live-restore makes no swarm, not",
            "blue.yaml:10: network.networks.web.gateway must be an address inside 10.40.0.0/24 that is ",
            "blue.yaml:11: network.networks.api.subnet must be apart from 10.40.0.0/24 of network web, not ",
            "blue.yaml:13: stacks.control: setting DOCKER_API_POST must be 0 or 1",
        ]
        lines = refused(text)
        assert [line[: len(said)] for line, said in zip(lines, told, strict=True)] == told

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("", "blue.yaml: the file must be an object with the fields of a description, not 'None'"),
            ("engine: {version: 28.5.2}\n", "blue.yaml: name is missing"),
            ("name: blue\nname: red\n", "blue.yaml:2: name stands there twice"),
            (
                "name: blue\n\tprofile: x\n",
                "blue.yaml:2: it is no YAML: found character '\\t' that cannot start",
            ),
            (
                "name: blue\nprofile: old\n",
                "blue.yaml:2: profile must be current, book, or the path of a .yaml",
            ),
            ("name: blue\nprofile: no.yaml\n", "no.yaml: it cannot be read (FileNotFoundError)"),
            ("name: &a [*a]\n", "blue.yaml"),
            (
                "name: blue\nhost: {kernel_from: 4.4}\n",
                "blue.yaml:2: host.kernel_from must be a version in quotes",
            ),
            (
                "name: blue\nengine: {version: any}\n",
                "blue.yaml:2: engine.version must be an exact version, as",
            ),
            (
                "name: blue\nengine: {source: apt}\n",
                "engine.source must be docker, distribution, or an object",
            ),
            (
                "name: blue\nengine: {source: {url: 'https://m'}}\n",
                "blue.yaml:2: engine.source.key is missing",
            ),
            (
                "name: blue\nengine: {source: {url: 'https://m', key: 'http://m/key'}}\n",
                "engine.source.key must be an address that begins with https://, or a path on the hosts",
            ),
            (
                "name: blue\nengine: {settings: {hosts: []}}\n",
                "a setting of daemon.json that has no field of its",
            ),
            (
                "name: blue\nengine: {settings: {a: [[[[1]]]]}}\n",
                "engine.settings.a must be a text, a number",
            ),
            ("name: blue\nnetwork: {plugin: weave}\n", "network.plugin must be a reference with its tag"),
            (
                "name: blue\nnetwork: {networks: {web: {subnet: 10.0.0.0/24}}}\n",
                "blue.yaml:2: network.networks.web.subnet must be inside 10.32.0.0/12, the plugin's range",
            ),
            (
                "name: blue\nnetwork: {networks: {web: {subnet: 10.32.0.1/24}}}\n",
                "network.networks.web.subnet must be an IPv4 network such as 10.32.100.0/24, not",
            ),
            ("name: blue\nnetwork: {networks: {web: {}}}\n", "network.networks.web.subnet is missing"),
            (
                "name: blue\nnetwork: {networks: {Web: {subnet: 10.32.0.0/24}}}\n",
                "must be a name of at most 63",
            ),
            (
                "name: blue\nimages: {traefik: traefik}\n",
                "images.traefik must be a reference with its tag, such as",
            ),
            ("name: blue\nstacks: {web: }\n", "stacks.web is unknown; known are control, service-balancer"),
            (
                "name: blue\nstacks: {control: true}\n",
                "stacks.control must be an object of settings, or false",
            ),
            (
                "name: blue\nstacks: {control: {POST: 1}}\n",
                "stacks.control.POST is unknown; known are DOCKER_API",
            ),
            (
                "name: blue\nstacks: {service-balancer: {SETTLE: x}}\n",
                "setting SETTLE must be a number of seconds",
            ),
            (
                "name: blue\nstacks: {service-balancer: {SETTLE: $(x)}}\n",
                "SETTLE must be a number, or a text of",
            ),
        ],
    )
    def test_a_wrong_file_is_told_with_line_field_and_what_is_allowed(self, text: str, told: str) -> None:
        lines = refused(text)
        assert any(told in line for line in lines), lines
        assert all(line.isprintable() for line in lines)

    def test_a_stack_needs_its_network(self) -> None:
        Path("ours.yaml").write_text("engine: {version: 27.5.1}\n")
        (line,) = refused("name: blue\nprofile: ours.yaml\nstacks:\n  control: {}\n")
        assert line.startswith("blue.yaml:4: stacks.control is on network control: describe it, network.netw")

    def test_a_stack_needs_the_stack_whose_network_it_uses(self) -> None:
        (line,) = refused("name: blue\nstacks:\n  traefik: {}\n")
        assert line.startswith("blue.yaml:3: stacks.traefik needs what stack control runs: name that among")

    def test_a_wrong_profile_is_told_with_its_own_lines(self) -> None:
        Path("ours.yaml").write_text("name: red\nengine: {version: new}\n")
        first, second = refused("name: blue\nprofile: ours.yaml\n")
        assert first.startswith("ours.yaml:1: name is unknown; known are registry, host, engine")
        assert second.startswith("ours.yaml:2: engine.version must be an exact version")
