"""The name server of a lab's network. As in a VPC it knows the hosts, and says at once what it does not know.

Without it an engine that is asked for a name it does not know, as of a service without a task, never answers.
"""

from __future__ import annotations

import re
import socketserver
import sys

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from tests.lab.machines import programs
from tests.lab.state import Lab

PORT = 53
HOST = re.compile(r"ip-(\d+)-(\d+)-(\d+)-(\d+)(\.ec2\.internal)?\.", re.IGNORECASE)


def start(lab: Lab) -> Lab:
    """Start the lab's name server; answers the lab with its process recorded."""
    return programs.start(lab, "names", [sys.executable, "-m", "tests.lab.machines.name_server", lab.gateway])


def answer(query: dns.message.Message) -> dns.message.Message:
    """Answer with the address in a host's name, or that there is no such name."""
    response = dns.message.make_response(query)
    response.flags |= dns.flags.RA
    for question in query.question:
        if match := HOST.fullmatch(question.name.to_text()):
            if question.rdtype == dns.rdatatype.A:
                address = ".".join(match.groups()[:4])
                response.answer.append(dns.rrset.from_text(question.name, 60, "IN", "A", address))
        else:
            response.set_rcode(dns.rcode.NXDOMAIN)
    return response


class _Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        packet, socket = self.request
        try:
            query = dns.message.from_wire(packet)
        except dns.exception.DNSException:
            return  # not a question
        socket.sendto(answer(query).to_wire(), self.client_address)


if __name__ == "__main__":
    with socketserver.UDPServer((sys.argv[1], PORT), _Handler) as server:
        server.serve_forever()
