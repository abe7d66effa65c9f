"""The parts of a report: each is a function from the rows' numbers to a `Section`."""
