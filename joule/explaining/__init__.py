"""One decision of a trained agent explained: the plans it compared, and the observed outcome."""
