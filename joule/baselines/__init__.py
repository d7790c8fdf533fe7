"""joule/baselines"""
