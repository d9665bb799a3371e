"""The gate: before against after on the same cases; a release that is not shown to be better and no worse does not go live."""
