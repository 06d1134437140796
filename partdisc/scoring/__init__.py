"""Metrics applied to a run, or to the predictions of another program.

`parts` detections; `landmarks` regression; `alignment` how pools align; `extras` and
`equivariance` what is measured on request; `other_programs` and `prediction_files` predictions of
any program; `results_table` what is printed.
"""
