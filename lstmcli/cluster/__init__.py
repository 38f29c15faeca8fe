"""Work on other cores and machines, as tasks of a Ray cluster; the only room that imports Ray."""
