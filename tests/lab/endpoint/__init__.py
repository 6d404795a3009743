"""The lab's one AWS endpoint: answers Run Command and EC2, passes the rest on, injects faults."""
