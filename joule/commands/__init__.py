"""joule/commands"""
