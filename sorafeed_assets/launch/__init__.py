"""Starting everything: data folder, servers, Dagster, and the first materialization."""
