"""agent/actor"""
