"""From a chat request to the judge's reply: the wire, retries, and what is in flight."""
