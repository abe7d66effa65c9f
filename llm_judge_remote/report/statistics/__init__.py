"""The statistics of a report, over arrays; nothing here knows a file or a page."""
