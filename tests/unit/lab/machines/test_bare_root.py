"""The packages of bare hosts are listed as apt wants it, and hosts are told apart."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tests.lab import lifecycle
from tests.lab.machines import bare_root
from tests.lab.state import Lab

LAB = Lab("a", 0, "a", bare_root=True)


def test_the_index_of_a_suite_has_each_file_with_its_hash() -> None:
    text = bare_root.release("sid", "amd64", {"main/binary-amd64/Packages": b"x"})
    assert text.startswith(
        "Origin: lab\nSuite: sid\nCodename: sid\nArchitectures: amd64\nComponents: main\nDate: "
    )
    digest = hashlib.sha256(b"x").hexdigest()
    assert text.endswith(f"SHA256:\n {digest} 1 main/binary-amd64/Packages\n")


def test_the_source_is_one_that_a_description_can_name() -> None:
    found = bare_root.source(LAB, "sid")
    assert (found["kind"], found["url"], found["suite"]) == ("mirror", "http://172.31.0.1:8080", "sid")


def test_each_host_has_an_id_of_its_own_and_the_same_each_time(tmp_path: Path) -> None:
    one, other = lifecycle.new_host(LAB, "worker"), lifecycle.new_host(LAB, "worker")
    ids = []
    for number, host in enumerate((one, one, other)):
        place = tmp_path / str(number)
        place.mkdir()
        bare_root.furnish(host, place)
        ids.append((place / "machine-id").read_text())
    assert ids[0] == ids[1] != ids[2]
    assert len(ids[0]) == 33
