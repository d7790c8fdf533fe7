"""agent/world_model"""
