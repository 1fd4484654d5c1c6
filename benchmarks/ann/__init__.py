# SPDX-License-Identifier: Apache-2.0
"""The task "ann": recall against speed, each method on a ladder of search settings.

`run` takes the turns, `ladder` chooses settings on one half of the queries, `truth` judges,
`report` and `chart` print the other half's figures, `goals` holds them to the suite's goals.
"""
