"""joule/storage"""
