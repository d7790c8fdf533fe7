"""Films of an agent: recorded episodes, and views of what its world model predicts."""
