"""The records in one DynamoDB table: a module for each port, over one table."""
