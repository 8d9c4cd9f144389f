"""The inbox: a terminal UI for the people who answer questions.

Owns: everything of textual. Sees the project and the plain data that it gives; knows nothing of the command line, and
of the store neither where it is nor what lies in it.
"""
