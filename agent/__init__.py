"""The agent: perception, world model, cost, actor, short-term memory, configurator."""
