"""The only modules that know boto3, and the ports that they fulfil."""
