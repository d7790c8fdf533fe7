"""agent/configurator"""
