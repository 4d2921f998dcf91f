"""From a save to a verdict: session, pipeline, watcher and the only place that spawns processes."""
