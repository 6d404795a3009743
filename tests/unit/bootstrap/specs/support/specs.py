"""Any spec of a service, for hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

NODES = ["node-a", "node-b"]
CONSTRAINTS = st.lists(st.sampled_from(["node.role==worker", "node.labels.disk==ssd"]), unique=True)
PLACEMENTS = st.fixed_dictionaries(
    {},
    optional={
        "Constraints": CONSTRAINTS,
        "MaxReplicas": st.integers(1, 5),
        "Platforms": st.just([{}]),
        "Preferences": st.just([{"Spread": {"SpreadDescriptor": "node.labels.zone"}}]),
    },
)

UPDATES = st.fixed_dictionaries(
    {}, optional={"Parallelism": st.integers(0, 5), "Delay": st.integers(0, 10**10), "Monitor": st.just(5)}
)
SPECS = st.fixed_dictionaries(
    {"Name": st.just("web"), "Mode": st.just({"Replicated": {"Replicas": 3}})},
    optional={
        "Labels": st.dictionaries(st.sampled_from(["owner", "team"]), st.text(max_size=5)),
        "UpdateConfig": UPDATES,
        "RollbackConfig": UPDATES,
    },
)
