"""From a graph to a verified plan.  Nothing here knows arrays, or anything that runs."""
