"""The lab's AWS account: local services, deployments, genuine events, manual calls."""
