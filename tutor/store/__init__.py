"""Progress, history and the build cache: atomic, versioned, safe on NFS."""
