"""A trained agent as ONNX files: its networks, the check of each file against the agent, and what the files are."""
