"""agent/memory"""
