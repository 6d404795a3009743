"""A described package source becomes a source of apt or dnf, for the system that it is on."""

from __future__ import annotations

import pytest

from bootstrap.errors import AgentError
from bootstrap.machine.facts import System
from bootstrap.machine.sources import names, source_file
from chalicelib.protocol.description import Packages, PackageSource, SourceKind

NOBLE = System("ubuntu", "24.04", "noble", "Ubuntu 24.04 LTS", ("debian",), "x86_64")
MINT = System("linuxmint", "22", "wilma", "Mint", ("ubuntu", "debian"), "aarch64")
ROCKY = System("rocky", "9.4", "", "Rocky Linux 9.4", ("rhel", "centos", "fedora"), "x86_64")
AMAZON = System("amzn", "2023", "", "Amazon Linux 2023", ("fedora",), "x86_64")
ALPINE = System("alpine", "3.20", "", "Alpine", (), "x86_64")
KEY = "/keys/engine.asc"


def mirror(**more: str) -> PackageSource:
    given = {"url": "http://mirror/ubuntu/", **more}
    return PackageSource(SourceKind.MIRROR, Packages.DISTRIBUTION, **given)


def test_dockers_source_for_apt_names_system_code_name_and_key() -> None:
    found = source_file(PackageSource(), NOBLE, "apt", KEY)
    assert found.text == (
        "Types: deb\nURIs: https://download.docker.com/linux/ubuntu\nSuites: noble\nComponents: stable\n"
        "Architectures: amd64\nSigned-By: /keys/engine.asc\n"
    )
    assert found.key == "https://download.docker.com/linux/ubuntu/gpg"
    assert found.url == "https://download.docker.com/linux/ubuntu/dists/noble/InRelease"


def test_dockers_source_for_dnf_names_release_and_key() -> None:
    found = source_file(PackageSource(), ROCKY, "dnf", KEY)
    assert "baseurl=https://download.docker.com/linux/rhel/9/$basearch/stable\n" in found.text
    assert found.text.endswith("gpgcheck=1\ngpgkey=file:///keys/engine.asc\n")
    assert found.url.endswith("/rhel/9/x86_64/stable/repodata/repomd.xml")


def test_what_descends_from_ubuntu_takes_ubuntus_packages() -> None:
    assert "linux/ubuntu\n" in source_file(PackageSource(), MINT, "apt", KEY).text


def test_a_mirrors_own_suite_and_component_count() -> None:
    found = source_file(mirror(suite="lab", component="extra", key="/k.gpg"), NOBLE, "apt", "/k.gpg")
    assert "URIs: http://mirror/ubuntu\nSuites: lab\nComponents: extra\n" in found.text
    assert "Signed-By: /k.gpg\n" in found.text


def test_a_flat_mirror_has_no_component() -> None:
    found = source_file(mirror(suite="./"), NOBLE, "apt", KEY)
    assert "Suites: ./\nArchitectures" in found.text
    assert (found.url, "Signed-By" in found.text) == ("http://mirror/ubuntu/./Packages", False)


def test_the_distributions_own_source_needs_no_file() -> None:
    source = PackageSource(SourceKind.DISTRIBUTION, Packages.DISTRIBUTION)
    assert source_file(source, NOBLE, "apt", KEY).text == ""


@pytest.mark.parametrize(
    ("source", "system", "manager", "said"),
    [
        (PackageSource(), ALPINE, "apt", "Docker has no packages for Alpine"),
        (PackageSource(), AMAZON, "dnf", "Docker has no packages for Amazon Linux 2023"),
        (PackageSource(SourceKind.MIRROR), NOBLE, "apt", "a mirror has no address"),
        (mirror(), System("x", "1", "", "X"), "apt", "X has no code name: give the source's suite"),
    ],
)
def test_where_there_is_no_source_a_person_is_told_which_to_give(
    source: PackageSource, system: System, manager: str, said: str
) -> None:
    with pytest.raises(AgentError, match=said):
        source_file(source, system, manager, KEY)


def test_without_a_package_manager_nothing_has_a_name() -> None:
    assert names(PackageSource(), "apt")[0] == "docker-ce"
    with pytest.raises(AgentError, match="neither apt-get nor dnf"):
        names(PackageSource(), "")
