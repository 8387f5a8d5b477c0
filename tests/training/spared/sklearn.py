"""Stands before scikit-learn in the path of the processes that tests start.

MXNet imports that, with scipy, wherever it is installed, and does without it where it is not: half
a second of every process, for nothing that training reads.
"""

raise ImportError("not for processes of these tests")
