"""One file per verb: it parses, calls `Project` and renders; what there is to decide, `Project` decides."""
