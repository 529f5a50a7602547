"""Layers of Python applications: distributions are normalized, grouped into layers, and placed in a venv.

The bytes of a layer depend on the files of its distributions only, not on the tool that downloaded or packed them.
"""
