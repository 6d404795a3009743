"""The tasks of the agent, one module each: ``run(engine, arguments, clock) -> Result``."""
