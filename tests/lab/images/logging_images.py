"""Images of the logging stacks, with a store that answers as Elasticsearch; and a function that fails."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.lab.images import installed_programs, packaged_programs, registry
from tests.lab.images.packaged_programs import Program
from tests.lab.images.registry import Image
from tests.lab.state import Lab, LabError

STAND_INS = Path(__file__).with_name("stand_ins")
ELASTICSEARCH = "docker.elastic.co/elasticsearch/elasticsearch"
STORE = Program(
    "noida-db",
    "0.2.3",
    "40a2fb15567e3d344e7483df62bb439e7d64ac6fb232f4f223554aed58204f82",
    "noida_db/noida-db",
    Image(ELASTICSEARCH, "8.19.21", ("python", "/elasticsearch.py")),
)
IMAGES = (
    Image("docker.elastic.co/logstash/logstash", "8.19.21", ("/usr/local/bin/docker-entrypoint",)),
    Image(
        "gliderlabs/logspout", "v3.2.14", ("python", "/logspout.py"), entrypoint=("python", "/logspout.py")
    ),
)


FUNCTION = Image("function", "1", ("python", "/function.py"))


def push_function(lab: Lab) -> None:
    """Put the function that fails on demand into the lab's registry."""
    ours = registry.layer(installed_programs.pack({"function.py": STAND_INS / "function.py"}))
    base, python = registry.layer(registry.base_files()), installed_programs.python_layer()
    registry.push(lab, FUNCTION, base, python, ours)


def push_all(lab: Lab) -> None:
    """Put all images of logging into the lab's registry; they share one layer with an interpreter."""
    base, python = registry.layer(registry.base_files()), installed_programs.python_layer()
    scripts = {path.name: path for path in STAND_INS.glob("[!_]*.py")}
    scripts["usr/local/bin/docker-entrypoint"] = STAND_INS / "docker-entrypoint"
    ours = registry.layer(installed_programs.pack(scripts))
    store = packaged_programs.layer(STORE)
    curl = shutil.which("curl", path="/usr/bin:/bin")
    if curl is None:
        raise LabError("programs are missing: curl; install them: make system")
    tools = {"bin/curl": Path(curl), **installed_programs.libraries([Path(curl)])}
    registry.push(lab, STORE.image, base, python, ours, store, registry.layer(installed_programs.pack(tools)))
    for image in IMAGES:
        registry.push(lab, image, base, python, ours)
