"""Fast tests: no network, no engine, no root."""
