"""Compiled loops over a block of rows; nothing else imports numba, and nobody but `backend` calls them.

They hold no lock and write only the rows ``start`` to ``stop`` of their output. Every row's result depends on that row
alone, so that any partition into blocks gives the same bits.
"""
