"""The page of results that a person reads."""

RECORD = "report.run.json"  # of `evenface page`, beside the page: index.run.json is that of ingest
