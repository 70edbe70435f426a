"""Cells: every job is computed in a process of its own, which sees that job's weights, samples and grid, and no more.

The worker, which holds the database, the store and their passwords, never runs a stranger's operator. Weights and
samples go into a cell as open files, which it maps read-only; numbers come out over a socket.

messages.py    what the two processes say to each other, and how
forkserver.py  a small process without secrets that has loaded torch; every cell is a fork of it
inside.py      what runs in a cell: it raises the walls of landscape/sandbox, then does its tasks (tasks.py): those of a
               job (job.py); or, without walls, those of preparing its samples (samples.py)
server.py      the worker's side of the fork server
answers.py     checks of what a cell answered
cell.py        the worker's side of a cell: starts a cell, asks it, ends it when it takes too long or needs too much
"""
