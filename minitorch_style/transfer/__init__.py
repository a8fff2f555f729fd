"""The main job: settings, what it will take, and the run itself.

Prints nothing.
"""
