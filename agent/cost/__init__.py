"""agent/cost"""
