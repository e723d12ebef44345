"""The dimensions of a study in the one order that files, tables and figures keep.

Names alone: nothing is imported here, so that the program that writes a study's file
can take its order from the same place as those that read it.
"""

DESIGN_POINT = ("estimator", "grid", "sample_size", "n_supp")
"""What tells two design points of a process apart."""

STUDY = (*DESIGN_POINT, "replication")
"""What every number that an estimator reports has, before axes of its own."""

TIDY = (*STUDY, "parameter")
"""The columns that tell the rows of a tidy table of replications apart."""

COMPARED = ("estimator", "grid", "n_supp")
"""Along these, design points see the same draws and are compared in pairs."""

ROWS = ("estimator", "grid", "parameter", "coordinate", "sample_size", "n_supp")
"""The rows of a table, the first changing slowest."""

LABELLED = ("process", *ROWS[:3], "test", "holds", "statistic", *ROWS[3:], "kind")
"""All that may tell the rows of a table apart."""

OVERVIEW = ("estimator", "grid", "n_supp", "sample_size")
"""The rows of a figure of every design point, the first changing slowest."""

LOOPS = ("process", *OVERVIEW[1:])
"""The factors below a nested-loop plot, the first changing slowest."""

NOT_RUN = -1
"""Result code of a replication that was not run."""

ENDINGS = ("", "_mcse", "_lower", "_upper")
"""What follows the name of a measure: its value, its error, Wilson's limits."""
