"""The records in one DynamoDB table."""
