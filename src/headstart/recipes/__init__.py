"""Settings as data: what each method, on each data set, is run with unless told otherwise."""
