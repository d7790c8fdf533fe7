"""joule/cli"""
