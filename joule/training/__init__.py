"""joule/training"""
