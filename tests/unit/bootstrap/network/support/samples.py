"""Status pages of a real router (Weave Net 2.8.1 as a managed plugin, three managers)."""

from __future__ import annotations

from bootstrap.network.router_status import RouterStatus, read_status

MANAGER = """\
        Version: 2.8.1 (failed to check latest version - see logs; next check at 2026/11/28 15:06:39)

        Service: router
       Protocol: weave 1..2
           Name: 22:19:a8:4f:a5:53(ip-10-231-77-1)
     Encryption: disabled
  PeerDiscovery: enabled
        Targets: 3
    Connections: 3 (2 established, 1 failed)
          Peers: 3 (with 6 established connections)
 TrustedSubnets: none

        Service: ipam
         Status: idle
          Range: 10.32.0.0/12
  DefaultSubnet: 10.32.0.0/12

        Service: plugin (v2)
"""
OURSELF = "-> 10.231.77.1:6783      failed      cannot connect to ourself, retry: never"
SECOND = "-> 10.231.77.2:6783      established fastdp 62:aa:01:02:03:04(ip-10-231-77-2) mtu=1376"
THIRD = "<- 10.231.77.3:41234     established fastdp 62:aa:01:02:03:05(ip-10-231-77-3) mtu=1376"
LOST = "-> 10.231.77.3:6783      failed      dial tcp4: no route to host, retry: 2026-11-28 15:06:39"
LINKS = f"{OURSELF}\n{SECOND}\n{THIRD}" + "\n"
# The rest is that page with other numbers.
WORKER = (
    MANAGER.replace("3 (2 established, 1 failed)", "3 (3 established)")
    .replace("Peers: 3 (with 6", "Peers: 4 (with 12")
    .replace("ip-10-231-77-1", "ip-10-231-77-4")
)
WORKER_LINKS = "\n".join((SECOND.replace("77.2:", "77.1:").replace("77-2", "77-1"), SECOND, THIRD))
ALONE = MANAGER.replace("3 (2 established, 1 failed)", "0").replace(
    "Peers: 3 (with 6 established connections)", "Peers: 1"
)
UNTARGETED = ALONE.replace("Targets: 3", "Targets: 0")


def manager_status() -> RouterStatus:
    return read_status(MANAGER, LINKS)
