"""agent/perception"""
