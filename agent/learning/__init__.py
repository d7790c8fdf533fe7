"""agent/learning"""
